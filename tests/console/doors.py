"""Every door of the console, a row each: what each role is answered there.

To add a page or a call, add its row. Columns: who asks. The path is filled in from the scene that the
test sets up (`{op}`, `{incident}`…); a body is what is sent with a POST, `{key}` fresh each time.

    303, 201…    done, or led on      404    does not exist for them      403    they may not
    302          to the sign-in       401    no token that we know        405    not a POST's address
"""

from __future__ import annotations

from dataclasses import dataclass, field

ROLES = ("responder", "approver", "auditor", "admin", "stranger", "runbook", "anonymous")
"""A stranger signs in, or has a token of every scope, and is in no group. A runbook has only a token."""


@dataclass(frozen=True)
class Door:
    """`name` is the URL's name, or of the API the method and path; `told` is one status a role."""

    name: str
    method: str
    path: str
    told: tuple[int, ...]
    body: dict[str, object] = field(default_factory=dict)


def _door(name: str, method: str, path: str, told: str, **body: object) -> Door:
    statuses = tuple(int(status) for status in told.split())
    assert len(statuses) == len(ROLES), name
    return Door(name, method, path, statuses, body)


def _call(method: str, path: str, filled: str, told: str, **body: object) -> Door:
    return _door(f"{method} {path}", method, f"/api/v1{filled or path}", told, **body)


