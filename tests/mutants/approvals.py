"""The guards of approvals and break-glass, each taken out once."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

SQL = "actions/sql/approvals.sql"
GLASS = "actions/sql/break_glass.sql"
ISSUE = "actions/sql/issue.sql"
VERBS = "actions/sql/verbs.sql"
APPROVE = "actions/approve.py"
COMPARE = "actions/compare.py"
AWAITED = "actions/awaited.py"
ONE = "tests/contracts/test_approvals.py::"
TWO = "tests/contracts/test_waiting.py::"
WHO = ONE + "test_who_may_not_decide_is_refused_by_name_and_by_the_database"


def _who(rule: str, old: str, new: str = "WHEN false", *, raises: str = "") -> Mutant:
    return Mutant(
        f"who may not decide: {rule}", SQL, old, new, (f"{WHO}[approve-{rule}]",), raises=raises
    )


MUTANTS = (
    _who("approval_not_by_requester", "WHEN p_caller = o.requested_by_id"),
    _who(
        "approval_not_by_drafter",
        "AND p_caller IN (d.caller_id, t.owner_id))",
        "AND p_caller = t.owner_id)",
    ),
    _who(
        "approval_not_by_drafter by their token",
        "AND p_caller IN (d.caller_id, t.owner_id))",
        "AND p_caller = d.caller_id)",
    ),
    Mutant(
        "a draft keeps the token that made it",
        "actions/prepare.py",
        "token_id=seen.token.id if seen.token else None,",
        "token_id=None,",
        (f"{WHO}[approve-approval_not_by_drafter by their token]",),
    ),
    _who("approval_not_by_token_owner", "AND t.owner_id = p_caller)", "AND false)"),
    _who("approval_needs_the_right", "WHEN NOT may_approve(p_caller, o.id)"),
    _who(
        "approval_needs_the_right in each system",
        "WHERE e.operation_id = p_operation AND NOT {{may_approve_realm}})",
        "WHERE false)",
    ),
    _who(
        "approval_needs_the_group",
        "m.group_id = (n ->> 'id')::int AND m.caller_id = p_caller)",
        "m.caller_id = p_caller)",
    ),
    _who(
        "approval_by_a_person",
        "WHEN NOT EXISTS (SELECT FROM caller c WHERE c.id = p_caller AND c.is_active AND c.kind = 'person')",
    ),
    _who("approval_not_too_late", "WHEN o.approve_by <= clock_timestamp()"),
    _who(
        "approval_only_while_awaiting",
        "WHEN o.state <> 'awaiting_approval'",
        raises="psycopg.DatabaseError",
    ),
    Mutant(
        "a decision is on the plan that was shown",
        SQL,
        "WHEN p_digest IS DISTINCT FROM o.plan_digest",
        "WHEN false",
        (ONE + "test_another_plan_than_the_one_shown_is_not_approved",),
    ),
    Mutant(
        "who goes alone approves nothing",
        SQL,
        "WHEN break_glass_of(p_caller) IS NOT NULL",
        "WHEN false",
        (ONE + "test_who_goes_alone_approves_nothing",),
    ),
    Mutant(
        "the table asks, too",
        SQL,
        "  IF v_no IS NOT NULL THEN",
        "  IF false THEN",
        (f"{WHO}[approve-approval_not_by_requester]",),
    ),
    Mutant(
        "a person is counted once, whatever their groups",
        SQL,
        "- 1 LOOP\n    SELECT sum(",
        "- 1 LOOP\n    CONTINUE WHEN v_mask & (v_mask - 1) <> 0;\n    SELECT sum(",
        (ONE + "test_somebody_of_two_groups_is_counted_once",),
    ),
    Mutant(
        "approvals are counted",
        SQL,
        "< v_want THEN",
        "< 1 THEN",
        (ONE + "test_three_hundred_decisions_of_three_people_at_once_are_three",),
    ),
    Mutant(
        "what waits is let go by enough",
        SQL,
        "IF NEW.state = 'approved' AND NOT approvals_enough(NEW.id) THEN",
        "IF false THEN",
        (ONE + "test_a_worker_lets_nothing_go_that_waits",),
    ),
    Mutant(
        "what is held stays held until then",
        SQL,
        "WHERE o.id = NEW.operation_id) <> 'approved' THEN",
        "WHERE o.id = NEW.operation_id) = 'nothing' THEN",
        (ONE + "test_a_worker_lets_nothing_go_that_waits",),
    ),
    Mutant(
        "a person decides once",
        SQL,
        "  IF FOUND THEN\n    RETURN 'moved';",
        "  IF false THEN\n    RETURN 'moved';",
        (ONE + "test_one_person_who_decides_in_two_tabs_at_once_decides_once",),
        raises="psycopg.errors.UniqueViolation",
    ),
    Mutant(
        "an approval takes the lane",
        SQL,
        "WHERE id = v_older;",
        "WHERE false;",
        (TWO + "test_what_runs_is_not_overtaken_by_what_only_waits_but_by_its_approval",),
        raises="psycopg.errors.UniqueViolation",
    ),
    Mutant(
        "approvals are asked for again before the call",
        "actions/objection.py",
        '    if not database.value("SELECT approvals_stand(',
        '    if False and not database.value("SELECT approvals_stand(',
        (
            TWO + "test_an_approval_that_is_gone_lets_nothing_run",
            TWO + "test_rights_taken_away_at_any_point_let_nothing_run",
            TWO + "test_what_an_admin_closes_sends_nothing_more",
        ),
    ),
    Mutant(
        "what an admin closed",
        GLASS,
        "SELECT b.withdrawn_at IS NULL\n     AND",
        "SELECT",
        (
            TWO + "test_what_an_admin_closes_sends_nothing_more",
            TWO + "test_what_an_admin_closes_once_it_is_over_sends_nothing_more[its hour is over]",
        ),
    ),
    Mutant(
        "an admin withdraws what is over",
        GLASS,
        "ELSIF NOT (v_open OR v_withdraws) THEN",
        "ELSIF NOT v_open THEN",
        tuple(
            TWO + f"test_what_an_admin_closes_once_it_is_over_sends_nothing_more[{over}]"
            for over in ("its holder closed it", "its hour is over", "the keeper saw so")
        ),
    ),
    Mutant(
        "an admin withdraws it once",
        GLASS,
        "b.caller_id <> p_by AND b.withdrawn_at IS NULL;",
        "b.caller_id <> p_by;",
        (
            TWO
            + "test_what_an_admin_closes_once_it_is_over_sends_nothing_more[its holder closed it]",
        ),
        raises="psycopg.DatabaseError",
    ),
    Mutant(
        "break-glass has an end",
        GLASS,
        "AND b.closed_at IS NULL AND b.ends_at > clock_timestamp()",
        "AND b.closed_at IS NULL",
        (TWO + "test_its_hour_is_an_hour",),
    ),
    Mutant(
        "break-glass is for the sealed group",
        GLASS,
        "IF NOT has_console_right(p_caller, 'break_glass') THEN",
        "IF false THEN",
        (TWO + "test_break_glass_needs_the_sealed_group_and_a_reason",),
    ),
    Mutant(
        "who may close it",
        GLASS,
        "NOT (b.caller_id = p_by OR has_console_right(p_by, 'administer'))",
        "false",
        (TWO + "test_it_is_opened_once_logged_and_closed_once",),
    ),
    Mutant(
        "break-glass is logged",
        GLASS,
        "    PERFORM log_break_glass('break_glass.opened', opened, p_caller);\n",
        "",
        (TWO + "test_it_is_opened_once_logged_and_closed_once",),
    ),
    Mutant(
        "a token has no break-glass",
        "actions/sql/look.sql",
        "IF token IS NULL AND EXISTS",
        "IF EXISTS",
        (TWO + "test_a_token_has_no_break_glass",),
        raises="actions.errors.NotRecorded",
    ),
    Mutant(
        "the database asks the rules itself",
        ISSUE,
        "     WHERE n.needs = p_approvals;\n",
        "     WHERE true;\n",
        (ONE + "test_web_cannot_say_that_nothing_is_needed",),
    ),
    Mutant(
        "what only waits takes no lane",
        ISSUE,
        "OR (v_state IN ('approved', 'running') AND NOT v_waits) THEN",
        "OR v_state IN ('approved', 'running') THEN",
        (TWO + "test_what_runs_is_not_overtaken_by_what_only_waits_but_by_its_approval",),
    ),
    Mutant(
        "a token never approves, in the database",
        VERBS,
        "IF v_did AND p_verb IN ('approve', 'decline') AND p_token IS NOT NULL THEN",
        "IF false THEN",
        (ONE + "test_a_token_never_approves",),
    ),
    Mutant(
        "a token never approves",
        APPROVE,
        "if case.seen.token is not None:",
        "if False:",
        (ONE + "test_a_token_never_approves",),
    ),
    Mutant(
        "nothing is set going past a rule of now, in the database",
        VERBS,
        "IF p_disposition = 'resumed' AND NOT may_go_on(o.id, p_caller, p_token) THEN",
        "IF false THEN",
        (TWO + "test_web_sets_nothing_going_past_a_rule_of_now",),
    ),
    Mutant(
        "nothing is finished past a rule of now",
        "actions/finish.py",
        "if not case.seen.goes_on(case.told):",
        "if False:",
        (TWO + "test_what_was_never_approved_is_not_finished_past_a_rule_of_now",),
        raises="actions.errors.NotRecorded",
    ),
    Mutant(
        "an approval that is too old sets nothing going",
        SQL,
        "     AND o.approved_at > clock_timestamp() - interval '15 minutes'\n",
        "",
        (TWO + "test_what_was_approved_lately_goes_on_and_what_was_long_ago_asks_anew",),
    ),
    Mutant(
        "nobody goes on by a yes of their own",
        SQL,
        "                      AND a.caller_id = ANY(p_but) IS NOT TRUE\n",
        "",
        (
            TWO + "test_who_approved_it_does_not_set_it_going_again_by_their_own_yes",
            TWO + "test_a_token_sets_nothing_going_by_the_yes_of_its_owner",
        ),
    ),
    Mutant(
        "who set it going last does not stand for it",
        SQL,
        "AND a.disposition IN ('created', 'resumed', 'decided')\n                             ORDER",
        "AND a.disposition = 'created'\n                             ORDER",
        (TWO + "test_what_who_approved_it_set_going_all_the_same_is_not_sent",),
    ),
    Mutant(
        "nobody goes on by a yes of their own, and is told so",
        "actions/standing.py",
        'and own.isdisjoint(told.get("not_by", ()))',
        "and True",
        (
            TWO + "test_who_approved_it_does_not_set_it_going_again_by_their_own_yes",
            TWO + "test_who_approved_it_and_asks_the_same_waits_for_somebody_else",
        ),
        raises="actions.errors.NotRecorded",
    ),
    Mutant(
        "nothing is resumed past a rule of now",
        COMPARE,
        "if not case.seen.goes_on(standing):",
        "if False:",
        (TWO + "test_what_was_never_approved_is_not_finished_past_a_rule_of_now",),
        raises="actions.errors.NotRecorded",
    ),
    Mutant(
        "what waits is the answer only to those who would wait",
        COMPARE,
        "if waiting is None or not case.waits:",
        "if waiting is None:",
        (TWO + "test_the_same_without_a_rule_is_not_made_to_wait_for_it",),
    ),
    Mutant(
        "what waits is the answer to those who would wait",
        COMPARE,
        "    _awaited,\n    _stale,\n",
        "    _stale,\n",
        (TWO + "test_it_is_the_answer_to_those_who_would_have_to_wait_too",),
    ),
    Mutant(
        "the opposite that would wait must have seen it",
        AWAITED,
        "if relation is Relation.OPPOSED and not has_seen:",
        "if False:",
        (TWO + "test_the_opposite_that_would_wait_too_must_have_seen_it",),
    ),
    Mutant(
        "what waits has not moved the lane",
        "actions/approvals.py",
        'return int(newest["generation"]) - waits(newest) if newest else 0',
        'return int(newest["generation"]) if newest else 0',
        (TWO + "test_what_stands_is_finished_undone_and_asked_for_beneath_what_waits",),
    ),
    Mutant(
        "what waits holds up no end",
        "actions/sql/issue_end.sql",
        "IF v_later && ARRAY['approved', 'running'] OR",
        "IF v_later && ARRAY['awaiting_approval', 'approved', 'running'] OR",
        (TWO + "test_a_ban_ends_though_something_waits_above_it",),
    ),
    Mutant(
        "what nobody approves expires",
        "actions/outbox.py",
        "state=OperationState.AWAITING_APPROVAL, approve_by__lte=Now()",
        'state=OperationState.AWAITING_APPROVAL, approve_by__lte=Now(), action=""',
        (TWO + "test_what_nobody_approves_in_time_expires",),
    ),
    Mutant(
        "what was approved too long ago does not begin",
        "actions/outbox.py",
        "if operation.state not in states.HOLDING or _begins_too_late(operation):",
        "if operation.state not in states.HOLDING:",
        (TWO + "test_an_approval_is_good_for_beginning_within_15_minutes",),
    ),
    Mutant(
        "the time to begin counts from the approval",
        "actions/outbox.py",
        'let_run = Coalesce("approved_at", "requested_at")',
        'let_run = Coalesce("requested_at", "approved_at")',
        (TWO + "test_an_approval_is_good_for_beginning_within_15_minutes",),
    ),
    Mutant(
        "a wide network of IPv6 that stands for IPv4",
        "actions/subjects.py",
        "else max(0, network.prefixlen - at)",
        "else network.prefixlen",
        (ONE + "test_python_and_the_database_ask_for_the_same",),
    ),
)
