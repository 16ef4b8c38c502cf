"""Failovers, clocks and lines: what keeps a database that forgot, or does not answer, from doing harm."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

RECOVERED = "tests/contracts/test_recovered.py::"
FORGOTTEN = "actions/forgotten.py"
SETTLE = "actions/settle.py"
RECOVER = "actions/recover.py"
TIMELINE = "actions/sql/timeline.sql"
BOUNDED = "tests/contracts/test_bounded.py::"
CLOCKS = (
    "tests/faults/test_clocks.py::"
    "test_who_signed_in_where_the_clock_is_wrong_is_signed_in_for_eight_hours_and_no_more"
)
SENT = RECOVERED + "test_what_may_have_been_sent_is_found_to_be_there_and_not_sent_again"
FENCE = RECOVERED + "test_who_was_given_a_fence_that_the_database_forgot_"
NEVER_LET_GO = RECOVERED + "test_what_waited_for_approval_and_is_never_let_go_is_read_and_not_sent"
BEHIND = RECOVERED + "test_a_step_behind_one_that_failed_is_read_and_not_sent"
STEPS = RECOVERED + "test_of_steps_that_waited_one_is_read_and_a_person_looks_at_the_rest"
LIFTED = (
    RECOVERED + "test_a_ban_that_expired_and_is_in_force_is_lifted_in_its_time_and_shown_until_then"
)

MUTANTS = (
    Mutant(
        "failover: nothing is taken up before it is confirmed",
        TIMELINE,
        "  IF NOT timeline_confirmed() THEN\n    RAISE",
        "  IF false THEN\n    RAISE",
        (
            RECOVERED
            + "test_nothing_is_taken_up_after_a_failover_until_somebody_says_how_much_was_lost",
        ),
    ),
    Mutant(
        "failover: what may have been sent is not taken up unread",
        FORGOTTEN,
        "NOT EXISTS (SELECT FROM attempt a WHERE a.effect_id = e.id AND",
        "NOT EXISTS (SELECT FROM attempt a WHERE false AND a.effect_id = e.id AND",
        (SENT,),
    ),
    Mutant(
        "failover: what is asked for anew is read first",
        FORGOTTEN,
        "AND NOT (e.attempts = 0 AND",
        "AND NOT (false AND e.attempts = 0 AND",
        (RECOVERED + "test_what_was_lost_altogether_and_is_asked_for_again_is_read_first",),
    ),
    Mutant(
        "failover: what was being sent is in doubt",
        RECOVER,
        "(e.state IN ('executing', 'in_doubt')\n",
        "(e.state IN ('in_doubt')\n",
        (RECOVERED + "test_what_was_taken_up_and_not_known_to_be_called_is_in_doubt",),
    ),
    Mutant(
        "failover: what waits is marked",
        RECOVER,
        "e.state IN ('held', 'blocked')",
        "e.state IN ('held')",
        (RECOVERED + "test_a_step_that_waited_is_read_before_it_is_sent_too",),
    ),
    Mutant(
        "failover: what is cancelled is read, whoever cancels it",
        "actions/sql/overtake.sql",
        "WHEN (OLD.state IN ('held', 'blocked', 'ready') AND NEW.state = 'cancelled')",
        "WHEN (false)",
        (*(NEVER_LET_GO + f"[yes-{how}]" for how in ("expire", "withdraw")), BEHIND),
    ),
    Mutant(
        "failover: one of a lane and realm is read at a time",
        "actions/sql/overtake.sql",
        "AND e.realm_id = NEW.realm_id AND e.state IN ('executing', 'in_doubt')",
        "AND false",
        (STEPS,),
        raises="psycopg.errors.UniqueViolation",
    ),
    Mutant(
        "failover: what is over is read and not sent",
        "actions/reconcile.py",
        "operation.state in states.VOID or _behind",
        "_behind",
        (NEVER_LET_GO + "[no-expire]",),
    ),
    Mutant(
        "failover: a step behind one that is lost is not sent",
        "actions/reconcile.py",
        " or _behind_what_is_lost(effect, operation)",
        "",
        (BEHIND,),
    ),
    Mutant(
        "failover: nobody knows what was not read yet",
        "actions/force.py",
        'return bool(effect.get("forgotten")) and not later',
        "return False",
        (NEVER_LET_GO + "[yes-expire]",),
    ),
    Mutant(
        "failover: who called before is waited for",
        RECOVER,
        '"over": lost.until + timedelta(seconds=settings.LEASE_SECONDS + _settle(one.id))',
        '"over": lost.until',
        (RECOVERED + "test_nobody_reads_it_before_those_who_may_have_called_it_are_through",),
    ),
    Mutant(
        "failover: what is over is not set going by a person",
        "actions/decide.py",
        'if case.told["state"] in states.VOID and case.is_newest:',
        "if False:",
        (STEPS,),
        raises="actions.errors.NotRecorded",  # the database lets it through no more
    ),
    Mutant(
        "failover: what is over and in force is lifted in its time",
        "actions/sql/issue_end.sql",
        "    WHEN o.state IN ('declined', 'expired', 'cancelled', 'failed', 'superseded')\n",
        "    WHEN o.state = 'expired' THEN 'nothing of it is in place'\n"
        "    WHEN o.state IN ('declined', 'expired', 'cancelled', 'failed', 'superseded')\n",
        (LIFTED,),
    ),
    Mutant(
        "failover: what is over and in force is shown before an incident is closed",
        "actions/remains.py",
        "OR EXISTS (SELECT FROM effect e WHERE e.operation_id = o.id\n",
        "OR EXISTS (SELECT FROM effect e WHERE o.state <> 'expired' AND e.operation_id = o.id\n",
        (LIFTED,),
    ),
    Mutant(
        "failover: what failed is marked",
        RECOVER,
        "e.state IN ('failed', 'cancelled')",
        "e.state IN ('cancelled')",
        (RECOVERED + "test_what_failed_shortly_before_is_read_when_it_is_set_going_again",),
    ),
    Mutant(
        "failover: the lease of who called before is waited for",
        RECOVER,
        "quiet = settings.LEASE_SECONDS + ",
        "quiet = ",
        (RECOVERED + "test_a_doubt_waits_until_nobody_who_called_before_can_call_any_more",),
    ),
    Mutant(
        "failover: only what was not tried since",
        RECOVER,
        "AND a.claimed_at > %(until)s)\n",
        "AND false)\n",
        (
            RECOVERED
            + "test_said_twice_it_is_done_once_and_said_with_an_earlier_time_it_finds_the_rest",
        ),
    ),
    Mutant(
        "failover: only what was asked for before",
        RECOVER,
        "   AND o.requested_at <= %(until)s\n",
        "",
        (RECOVERED + "test_what_was_asked_for_afterwards_was_not_sent_before",),
    ),
    Mutant(
        "failover: a fence given out twice settles nothing",
        SETTLE,
        "        Exists(known), id=attempt.effect_id,",
        "        id=attempt.effect_id,",
        (
            FENCE + "settles_nothing",
            FENCE + "does_not_call[observed]",
            FENCE + "does_not_call[natural]",
        ),
    ),
    Mutant(
        "failover: a fence given out twice decides no doubt",
        SETTLE,
        "        Exists(Attempt.objects.filter(id=attempt.id)),\n",
        "",
        (FENCE + "settles_nothing",),
    ),
    Mutant(
        "failover: a keeper takes nothing back before it is confirmed",
        "actions/keeper.py",
        "        if not self._confirmed:\n            return\n",
        "",
        (RECOVERED + "test_a_keeper_takes_nothing_back_and_settles_no_doubt_before_that",),
    ),
    Mutant(
        "failover: a keeper settles no doubt before it is confirmed",
        "actions/reconcile.py",
        "   AND (SELECT timeline_confirmed())\n",
        "",
        (RECOVERED + "test_a_keeper_takes_nothing_back_and_settles_no_doubt_before_that",),
    ),
    Mutant(
        "lines: a silent database is given up",
        "actions/bounded.py",
        "return super().wait(gen, interval, ANSWERS_WITHIN)",
        "return super().wait(gen, interval)",
        (BOUNDED + "test_a_statement_that_is_not_answered_is_given_up_with_its_line",),
    ),
    Mutant(
        "lines: what was given up is not used again",
        "actions/bounded.py",
        "            self.close()\n",
        "",
        (BOUNDED + "test_a_statement_that_is_not_answered_is_given_up_with_its_line",),
    ),
    Mutant(
        "clocks: a session begins by the database's clock",
        "console/sessions.py",
        "        made.expire_date = Now() + timedelta(seconds=self.get_expiry_age())\n",
        "",
        (CLOCKS,),
    ),
    Mutant(
        "clocks: a session ends by the database's clock",
        "console/sessions.py",
        "expire_date__gt=Now()",
        "expire_date__gt=__import__('django.utils.timezone', fromlist=['now']).now()",
        (CLOCKS,),
    ),
)