#     name, method, path                                                    resp appr audi admi stra runb anon
PAGES = (
    _door("board", "GET", "/",                                               "200 200 200 200 200 302 302"),
    _door("sign-in", "GET", "/sign-in",                                      "302 302 302 302 302 200 200"),
    _door("logout", "GET", "/sign-out",                                      "405 405 405 405 405 405 405"),
    _door("incident-new", "GET", "/incidents/new?key=inc_0123456789abcdef",  "200 404 404 404 404 302 302"),
    _door("incident-new", "POST", "/incidents/new",                          "422 404 404 404 404 302 302"),
    _door("incident", "GET", "/incidents/{incident}",                        "200 200 200 200 404 302 302"),
    _door("actions", "GET", "/actions",                                      "200 200 200 200 200 302 302"),
    _door("action", "GET", "/actions/ban-network",                           "200 200 200 200 404 302 302"),
    _door("draft-new", "GET", "/actions/ban-network/new",                    "200 404 404 404 404 302 302"),
    _door("draft-new", "POST", "/actions/ban-network/new",                   "422 404 404 404 404 302 302"),
    _door("draft", "GET", "/drafts/{draft}",                                 "200 404 404 404 404 302 302"),
    _door("draft-run", "POST", "/drafts/{draft}/run",                        "412 404 404 404 404 302 302"),
    _door("operations", "GET", "/operations",                                "200 200 200 200 200 302 302"),
    _door("operation", "GET", "/operations/{op}",                            "200 200 200 200 404 302 302"),
    _door("operation-live", "GET", "/operations/{op}/live",                  "200 200 200 200 404 302 302"),
    _door("operation-check", "POST", "/operations/{op}/check",               "303 303 303 303 404 302 302"),
    _door("value", "POST", "/operations/{op}/value",                         "409 404 404 404 404 302 302"),
    _door("value-acknowledge", "POST", "/operations/{op}/value/acknowledge", "404 404 404 404 404 302 302"),
    _door("operation-finish", "POST", "/operations/{op}/finish",             "303 403 403 403 404 302 302",
          key="{key}"),
    _door("operation-cancel", "POST", "/operations/{op}/cancel",             "409 403 403 403 404 302 302",
          key="{key}"),
    _door("operation-undo", "GET", "/operations/{op}/undo",                  "200 404 404 404 404 302 302"),
    _door("operation-undo", "POST", "/operations/{op}/undo",                 "422 404 404 404 404 302 302"),
    _door("effect-decide", "POST", "/operations/{op}/effects/{effect}/decide", "409 403 403 403 404 302 302",
          key="{key}", to="failed", reason="looked"),
    _door("subjects", "GET", "/subjects",                                    "200 200 200 200 200 302 302"),
    _door("subject", "GET", "/subjects/network/{network}/32",                "200 200 200 200 404 302 302"),
    _door("lists", "GET", "/lists",                                          "200 200 200 200 200 302 302"),
    _door("list", "GET", "/lists/blocked-networks.txt",                      "200 200 200 200 404 200 401"),
    _door("log", "GET", "/log",                                              "404 404 200 200 404 302 302"),
    _door("people", "GET", "/people",                                        "404 404 200 200 404 302 302"),
    _door("person-new", "GET", "/people/new",                                "404 404 404 200 404 302 302"),
    _door("person-new", "POST", "/people/new",                               "404 404 404 422 404 302 302"),
    _door("person", "GET", "/people/raj",                                    "404 404 200 200 404 302 302"),
    _door("person-close", "POST", "/people/{other}/close",                   "404 404 404 303 404 302 302"),
    _door("person-reopen", "POST", "/people/{other}/reopen",                 "404 404 404 200 404 302 302"),
    _door("person-member", "POST", "/people/{other}/member",                 "404 404 404 303 404 302 302",
          group="auditors", member="no"),
    _door("groups", "GET", "/groups",                                        "404 404 200 200 404 302 302"),
    _door("group-new", "POST", "/groups/new",                                "404 404 404 422 404 302 302"),
    _door("group", "GET", "/groups/responders",                              "404 404 200 200 404 302 302"),
    _door("group-rights", "POST", "/groups/responders/rights",               "404 404 404 422 404 302 302",
          kind="all", right="everything"),
    _door("tokens", "GET", "/tokens",                                        "404 404 200 200 404 302 302"),
    _door("token-new", "GET", "/tokens/new",                                 "404 404 404 200 404 302 302"),
    _door("token-new", "POST", "/tokens/new",                                "404 404 404 422 404 302 302"),
    _door("token-withdraw", "POST", "/tokens/{token}/withdraw",              "404 404 404 303 404 302 302"),
    _door("approvals", "GET", "/approvals",                                  "200 200 200 200 200 302 302"),
    _door("approval", "GET", "/approvals/{op}",                              "404 404 404 404 404 302 302"),
    _door("approval-decide", "POST", "/approvals/{op}/decide",               "404 404 404 404 404 302 302",
          key="{key}", decision="approve", reason="a door is tried", digest="00"),
    _door("break-glass", "GET", "/break-glass",                              "404 404 200 200 404 302 302"),
    _door("break-glass", "POST", "/break-glass",                             "404 404 403 403 404 302 302",
          reason="a door is tried"),
    _door("break-glass-close", "POST", "/break-glass/00000000-0000-4000-8000-000000000000/close",
                                                                             "404 404 404 404 404 302 302"),
    _door("incidents", "GET", "/incidents",                                  "200 200 200 200 404 302 302"),
    _door("incident-note", "POST", "/incidents/{incident}/notes",            "422 404 404 404 404 302 302",
          key="inc_{key}", text="a door is tried"),
    _door("incident-change", "POST", "/incidents/{incident}/change",         "404 404 404 404 404 302 302",
          key="inc_{key}", version="0"),
    _door("incident-close", "GET", "/incidents/{incident}/close",            "200 404 404 404 404 302 302"),
    _door("incident-close", "POST", "/incidents/{incident}/close",           "412 404 404 404 404 302 302",
          key="inc_{key}", version="0"),
    _door("notices", "GET", "/notices",                                      "404 404 404 200 404 302 302"),
    _door("account-notices", "GET", "/account/notices",                      "200 200 200 200 200 302 302"),
    _door("account-notices", "POST", "/account/notices",                     "404 404 404 404 404 302 302",
          do="nothing"),
    _door("protected", "GET", "/protected",                                  "404 404 200 200 404 302 302"),
    _door("protected", "POST", "/protected",                                 "404 404 404 422 404 302 302"),
    _door("protected-withdraw", "POST", "/protected/1/withdraw",             "404 404 404 422 404 302 302"),
    _door("operation-keep", "POST", "/operations/{op}/keep",                 "409 403 403 403 404 302 302",
          key="{key}"),
    _door("draft-reach", "GET", "/drafts/{draft}/reach",                     "200 404 404 404 404 302 302"),
    _door("healthz", "GET", "/healthz",                                      "200 200 200 200 200 200 200"),
    _door("readyz", "GET", "/readyz",                                        "200 200 200 200 200 200 200"),
)  # fmt: skip

