"""The form, the draft that it becomes, and the button that runs it."""

from __future__ import annotations

from dataclasses import replace

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods
from django_htmx.http import HttpResponseClientRedirect

from actions import issue, naming, prepare, subjects
from actions.answer import Answer
from actions.ask import Ask
from actions.catalogue._base import Action
from actions.compare import DRAFT_GOES_STALE_AFTER
from actions.errors import NotFound, NotRecorded, ParamsRefused, Refusal, SubjectRefused
from actions.models import Draft
from actions.prepare import Prepared
from actions.registry import registry
from console import waiting, wording
from console.access import SignedIn, must, page, who
from console.forms import AskForm, filled_in
from console.views.draft_rows import rows_of
from console.views.errors import may_be_written, told_later
from console.views.wide import proposed, reach_of


@page
@require_http_methods(["GET", "POST"])
def new(request: SignedIn, name: str) -> HttpResponse:
    """The form of an action; what is sent becomes a draft with a URL of its own."""
    action = _action(request, name)
    if request.method == "GET":
        return _form(
            request, action, AskForm(action, request.user.pk, initial=_initial(request, action))
        )
    form = AskForm(action, request.user.pk, request.POST)
    if form.is_valid():
        try:
            made = prepare.prepare(who(request), _ask(request, action, form))
            return redirect("draft", made.draft.id)
        except Refusal as refusal:
            form.add_error(_field(form, refusal), refusal.message)
    return _form(request, action, form, status=422)


def _action(request: SignedIn, name: str) -> Action:
    try:
        action = registry.action(name)
    except NotFound:
        raise Http404 from None
    must(action.name in request.rights.asks)
    return action


def _initial(request: SignedIn, action: Action) -> dict[str, object]:
    """What a link may fill in beforehand: only text that the form shows, and nothing runs.

    A draft fills it only for those who may ask for what it asks for: they alone may see it.
    """
    draft = _known(request, request.GET.get("draft", ""))
    if draft is None or not _may_know(request, draft):
        given = {name: request.GET.get(name, "")[:200] for name in ("subject", "incident", "again")}
        return {**given, **proposed(request, action, given["subject"])}
    own = draft.action == action.name
    return {
        **(filled_in(action, draft.params) if own else {}),
        "again": draft.seen if own and draft.again else None,
        # An account by its id: what it was called may be somebody else by now.
        "subject": subjects.Subject(draft.subject_kind, draft.subject_name, 0).label,
        "reason": draft.reason,
        "incident": draft.incident.ref if draft.incident else "",
    }


def _may_know(request: SignedIn, draft: Draft) -> bool:
    realm = subjects.Subject(draft.subject_kind, draft.subject_name, 0).realm
    asks = request.rights.asks_realms
    return draft.action in request.rights.asks and (realm is None or realm in asks)


def _known(request: SignedIn, draft_id: str) -> Draft | None:
    try:
        return prepare.find(draft_id, lambda: request.user.pk)
    except NotFound:
        return None


def _ask(request: SignedIn, action: Action, form: AskForm) -> Ask:
    again = form.cleaned_data["again"]
    incident = form.cleaned_data["incident"]
    subject = naming.subject(action.kind, form.cleaned_data["subject"], lambda: request.user.pk)
    if not action.takes_back:
        naming.heed(subject, lambda: request.user.pk)
    return Ask(
        action=action,
        subject=subject,
        params=form.params(),
        reason=" ".join(form.cleaned_data["reason"].split()),
        key=prepare.new_key(),
        via="browser",
        incident=int(incident.removeprefix("INC-")) if incident else None,
        seen=again,
        again=again is not None,
    )


def _field(form: AskForm, refusal: Refusal) -> str | None:
    if isinstance(refusal, SubjectRefused) or refusal.code == "too_wide":
        return "subject"
    if isinstance(refusal, ParamsRefused):
        return form.field_of(str(refusal.facts.get("field", "")))
    return "reason" if refusal.code == "again_needs_reason" else None


def _form(request: HttpRequest, action: Action, form: AskForm, status: int = 200) -> HttpResponse:
    about = [
        (
            "Undo",
            registry.action(action.inverse).title if action.inverse else "There is no way back",
        ),
        ("What is the same intent", action.answers.identifies),
        ("What can happen twice", action.answers.duplicates),
    ]
    context = {"action": action, "form": form, "about": about}
    return render(request, "form.html", context, status=status)


