"""What a draft would do, row by row, beside what is there now."""

from __future__ import annotations

from dataclasses import dataclass

from actions.prepare import Prepared
from actions.registry import registry
from actions.spared import last_in
from actions.standing import Facts
from console import approval_words, wording


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the preview; `wary` marks what to look at twice."""

    name: str
    text: str
    wary: bool = False


def rows_of(made: Prepared) -> list[Row]:
    draft, seen = made.draft, made.seen
    realms = {realm.id: realm.title for realm in seen.realms}
    where = ", ".join(dict.fromkeys(realms.get(e.realm, e.realm) for e in made.plan.effects))
    return [
        Row("Will change", f"{made.preview.changes} Where: {where}."),
        Row("Will not change", made.preview.stays),
        *([Row("Undoes", f"{draft.undoes.ref}, and only what it changed.")] if draft.undoes else []),
        Row("To undo", made.preview.undo),
        Row("Can happen twice", made.preview.twice),
        *_overlap_rows(made),
        *_warnings(made),
        Row("State you see", _state(made)),
        *_read_rows(made),
        Row("Who did it last", _last(made.standing)),
        Row("Reason", draft.reason),
        Row("Incident", draft.incident.ref if draft.incident else "None"),
        _approval_row(made),
        Row("Drafted by", draft.caller.username),
        Row("Runs as", seen.caller_name),
    ]  # fmt: skip


def _approval_row(made: Prepared) -> Row:
    if not made.needs.each:
        return Row("Approval", "None needed.")
    if made.seen.break_glass:
        said = f"Passed over: you go alone under break-glass. It would need {made.needs.words}."
        return Row("Approval", said, wary=True)
    said = (
        f"{made.needs.words} must approve it, within {made.needs.minutes} minutes of your asking."
    )
    return Row("Approval", f"{said} Nothing is sent before that.", wary=True)


def _state(made: Prepared) -> str:
    lane = registry.action(made.draft.action).lane
    return f"Generation {made.seen.generation} of its {lane} lane; in force: {made.in_force}."


def _read_rows(made: Prepared) -> list[Row]:
    """How each system stood when it was read just now, or when it was last read."""
    titles = {realm.id: realm.title for realm in made.seen.realms}
    return [
        Row(titles[s.realm], approval_words.read_as(s), wary=not s.fresh) for s in made.state_read
    ]


def _last(standing: Facts | None) -> str:
    if standing is None:
        return "Nobody: nothing stands here."
    who, at = standing["requested_by"], wording.clock(standing["requested_at"])
    return f"{who} at {at} ({standing['ref']}): {wording.phrase(standing)}."


def _warnings(made: Prepared) -> list[Row]:
    """What a person should weigh of a realm before they confirm."""
    action, titles = registry.action(made.draft.action), {r.id: r.title for r in made.seen.realms}
    rows = []
    for realm in dict.fromkeys(effect.realm for effect in made.plan.effects):
        if warning := action.warns(made.plan.intent, last_in(realm, made.seen.known)):
            rows.append(Row("Mind", f"{titles.get(realm, realm)}: {warning}", wary=True))
    return rows


def _overlap_rows(made: Prepared) -> list[Row]:
    rows = []
    for title, wider in (("Covered by", True), ("Lies around", False)):
        names = [f"{o.name} ({o.ref})" for o in made.seen.overlaps if o.wider is wider]
        if names:
            rows.append(Row(title, f"Also banned: {', '.join(names)}.", wary=True))
    return rows
