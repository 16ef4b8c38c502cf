"""The guards of incidents: who leads and closes them, and who learns of one that is restricted."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

RULES = "actions/incident_rules.py"
WRITING = "actions/incidents.py"
SIGHT = "actions/sight.py"
SQL = "actions/sql/incidents.sql"
FACTS = "actions/sql/facts.sql"
INSIDE = "tests/contracts/test_incidents.py::"
OUTSIDE = "tests/contracts/test_restricted.py::"
PAGES = (
    OUTSIDE + "test_no_page_tells_a_stranger_anything_of_it[raj]",
    OUTSIDE + "test_no_page_tells_a_stranger_anything_of_it[li]",
)
CALLS = OUTSIDE + "test_no_call_that_reads_tells_a_stranger_anything_of_it"
ASKING = OUTSIDE + "test_asking_about_it_is_told_the_same_as_about_one_that_there_is_not"
FORMS = OUTSIDE + "test_the_forms_know_it_no_better_than_one_that_there_is_not"
REFUSED = INSIDE + "test_the_database_lets_nobody_write_what_python_would_refuse"
SHAPE = INSIDE + "test_the_database_moves_an_incident_as_the_table_says_and_keeps_its_lead"
CLOSING = INSIDE + "test_closing_is_confirmed_for_just_what_stays_in_force"

MUTANTS = (
    # Who sees one.
    Mutant(
        "a restricted incident is seen by its members alone",
        SQL,
        "  SELECT NOT i.restricted\n",
        "  SELECT true\n",
        (*PAGES, CALLS, ASKING, FORMS),
    ),
    Mutant(
        "who left an incident sees it no more",
        SQL,
        "m.caller_id = p_caller AND m.removed_at IS NULL)\n      OR",
        "m.caller_id = p_caller)\n      OR",
        (OUTSIDE + "test_it_is_gone_from_the_moment_that_it_is_restricted_and_back_for_a_member",),
    ),
    Mutant(
        "who reads the log sees every incident",
        SQL,
        "      OR holds(p_caller, 'read_log')\n",
        "",
        (OUTSIDE + "test_an_auditor_reads_all_of_it",),
    ),
    Mutant(
        "the reason given in a restricted incident is withheld",
        FACTS,
        "CASE WHEN x.private THEN NULL ELSE o.reason END, 'because'",
        "o.reason, 'because'",
        (*PAGES, CALLS),
    ),
    Mutant(
        "restricted incidents of an operation are told apart",
        FACTS,
        "FILTER (WHERE NOT i.restricted) AS open",
        "AS open",
        (*PAGES, CALLS),
    ),
    Mutant(
        "the end of an operation keeps its reason to itself",
        "actions/sql/issue_end.sql",
        "SELECT v_made, l.incident_id, l.made FROM",
        "SELECT v_made, l.incident_id, false FROM",
        (OUTSIDE + "test_the_end_of_what_it_asked_for_keeps_its_reason_to_itself",),
    ),
    Mutant(
        "what is withheld is told to those alone who see the incident",
        SIGHT,
        '        if sees.intersection(withheld["made_in"] or ()):\n',
        "        if True:\n",
        (*PAGES, CALLS),
    ),
    Mutant(
        "asking names an incident that the asker sees",
        "actions/sql/look.sql",
        "WHERE i.number = p_incident AND may_see_incident(look.caller, i.id);",
        "WHERE i.number = p_incident;",
        (ASKING,),
    ),
    Mutant(
        "the record keeps its reasons from whom may not know them",
        "console/record.py",
        "    if not reasons:\n",
        "    if False:\n",
        PAGES,
    ),
    Mutant(
        "a request tells its incident to those who see it",
        "actions/arrivals.py",
        "a.incident.ref if a.incident and a.incident.number in seen else None",
        "a.incident.ref if a.incident else None",
        (CALLS,),
    ),
    Mutant(
        "a request's key is told to who sent it",
        "actions/arrivals.py",
        "a.request.key if a.request.caller_id == viewer else None",
        "a.request.key",
        (CALLS,),
    ),
    Mutant(
        "a draft made in a restricted incident is its members'",
        "actions/prepare.py",
        "        hidden = not sight.seen(viewer(), [draft.incident.number])\n",
        "        hidden = False\n",
        (PAGES[0], CALLS),
    ),
    Mutant(
        "forms offer the incidents that the viewer sees",
        "console/forms.py",
        'Incident.objects.filter(sight.filtered(viewer, "id"), state=',
        "Incident.objects.filter(state=",
        (PAGES[0],),
    ),
    Mutant(
        "the board counts the incidents that the viewer sees",
        "actions/overview.py",
        'Incident.objects.filter(sight.filtered(viewer, "id"), state=',
        "Incident.objects.filter(state=",
        PAGES,
    ),
    Mutant(
        "the list holds the incidents that the viewer sees",
        "actions/dossier.py",
        '    rows = Incident.objects.filter(sight.filtered(viewer, "id"))\n',
        "    rows = Incident.objects.all()\n",
        (*PAGES, CALLS),
    ),
    Mutant(
        "one incident is found by who sees it",
        "actions/dossier.py",
        '.filter(sight.filtered(viewer, "id"), number=number or 0)',
        ".filter(number=number or 0)",
        (*PAGES, CALLS, ASKING),
    ),
    Mutant(
        "operations are not found by an incident that is not seen",
        SIGHT,
        "return number if number is None or number in seen(viewer, [number]) else 0",
        "return number",
        (CALLS,),
    ),
    Mutant(
        "a lift in a restricted incident is compared as one in none",
        SIGHT,
        '*sees.intersection(withheld["incidents"])',
        '*withheld["incidents"]',
        (
            OUTSIDE + "test_a_token_is_told_the_same_of_a_person_s_lift_in_it_as_of_one_in_none",
            CALLS,
        ),
    ),
    Mutant(
        "what is decided on is what the asker may know",
        "actions/standing.py",
        '        seen.caller_id, seen, ("keyed"',
        '        None, seen, ("keyed"',
        (OUTSIDE + "test_what_it_asked_for_is_told_without_its_reason_and_is_enough_for_others",),
    ),
    Mutant(
        "restricted incidents leave no gap in the numbers",
        SQL,
        "CASE WHEN p_restricted THEN 100000",
        "CASE WHEN false THEN 100000",
        (OUTSIDE + "test_the_numbers_of_others_go_on_without_a_gap",),
    ),
    # Who leads, and what a change rests on.
    Mutant(
        "a change names the version that was seen",
        RULES,
        "    if change.version != seen.version:\n",
        "    if False:\n",
        (INSIDE + "test_of_two_hand_overs_at_once_the_second_is_told_who_leads_now",),
        raises="Failed",
    ),
    Mutant(
        "a change is written at the version that it was decided on",
        SQL,
        "OR (v_changes AND i.version IS DISTINCT FROM p_version)",
        "OR (false)",
        (REFUSED,),
    ),
    Mutant(
        "its lead changes an incident",
        RULES,
        "    return seen.administers or seen.lead == seen.caller_name\n",
        "    return True\n",
        (INSIDE + "test_only_its_lead_or_an_admin_changes_it",),
    ),
    Mutant(
        "the database too: its lead changes an incident",
        SQL,
        "     AND i.lead_id <> p_caller AND NOT administers(p_caller) THEN",
        "     AND false THEN",
        (REFUSED,),
    ),
    Mutant(
        "the database too: nobody writes to what they do not see",
        SQL,
        "  IF NOT may_see_incident(p_caller, i.id) THEN",
        "  IF false THEN",
        (REFUSED,),
    ),
    Mutant(
        "an incident is handed over to a person who may ask",
        RULES,
        '        if person.kind != "person" or not person.asks:\n',
        "        if False:\n",
        (INSIDE + "test_it_is_handed_over_to_a_person_who_may_ask[li]",),
        raises="Failed",
    ),
    Mutant(
        "the database too: a lead is a person",
        SQL,
        "c.id = NEW.lead_id AND c.kind = 'person' AND c.is_active) THEN",
        "c.id = NEW.lead_id) THEN",
        (SHAPE,),
    ),
    Mutant(
        "the lead stays a member",
        SQL,
        "SELECT FROM incident i WHERE i.id = NEW.incident_id AND i.lead_id = NEW.caller_id) THEN",
        "SELECT FROM incident i WHERE false) THEN",
        (SHAPE,),
    ),
    Mutant(
        "an incident's key stands for one change",
        RULES,
        '"version": self.version, "confirm": self.confirm,',
        '"confirm": self.confirm,',
        (INSIDE + "test_one_key_is_one_change_as_it_was_asked",),
        raises="Failed",
    ),
    Mutant(
        "rights that went meanwhile are decided on again",
        WRITING,
        "        if error.diag.constraint_name not in _RIGHTS:\n",
        "        if True:\n",
        (INSIDE + "test_who_is_no_longer_its_lead_when_it_is_written_is_told_so",),
        raises="psycopg.DatabaseError",
    ),
    # Closing and asking.
    Mutant(
        "closing is confirmed for what stays",
        RULES,
        "(now := left()) and change.confirm != now:",
        "(now := left()) and not change.confirm:",
        (CLOSING,),
        raises="Failed",
    ),
    Mutant(
        "a key stands for an incident or for an operation",
        SQL,
        "r.key = p_key AND r.rules = 0) THEN",
        "r.key = p_key) THEN",
        (
            INSIDE
            + "test_of_an_incident_and_an_operation_at_once_under_one_key_one_is_made[operation]",
        ),
    ),
    Mutant(
        "a key that wrote to an incident asks for nothing",
        SQL,
        "  VALUES (p_caller, p_key, p_fingerprint, 0, v_at, NULL) ON CONFLICT ON CONSTRAINT request_key_once"
        " DO NOTHING;\n  IF NOT EXISTS (",
        "  SELECT p_caller, p_key, p_fingerprint, 0, v_at, NULL WHERE false;\n  IF false AND NOT EXISTS (",
        (
            INSIDE + "test_a_key_that_opened_an_incident_asks_for_nothing",
            INSIDE
            + "test_of_an_incident_and_an_operation_at_once_under_one_key_one_is_made[incident]",
        ),
    ),
    Mutant(
        "closing shows what is in force in one realm alone",
        "actions/remains.py",
        '            case _ if forces[facts["id"]].anywhere == "yes":\n',
        "            case _ if False:\n",
        (
            INSIDE + "test_what_is_in_force_in_one_realm_alone_is_shown_before_closing",
            INSIDE + "test_what_was_read_as_otherwise_in_one_realm_alone_is_shown_before_closing",
        ),
    ),
    Mutant(
        "what is in force in one realm alone is counted",
        "actions/remains.py",
        'if forces[row["id"]].anywhere == "yes":\n            counted',
        'if forces[row["id"]].in_force == "yes":\n            counted',
        (INSIDE + "test_what_is_in_force_in_one_realm_alone_is_shown_before_closing",),
    ),
    Mutant(
        "who closes is shown what came in meanwhile",
        SQL,
        "OR (v ->> 'state' = 'closed' AND p_linked IS DISTINCT FROM",
        "OR (false AND p_linked IS DISTINCT FROM",
        (INSIDE + "test_who_closes_is_told_of_what_was_being_asked_for_meanwhile",),
        raises="Failed",
    ),
    Mutant(
        "nothing is asked for because of a closed incident",
        "actions/compare.py",
        "if ask.incident is not None and seen.incident_closed:",
        "if False:",
        (
            INSIDE
            + "test_nothing_is_asked_for_because_of_a_closed_incident_until_it_is_opened_again",
        ),
        raises="actions.errors.NotRecorded",
    ),
    Mutant(
        "the database too: a closed incident takes no operation",
        "actions/sql/issue.sql",
        "WHERE i.id = p_incident AND i.state = 'open' AND may_see",
        "WHERE i.id = p_incident AND may_see",
        (INSIDE + "test_who_closes_is_told_of_what_was_being_asked_for_meanwhile",),
    ),
    # What is kept.
    Mutant(
        "an entry never changes",
        "actions/sql/frozen.sql",
        "CREATE OR REPLACE TRIGGER incident_entry_never_changes BEFORE UPDATE\n",
        "CREATE OR REPLACE TRIGGER incident_entry_never_changes BEFORE UPDATE OF number\n",
        (INSIDE + "test_a_note_is_kept_once_by_name_also_in_a_closed_incident",),
    ),
    Mutant(
        "a note holds no control character",
        RULES,
        "    if _UNWANTED.search(text):\n",
        "    if False:\n",
        (
            INSIDE + "test_a_note_that_cannot_be_kept_is_refused",
            INSIDE + "test_a_title_holds_no_control_character",
        ),
        raises="Failed",
    ),
    Mutant(
        "the timeline tells of operations that the viewer may see",
        "actions/timeline.py",
        "WHERE l.incident_id = %(incident)s::uuid AND o.action = ANY(%(sees)s::text[])\n), items",
        "WHERE l.incident_id = %(incident)s::uuid\n), items",
        (INSIDE + "test_the_timeline_tells_all_in_order_page_by_page",),
    ),
)
