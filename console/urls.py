"""Where everything is."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path
from django.views.decorators.http import require_safe

from console.api import api
from console.views import (
    board,
    catalogue,
    drafts,
    groups,
    health,
    incident,
    incidents,
    lists,
    log,
    operations,
    people,
    subjects,
    tokens,
    values,
    verbs,
)

urlpatterns = [
    path("", board.board, name="board"),
    path("sign-in", LoginView.as_view(redirect_authenticated_user=True), name="sign-in"),
    path("sign-out", LogoutView.as_view(), name="logout"),
    path("incidents/new", incidents.new, name="incident-new"),
    path("incidents", incidents.index, name="incidents"),
    path("incidents/<str:ref>", incident.show, name="incident"),
    path("incidents/<str:ref>/notes", incident.note, name="incident-note"),
    path("incidents/<str:ref>/change", incident.change, name="incident-change"),
    path("incidents/<str:ref>/close", incident.close, name="incident-close"),
    path("actions", catalogue.index, name="actions"),
    path("actions/<slug:name>", catalogue.show, name="action"),
    path("actions/<slug:name>/new", drafts.new, name="draft-new"),
    path("drafts/<str:draft_id>", drafts.show, name="draft"),
    path("drafts/<str:draft_id>/run", drafts.run, name="draft-run"),
    path("operations", operations.index, name="operations"),
    path("operations/<str:ref>", operations.show, name="operation"),
    path("operations/<str:ref>/check", operations.check, name="operation-check"),
    path("operations/<str:ref>/live", operations.live, name="operation-live"),
    path("operations/<str:ref>/value", values.show, name="value"),
    path("operations/<str:ref>/value/acknowledge", values.acknowledge, name="value-acknowledge"),
    path("operations/<str:ref>/finish", verbs.finish, name="operation-finish"),
    path("operations/<str:ref>/cancel", verbs.cancel, name="operation-cancel"),
    path("operations/<str:ref>/undo", verbs.undo_it, name="operation-undo"),
    path("operations/<str:ref>/effects/<int:n>/decide", verbs.decide, name="effect-decide"),
    path("subjects", subjects.find, name="subjects"),
    path("subjects/<slug:kind>/<path:name>", subjects.show, name="subject"),
    path("lists", lists.index, name="lists"),
    path("lists/<str:name>.txt", require_safe(lists.pull), name="list"),
    path("log", log.index, name="log"),
    path("people", people.index, name="people"),
    path("people/new", people.new, name="person-new"),
    path("people/<str:username>", people.show, name="person"),
    path("people/<str:username>/close", people.close, name="person-close"),
    path("people/<str:username>/reopen", people.reopen, name="person-reopen"),
    path("people/<str:username>/member", people.member, name="person-member"),
    path("groups", groups.index, name="groups"),
    path("groups/new", groups.new, name="group-new"),
    path("groups/<str:name>", groups.show, name="group"),
    path("groups/<str:name>/rights", groups.rights, name="group-rights"),
    path("tokens", tokens.index, name="tokens"),
    path("tokens/new", tokens.new, name="token-new"),
    path("tokens/<str:token>/withdraw", tokens.withdraw, name="token-withdraw"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("api/v1/", api.urls),
]

# Whatever no view answered for, database trouble foremost.
handler500 = "console.views.errors.broke"
