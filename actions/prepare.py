"""Prepare an operation: the draft with its own URL, and the preview that its page shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.db import connection

from actions import keys, limits, naming, read, sight
from actions.approvals import Needs
from actions.ask import Ask, Decision, DraftGiven, Undoes
from actions.case import consider
from actions.catalogue._base import Preview, Relation
from actions.compare import decide
from actions.errors import NotFound, Refusal
from actions.force import in_force
from actions.issue import Who, admit, look_at
from actions.models import Draft
from actions.plan import Plan, within
from actions.registry import registry
from actions.standing import Facts, Standing, look
from actions.subjects import Subject


@dataclass(frozen=True, slots=True)
class Prepared:
    """A draft and what is true of it now.

    `would` is what confirming it now would be told; `standing` the operation that stands.
    """

    draft: Draft
    plan: Plan
    preview: Preview
    seen: Standing
    standing: Facts | None
    relation: Relation | None
    would: Decision
    in_force: str
    needs: Needs  # the approvals that the rules ask for
    state_read: list[read.StateRead]
    own: bool = False  # whether it might cut off who looks at it
    to_type: str = ""  # what must be typed to confirm it


def prepare(who: Who, ask: Ask, wait: read.Wait | None = None) -> Prepared:
    """Make a draft of what is asked. Changes nothing outside.

    Raises Refusal when it may not be asked for, or could never be issued, as confirming would say.
    """
    seen = admit(who, look(look_at(who, ask)))
    # What must be typed is typed when it is confirmed.
    ask = replace(ask, address=who.address, confirm=ask.subject.name)
    # The guard of a draft is the generation that its preview shows, unless the caller gave one.
    ask = _seen(ask, seen)
    case = consider(ask, seen)
    would = decide(ask, seen, ask.fingerprint())
    if would.disposition == "refused" or (ask.undoes and would.status >= 400):
        raise refusal(would)
    assert seen.caller_id is not None
    assert ask.seen is not None
    draft = Draft(
        id=ask.key,
        caller_id=seen.caller_id,
        token_id=seen.token.id if seen.token else None,
        action=ask.action.name,
        action_version=ask.action.version,
        subject_kind=ask.subject.kind,
        subject_name=ask.subject.name,
        subject_rules=ask.subject.rules,
        params=dict(ask.params),
        until=case.intent.until,
        span=case.intent.span,
        reason=ask.reason,
        incident_id=seen.incident_id,
        seen=ask.seen,
        again=ask.again,
        undoes_id=ask.undoes.operation if ask.undoes else None,
        not_known=ask.undoes.not_known if ask.undoes else "",
        plan=case.plan.content,
        plan_digest=case.plan.digest,
        created_at=seen.now,
    )
    draft.save(force_insert=True)
    return _prepared(draft, ask, _read_now(who, ask, seen, case.plan, wait))


def refusal(decision: Decision) -> Refusal:
    """A decision that made nothing, as an error to raise."""
    kind = NotFound if decision.status == 404 else Refusal
    return kind(decision.code, decision.message, {"status": decision.status})


def _seen(ask: Ask, seen: Standing) -> Ask:
    generation = seen.generation if ask.seen is None else ask.seen
    return replace(ask, seen=generation)


def ask_of(draft: Draft, via: str) -> Ask:
    """What confirming `draft` asks for."""
    given = DraftGiven(
        draft.id,
        draft.caller_id,
        draft.created_at,
        draft.first_shown_at,
        bytes(draft.plan_digest),
    )
    return Ask(
        action=registry.action(draft.action),
        subject=naming.called(Subject(draft.subject_kind, draft.subject_name, draft.subject_rules)),
        params=draft.params,
        reason=draft.reason,
        key=draft.id,
        via=via,
        incident=draft.incident.number if draft.incident else None,
        seen=draft.seen,
        again=draft.again,
        draft=given,
        undoes=Undoes(draft.undoes.id, draft.undoes.ref, draft.not_known) if draft.undoes else None,
    )


def find(draft_id: str, viewer: Callable[[], UUID]) -> Draft:
    """The draft of that id. Raises NotFound, also where its incident is not seen by `viewer`.

    `viewer` proves who asks, and is called only where that matters: for a restricted incident.
    """
    draft = Draft.objects.select_related("incident", "caller", "undoes").filter(id=draft_id).first()
    hidden = draft is not None and draft.incident is not None and draft.incident.restricted
    if draft is not None and draft.incident is not None and hidden:
        hidden = not sight.seen(viewer(), [draft.incident.number])
    if draft is None or hidden:
        raise NotFound("no_draft", "There is no such draft.")
    return draft


def revisit(who: Who, draft: Draft, wait: read.Wait | None = None) -> Prepared:
    """The draft beside what is true now. Raises NotFound when the viewer may not ask for it."""
    ask = replace(ask_of(draft, "preview"), address=who.address, confirm=draft.subject_name)
    seen = admit(who, look(look_at(who, ask)))
    if (
        not seen.may_ask
        or seen.hidden
        or not all(r.may_ask for r in within(ask.subject, seen.realms))
    ):
        raise NotFound("no_draft", "There is no such draft.")
    plan = consider(ask, seen).plan
    return _prepared(draft, ask, _read_now(who, ask, seen, plan, wait))


def _read_now(who: Who, ask: Ask, seen: Standing, plan: Plan, wait: read.Wait | None) -> Standing:
    """What is seen once the systems that it would change were looked at, for those who wait."""
    if wait is None:
        return seen
    read.refresh(ask.subject.kind, ask.subject.name, _pairs(plan), wait)
    return admit(who, look(look_at(who, ask)))


def _pairs(plan: Plan) -> list[read.Pair]:
    return [(effect.realm, effect.capability) for effect in plan.effects]


def _prepared(draft: Draft, ask: Ask, seen: Standing) -> Prepared:
    given = ask
    if ask.draft is None:
        given = replace(ask_of(draft, "preview"), address=ask.address, confirm=ask.confirm)
    case = consider(given, seen)
    standing = case.standing
    return Prepared(
        draft=draft,
        plan=case.plan,
        preview=ask.action.preview(ask.subject, case.intent),
        seen=seen,
        standing=standing,
        relation=case.relation,
        would=decide(given, seen, given.fingerprint()),
        needs=case.needs,
        in_force=in_force(standing, seen.known, seen.around) if standing else "no",
        state_read=read.states(
            ask.subject.kind,
            ask.subject.name,
            _pairs(case.plan),
            {realm.id: realm.connector for realm in seen.realms},
        ),
        own=limits.own(given, seen.seats),
        to_type=limits.to_type(given, case.intent, seen.protection),
    )


def show(draft: Draft) -> datetime:
    """Note that the draft was shown, the first time only; when that was, in database time."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE draft SET first_shown_at = clock_timestamp()"
            " WHERE id = %s AND first_shown_at IS NULL RETURNING first_shown_at",
            [draft.id],
        )
        row = cursor.fetchone()
    if row is not None:
        draft.first_shown_at = row[0]
    else:
        draft.refresh_from_db(fields=["first_shown_at"])
    assert draft.first_shown_at is not None
    return draft.first_shown_at


def new_key() -> str:
    """The id of a draft to be made, which is the request key that it is confirmed under."""
    return keys.new_draft_id()