@page
@require_GET
def show(request: SignedIn, draft_id: str) -> HttpResponse:
    """What the draft would do, beside what is true now; its key is its URL."""
    draft = _draft(request, draft_id)
    made = _revisit(request, draft)
    prepare.show(draft)
    return render(request, "draft.html", _context(made))


def _draft(request: SignedIn, draft_id: str) -> Draft:
    draft = _known(request, draft_id)
    if draft is None:
        raise Http404
    return draft


def _revisit(request: SignedIn, draft: Draft) -> Prepared:
    try:
        return prepare.revisit(who(request), draft, waiting.for_reading)
    except NotFound:
        raise Http404 from None


def _context(made: Prepared) -> dict[str, object]:
    draft = made.draft
    action = registry.action(draft.action)
    return {
        "action": action,
        "draft": draft,
        "drafter": draft.caller.username,
        "heading": f"Check before you go on: {made.preview.button[0].lower()}{made.preview.button[1:]}",
        "expires_at": draft.created_at + DRAFT_GOES_STALE_AFTER,
        "standing": _standing(made),
        "rows": rows_of(made),
        "confirm": made.preview.button,
        "confirm_text": _confirm_text(made),
        "oneway": action.inverse is None,
        "reach": None if action.takes_back else reach_of(made.plan.subject),
        "own": made.own,
        "to_type": made.to_type,
    }


def _standing(made: Prepared) -> wording.Outcome | None:
    """What would be told now, when that is not simply that it is made."""
    told = made.would.told
    match made.would.disposition:
        case "created":
            return None
        case "existing" if told is not None:
            return wording.Outcome("same", "Nothing is left to do", [made.would.message])
        case "resumed":
            return wording.Outcome("partly", "Unfinished", [made.would.message])
        case disposition:
            return wording.refused(disposition, made.would.message, made.would.code)


def _confirm_text(made: Prepared) -> str:
    if made.would.disposition == "existing":
        return "Confirming records your request and changes nothing: what stands is enough."
    effects = len(made.plan.effects)
    if made.would.waits:
        return f"This asks for it. Nothing is sent before {made.needs.words} approved it."
    systems = len({effect.realm for effect in made.plan.effects})
    steps = f", in {effects} steps" if effects > systems else ""
    return f"This changes {systems} system{'s' if systems != 1 else ''}{steps}, once."


@page
@require_http_methods(["GET", "HEAD", "POST"])
def run(request: SignedIn, draft_id: str) -> HttpResponse:
    """Confirm the draft, under its own key: pressed twice, it runs once.

    GET comes here after signing in anew, when the session was over: it shows the draft, runs nothing.
    """
    if request.method != "POST":
        return redirect("draft", draft_id)
    draft = _draft(request, draft_id)
    ask = replace(prepare.ask_of(draft, "browser"), confirm=request.POST.get("confirm", "")[:80])
    may_be_written(request)
    try:
        told = issue.submit(who(request), ask, waiting.for_reading)
    except NotRecorded as lost:
        return _told(request, draft, 503, wording.refused(lost.code, lost.message))
    except Refusal as refusal:
        banner = wording.refused("refused", refusal.message, refusal.code)
        return _told(request, draft, 422, banner)
    if told.status >= 400:
        must(told.status != 404)
        banner = wording.refused(told.disposition, told.message, told.code)
        return told_later(_told(request, draft, told.status, banner), told.retry_after)
    return _to_operation(request, told)


def _to_operation(request: HttpRequest, told: Answer) -> HttpResponse:
    assert told.operation is not None
    url = reverse("operation", args=[told.operation["ref"]])
    if getattr(request, "htmx", False):
        return HttpResponseClientRedirect(url)
    response = redirect(url)
    response.status_code = 303
    return response


def _told(request: SignedIn, draft: Draft, status: int, banner: wording.Outcome) -> HttpResponse:
    """The draft's page again, saying what happened; for htmx only the saying."""
    if getattr(request, "htmx", False):
        return render(request, "parts/banner.html", {"banner": banner}, status=status)
    if status == 503:
        back = reverse("draft", args=[draft.id])
        context = {"banner": banner, "back": back, "back_to": "Back to the draft"}
        return render(request, "told.html", context, status=status)
    return render(
        request,
        "draft.html",
        {**_context(_revisit(request, draft)), "banner": banner},
        status=status,
    )
