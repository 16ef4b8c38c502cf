"""The inbox of what waits for approval, and the page on which one person decides on one operation."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from actions import approve, break_glass, history, inbox, read, sight, since
from actions.answer import Answer
from actions.approvals import needs_of
from actions.issue import Who
from actions.models import ApprovalRule
from actions.registry import registry
from actions.standing import Facts, intent_of
from actions.subjects import RULES, Subject
from console import approval_words, steps, waiting, wording
from console.access import SignedIn, must, page
from console.views.deeds import new_key
from console.views.pressed import press
from console.views.rows import title_of


@dataclass(frozen=True, slots=True)
class Line:
    """One operation of the inbox: what it would do, for whom it waits, and what was decided."""

    ref: str
    phrase: str
    told: Facts
    needs: str
    until: object
    asked_at: object
    why_not: str = ""
    who: str = ""


@page
@require_GET
def index(request: SignedIn) -> HttpResponse:
    """What waits: for the viewer, by the viewer, and what they may not decide, and why."""
    found = inbox.of(request.user.pk, request.rights.sees)
    last = inbox.decided_last(request.rights.sees)
    others = [told for told, _ in found.others]
    who = inbox.who_can([*found.asked, *found.decided, *others])
    context = {
        "mine": [_line(told) for told in sight.unveil(found.mine, request.user.pk)],
        "decided": [_line(told, who=who) for told in found.decided],
        "asked": [_line(told, who=who) for told in found.asked],
        "others": [_line(told, no.words, who) for told, no in found.others],
        "total": found.total,
        "last": [_decided(told) for told in sight.unveil(last, request.user.pk)],
        "glass": request.rights.reads_log or break_glass.may_open(request.user.pk),
        "rules": [_rule(rule) for rule in _rules()],
    }
    return render(request, "approvals.html", context)


def _line(told: Facts, why_not: str = "", who: dict[int, list[str]] | None = None) -> Line:
    can = (who or {}).get(told["id"], [])
    return Line(
        told["ref"],
        f"{title_of(told['action'])}: {wording.label(told)}",
        told,
        needs_of(told["approvals"]).words,
        wording.moment(told["approve_by"]),
        wording.moment(told["requested_at"]),
        why_not,
        f"{_and(can)} can." if can else "Nobody else who could is there now.",
    )


def _and(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]


def _decided(told: Facts) -> dict[str, object]:
    return {"line": _line(told), "decisions": _decisions(told), "state": told["state"]}


def _decisions(told: Facts) -> list[dict[str, object]]:
    return [
        {
            "by": d["by"],
            "did": "approved" if d["decision"] == "approve" else "declined",
            "tone": "done" if d["decision"] == "approve" else "refused",
            "at": wording.moment(d["at"]),
            # Who may not know why it was asked for is not told it by who decided either.
            "reason": wording.NOT_SHOWN if told["reason"] is None else d["reason"],
        }
        for d in told["decisions"]
    ]


def _rules() -> list[ApprovalRule]:
    rows = ApprovalRule.objects.filter(enabled=True).select_related("realm", "group")
    return list(rows.order_by("action", "made_at"))


def _rule(rule: ApprovalRule) -> dict[str, object]:
    wide = []
    if rule.wider_than_4 is not None:
        wide.append(f"IPv4 wider than /{rule.wider_than_4}")
    if rule.wider_than_6 is not None:
        wide.append(f"IPv6 wider than /{rule.wider_than_6}")
    return {
        "action": title_of(rule.action) if rule.action else "Any action",
        "realm": rule.realm.title if rule.realm else "any system",
        "width": " or ".join(wide) or ("any that asks twice" if rule.protected else "any"),
        "needs": f"{rule.count} of {rule.group.name}",
        "minutes": rule.minutes,
    }


@page
@require_GET
def show(request: SignedIn, ref: str) -> HttpResponse:
    """The whole plan beside what is so now, and the two buttons for those who may press them."""
    told = _visible(request, ref)
    return render(request, "approval.html", _context(request, told))


def _visible(request: SignedIn, ref: str) -> Facts:
    told = sight.unveil_one(history.by_ref(ref, request.rights.sees), request.user.pk)
    if told is None or not told["approvals"]:
        raise Http404
    return told


def _context(request: SignedIn, told: Facts) -> dict[str, object]:
    why = approve.objections([told["id"]], request.user.pk)[told["id"]]
    mine = next((d for d in told["decisions"] if d["by_id"] == str(request.user.pk)), None)
    can = inbox.who_can([told]).get(told["id"], [])
    return {
        "op": told,
        "heading": _heading(told, may=why is None and mine is None),
        "waits": told["state"] == "awaiting_approval",
        "until": wording.moment(told["approve_by"]),
        "rows": _rows(told),
        "effects": [_effect(effect) for effect in told["effects"]],
        "state_read": _read_now(told),
        "changed": since.changed(told),
        "decisions": _decisions(told),
        "needs": needs_of(told["approvals"]).words,
        "may": why is None and mine is None,
        "why_not": why.words if why else "You have decided already: a decision is not taken back.",
        "who": f"{_and(can)} can." if can else "",
        "keys": {"approve": new_key(), "decline": new_key()},
    }


def _heading(told: Facts, *, may: bool) -> str:
    if told["state"] != "awaiting_approval":
        return f"Waits for nobody any more: {wording.phrase(told)}"
    return f"{'Decide' if may else 'Waits for approval'}: {wording.phrase(told)}"


def _rows(told: Facts) -> list[tuple[str, object]]:
    ends = wording.moment(told["ends_at"])
    drafter = history.drafted_by(told["id"])
    rows: list[tuple[str, object]] = [
        *_preview(told),
        ("Until", f"{ends:%-d %b %Y %H:%M:%S} UTC, at least" if ends else "No end"),
        ("Asked by", f"{told['requested_by']}, by {told['via']}, at {wording.clock(told['requested_at'])}"),
        ("Reason", wording.reason(told)),
        ("Incident", ", ".join(f"INC-{n}" for n in told["incidents"]) or "None"),
        ("Needs", f"{needs_of(told['approvals']).words}, until {wording.clock(told['approve_by'])}"
                  if told["approve_by"] else needs_of(told["approvals"]).words),
        ("Plan", f"SHA-256 {told['digest'][:16]}…"),
    ]  # fmt: skip
    if drafter is not None:
        rows.append(("Drafted by", drafter))
    if told["undoes"]:
        rows.insert(0, ("Undoes", told["undoes"]))
    return rows


def _preview(told: Facts) -> list[tuple[str, object]]:
    action = registry.find(told["action"])
    if action is None:
        return [("Will change", "Its action has left the catalogue: only the steps below tell.")]
    subject = Subject(told["kind"], told["name"], RULES, told.get("label") or "")
    preview = action.preview(subject, intent_of(told))
    return [
        ("Will change", preview.changes),
        ("Will not change", preview.stays),
        ("To undo", preview.undo),
        ("Can happen twice", preview.twice),
    ]


def _effect(effect: Facts) -> dict[str, object]:
    return {
        "title": steps.name(effect),
        "realm": effect["realm"],
        "desired": ", ".join(_said(*pair) for pair in sorted(effect["desired"].items())),
        "unsure": wording.REDO[effect["redo"]],
        "state": effect["state"],
    }


def _said(what: str, wanted: object) -> str:
    if isinstance(wanted, bool):
        return what if wanted else f"not {what}"
    return f"{what}: {wanted}"


def _read_now(told: Facts) -> list[dict[str, object]]:
    """How each system that it would change stands, read now or said to be unread."""
    pairs = [(e["realm_id"], e["capability"]) for e in told["effects"]]
    read.refresh(told["kind"], told["name"], pairs, waiting.for_reading)
    titles = {e["realm_id"]: e["title"] for e in told["effects"]}
    found = read.states(told["kind"], told["name"], pairs, since.connectors_of(told))
    return [
        {"title": titles[s.realm], "said": approval_words.read_as(s), "wary": not s.fresh}
        for s in found
    ]


@page
@require_http_methods(["GET", "HEAD", "POST"])
def decide(request: SignedIn, ref: str) -> HttpResponse:
    """Take down the viewer's decision, under the key of its page: pressed twice, it is one.

    GET comes here after signing in anew, when the session was over: it shows the page, decides nothing.
    """
    if request.method != "POST":
        return redirect("approval", ref)
    _visible(request, ref)
    does = {"approve": approve.approve, "decline": approve.decline}.get(request.POST.get("do", ""))
    must(does is not None)
    assert does is not None
    given = (request.POST.get("reason", "")[:2000], request.POST.get("digest", ""))

    def write(key: str) -> Answer:
        return does(Who(caller=request.user.pk), ref, *given, key, "browser")

    def say(status: int, banner: wording.Outcome) -> HttpResponse:
        return _told(request, ref, status, banner)

    field = f"key-{request.POST['do']}"
    return press(request, ref, write, say, field=field, already="Already decided")


def _told(request: SignedIn, ref: str, status: int, banner: wording.Outcome) -> HttpResponse:
    """The page again, with what happened on top; where nothing can be read, the saying alone."""
    if status == 503:
        context = {"banner": banner, "back": ".", "back_to": "Back to the approval"}
        return render(request, "told.html", context, status=status)
    context = {**_context(request, _visible(request, ref)), "banner": banner}
    return render(request, "approval.html", context, status=status)