_BAN = {"action": "ban-network", "params": {"for": "24h"}, "reason": "a door is tried"}
_ON = {"kind": "network", "name": "{network}"}

CALLS = (
    _call("GET", "/actions", "",                                             "200 200 200 200 200 200 401"),
    _call("GET", "/actions/{action}", "/actions/ban-network",                "200 200 200 200 404 200 401"),
    _call("POST", "/drafts", "",                                             "201 403 403 403 404 201 401",
          subject=_ON, **_BAN),
    _call("GET", "/drafts/{draft}", "/drafts/{draft}",                       "200 404 404 404 404 200 401"),
    _call("POST", "/operations", "",                                         "200 403 403 403 404 200 401",
          subject=_ON, **_BAN),
    _call("GET", "/operations", "",                                          "200 200 200 200 200 200 401"),
    _call("GET", "/operations/{ref}", "/operations/{op}",                    "200 200 200 200 404 200 401"),
    _call("POST", "/operations/{ref}/check", "/operations/{op}/check",       "200 200 200 200 404 200 401"),
    _call("POST", "/operations/{ref}/finish", "/operations/{op}/finish",     "200 403 403 403 404 200 401"),
    _call("POST", "/operations/{ref}/cancel", "/operations/{op}/cancel",     "409 403 403 403 404 409 401"),
    _call("POST", "/operations/{ref}/undo", "/operations/{lifted}/undo",     "412 403 403 403 404 412 401",
          reason="a door is tried"),
    _call("POST", "/operations/{ref}/effects/{n}/decide", "/operations/{op}/effects/{effect}/decide",
                                                                             "409 403 403 403 404 403 401",
          to="failed", reason="looked"),
    _call("POST", "/operations/{ref}/value", "/operations/{op}/value",       "404 404 404 404 404 404 401"),
    _call("POST", "/operations/{ref}/value/acknowledge", "/operations/{op}/value/acknowledge",
                                                                             "404 404 404 404 404 404 401"),
    _call("GET", "/requests/{key}", "/requests/{key_of_op}",                 "200 404 404 404 404 404 401"),
    _call("GET", "/subjects", "/subjects?kind=network&name={network}",       "200 200 200 200 200 200 401"),
    _call("GET", "/incidents", "",                                           "200 200 200 200 404 200 401"),
    _call("POST", "/incidents", "",                                          "201 403 403 403 403 201 401",
          title="A door is tried"),
    _call("GET", "/incidents/{ref}", "/incidents/{incident}",                "200 200 200 200 404 200 401"),
    _call("PATCH", "/incidents/{ref}", "/incidents/{incident}",              "412 403 403 403 403 412 401",
          title="A door is tried", version=0),
    _call("POST", "/incidents/{ref}/notes", "/incidents/{incident}/notes",   "201 403 403 403 403 201 401",
          text="a door is tried"),
    _call("GET", "/incidents/{ref}/timeline", "/incidents/{incident}/timeline",
                                                                             "200 200 200 200 404 200 401"),
    _call("GET", "/approvals", "",                                           "200 200 200 200 200 200 401"),
    _call("POST", "/operations/{ref}/approve", "/operations/{op}/approve",   "403 403 403 403 404 403 401",
          reason="a door is tried"),
    _call("POST", "/operations/{ref}/decline", "/operations/{op}/decline",   "403 403 403 403 404 403 401",
          reason="a door is tried"),
    _call("GET", "/operations/{ref}/keep", "/operations/{op}/keep",          "409 409 409 409 404 409 401"),
    _call("POST", "/operations/{ref}/keep", "/operations/{op}/keep",         "409 403 403 403 404 409 401",
          proof=""),
    _call("GET", "/lists/{name}.txt", "/lists/blocked-networks.txt",         "200 200 200 200 404 200 401"),
)  # fmt: skip
