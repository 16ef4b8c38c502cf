"""What keeps reasons and realms from who may not see them where approvals are listed, taken out."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

SEEN = "tests/contracts/test_approval_sight.py::"
REALM = SEEN + "test_what_waits_in_a_realm_is_not_told_to_who_may_not_see_it"
REASON = SEEN + "test_why_it_was_decided_so_is_not_told_to_who_may_not_know_why_it_was_asked"

MUTANTS = (
    Mutant(
        "what waits is listed to those who may see its realm",
        "actions/inbox.py",
        "    return history.in_sight(rows, sees)\n",
        "    return rows.filter(action__in=list(sees))\n",
        (REALM,),
    ),
    Mutant(
        "what was decided is listed to those who may see its realm",
        "actions/inbox.py",
        "history.in_sight(Operation.objects.filter(Exists(decided)), sees)",
        "Operation.objects.filter(Exists(decided), action__in=list(sees))",
        (REALM,),
    ),
    Mutant(
        "the second to decide is told no reason of a restricted incident",
        "actions/approve.py",
        'if shown and shown["reason"] is not None else ""',
        'if shown else ""',
        (REASON,),
    ),
    Mutant(
        "an operation's page tells no reason of a decision in a restricted incident",
        "console/approval_words.py",
        'if told["reason"] is not None else ""',
        "",
        (REASON,),
    ),
)
