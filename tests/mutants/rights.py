"""The guards of rights, of who may see a realm, and of those who administer, each taken out once."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

RIGHTS_SQL = "actions/sql/rights.sql"
ADMINISTER_SQL = "actions/sql/administer.sql"
GUARDIAN = "tests/contracts/test_guardian.py::"
ADMIN = "tests/contracts/test_administering.py::"
SIGHT = "tests/contracts/test_realm_sight.py::"
NOW = "tests/contracts/test_rights_of_now.py::"
PAGES = "tests/contracts/test_rights_pages.py::"
DOORS = "tests/console/test_every_door.py::"
LAST = ADMIN + "test_the_last_admin_stays_whoever_says_otherwise"


MUTANTS = (
    # What guardian would take for more than was meant.
    Mutant(
        "a closed account holds nothing",
        "actions/policy.py",
        "WHERE c.id = %(caller)s::uuid AND c.is_active\n",
        "WHERE c.id = %(caller)s::uuid\n",
        (GUARDIAN + "test_a_superuser_gets_nothing_without_a_grant",),
    ),
    Mutant(
        "a right on a whole model gives no row",
        "actions/policy.py",
        "OR (h.kind = 'all' AND p.codename = ANY(%(wide)s::text[]))",
        "OR h.kind = 'all'",
        (GUARDIAN + "test_everybody_s_rights_are_what_guardian_would_tell",),
    ),
    Mutant(
        "no right on everything is granted to a group",
        RIGHTS_SQL,
        "AND p.codename IN ('read_log', 'administer', 'break_glass')) THEN",
        ") THEN",
        (GUARDIAN + "test_no_right_is_granted_on_all_by_accident",),
    ),
    Mutant(
        "no right for all is granted to one caller",
        RIGHTS_SQL,
        "right_for_all_is_held_by_a_group BEFORE INSERT OR UPDATE ON",
        "right_for_all_is_held_by_a_group BEFORE UPDATE ON",
        (GUARDIAN + "test_no_right_is_granted_on_all_by_accident",),
    ),
    Mutant(
        "no grant names its row by a text",
        RIGHTS_SQL,
        "grant_names_its_row BEFORE INSERT OR UPDATE ON guardian_groupobjectpermission",
        "grant_names_its_row BEFORE UPDATE ON guardian_groupobjectpermission",
        (GUARDIAN + "test_no_right_is_granted_on_all_by_accident",),
    ),
    Mutant(
        "nobody is a superuser",
        "actions/migrations/0008_rights.py",
        '("is_staff", False), ("is_superuser", False)',
        '("is_staff", False)',
        (GUARDIAN + "test_nobody_can_be_made_a_superuser",),
    ),
    # The last admin.
    Mutant(
        "the last admin stays in the group",
        RIGHTS_SQL,
        "last_admin_stays_in_the_group AFTER DELETE OR UPDATE ON caller_groups",
        "last_admin_stays_in_the_group AFTER INSERT ON caller_groups",
        (LAST, ADMIN + "test_the_last_admin_cannot_close_leave_or_lose_the_right"),
    ),
    Mutant(
        "the last admin stays open",
        RIGHTS_SQL,
        "WHEN (OLD.is_active AND (NOT NEW.is_active OR NEW.password = '' OR NEW.password LIKE '!%'))",
        "WHEN (false)",
        (LAST,),
    ),
    Mutant(
        "an admin without a password is none",
        RIGHTS_SQL,
        "SELECT p.is_active AND p.kind = 'person' AND p.password <> '' AND p.password NOT LIKE '!%'",
        "SELECT p.is_active AND p.kind = 'person'",
        (LAST,),
    ),
    Mutant(
        "the last admin keeps the right",
        RIGHTS_SQL,
        "last_admin_keeps_the_right AFTER DELETE OR UPDATE ON",
        "last_admin_keeps_the_right AFTER INSERT ON",
        (LAST,),
    ),
    Mutant(
        "rights change one at a time",
        RIGHTS_SQL,
        "  PERFORM pg_advisory_xact_lock(hashtext('steadyhand rights'));\n",
        "",
        # Alone: it leaves the tests behind it no admin to begin with.
        (ADMIN + "test_two_admins_who_remove_each_other_leave_one",),
    ),
    Mutant(
        "rights change by what is committed",
        RIGHTS_SQL,
        "IF current_setting('transaction_isolation') <> 'read committed' THEN",
        "IF false THEN",
        (ADMIN + "test_a_look_that_is_older_than_the_lock_changes_no_rights",),
    ),
    Mutant(
        "who acted keeps their name",
        RIGHTS_SQL,
        "OLD.username <> NEW.username OR ",
        "",
        (LAST,),
    ),
    Mutant(
        "a group keeps its name",
        RIGHTS_SQL,
        "WHEN (OLD.id <> NEW.id OR OLD.name <> NEW.name)",
        "WHEN (OLD.id <> NEW.id)",
        (LAST,),
    ),
    Mutant(
        "these rules hold in replica mode",
        RIGHTS_SQL,
        "    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', g.rel, g.tgname);\n",
        "    NULL;\n",
        (LAST,),
    ),
    Mutant(
        "accounts, groups and tokens are kept",
        RIGHTS_SQL,
        "ARRAY['caller', 'auth_group', 'api_token'] LOOP",
        "ARRAY['api_token'] LOOP",
        (LAST,),
    ),
    # Who administers.
    Mutant(
        "only an admin administers",
        ADMINISTER_SQL,
        "  IF v_name IS NULL THEN\n",
        "  IF false THEN\n",
        (ADMIN + "test_only_an_admin_does_any_of_it",),
    ),
    Mutant(
        "nobody unnamed administers but at the owner's shell",
        ADMINISTER_SQL,
        "IF p_by IS NULL AND session_user NOT IN ('steadyhand_web', ",
        "IF p_by IS NULL OR session_user NOT IN ('steadyhand_web', ",
        (ADMIN + "test_only_an_admin_does_any_of_it",),
    ),
    Mutant(
        "a closed admin administers nothing",
        ADMINISTER_SQL,
        "WHERE c.id = p_by AND c.is_active AND c.kind = 'person'\n",
        "WHERE c.id = p_by AND c.kind = 'person'\n",
        (
            ADMIN + "test_a_closed_admin_and_one_who_left_the_group_may_no_more",
            ADMIN + "test_two_admins_who_close_each_other_leave_one",
        ),
    ),
    Mutant(
        "who administers a realm administers no action",
        ADMINISTER_SQL,
        "OR (p_kind = 'realm' AND {{may_administer_realm}})",
        "OR EXISTS (SELECT FROM realm_group_grant r WHERE r.group_id IN"
        " (SELECT m.group_id FROM caller_groups m WHERE m.caller_id = c.id))",
        (ADMIN + "test_who_administers_one_realm_gives_rights_on_that_one_alone",),
    ),
    Mutant(
        "rights that moved are not written over",
        ADMINISTER_SQL,
        "  ELSIF v_now <> p_seen THEN\n    RETURN 'stale';\n",
        "",
        (ADMIN + "test_rights_that_moved_since_they_were_seen_are_not_written_over",),
    ),
    Mutant(
        "pressing twice is one change of rights",
        ADMINISTER_SQL,
        "  IF v_now = v_wanted THEN\n    RETURN 'existing';\n  ELSIF v_now",
        "  IF v_now",
        (ADMIN + "test_pressing_twice_is_one_change_and_one_record",),
    ),
    Mutant(
        "a form adds one account",
        ADMINISTER_SQL,
        "  IF EXISTS (SELECT FROM caller WHERE id = p_id) THEN\n    RETURN 'existing';\n  END IF;\n",
        "",
        (ADMIN + "test_a_password_is_told_once_and_what_was_made_is_never_told",),
        raises="psycopg.errors.UniqueViolation",
    ),
    Mutant(
        "no token is of another person",
        ADMINISTER_SQL,
        "(c.kind = 'service' OR (c.kind = 'person' AND c.id = p_by))",
        "c.kind <> 'console'",
        (ADMIN + "test_no_one_is_given_a_token_of_somebody_else",),
    ),
    Mutant(
        "a token lasts 90 days at most",
        ADMINISTER_SQL,
        "OR p_days NOT BETWEEN 1 AND 90 THEN",
        "THEN",
        (ADMIN + "test_no_one_is_given_a_token_of_somebody_else",),
    ),
    # The session's proof is made of the password: while that stays, an old session lives again.
    Mutant(
        "closing takes the password away",
        ADMINISTER_SQL,
        "UPDATE caller SET is_active = p_open, password = p_password WHERE",
        "UPDATE caller SET is_active = p_open WHERE",
        (PAGES + "test_closing_ends_every_session_for_good",),
    ),
    Mutant(
        "giving oneself a right is said to be that",
        ADMINISTER_SQL,
        "WHERE m.group_id = v_group AND m.caller_id = p_by)",
        "WHERE false)",
        (
            ADMIN + "test_an_admin_does_not_thereby_ask_and_giving_it_to_oneself_is_on_record",
            PAGES + "test_giving_oneself_a_right_is_in_the_log_for_all_who_read_it",
        ),
    ),
    # Who may see a realm.
    Mutant(
        "a list shows nothing of a realm that is not seen",
        "actions/history.py",
        "anywhere | Q(in_realm__in=list(sees.realms)), action__in",
        "action__in",
        (
            SIGHT + "test_no_list_and_no_count_tells_of_it",
            SIGHT + "test_what_needs_a_person_is_shown_to_those_who_may_see_it",
        ),
    ),
    Mutant(
        "an operation is seen with its realm alone",
        "actions/policy.py",
        'return told["action"] in self.actions and self.shows(told["kind"], told["name"])',
        'return told["action"] in self.actions',
        (SIGHT + "test_no_list_and_no_count_tells_of_it",),
    ),
    Mutant(
        "a count counts nothing of a realm that is not seen",
        "actions/policy.py",
        '''        f" OR split_part({name}, ':', 1) = ANY(%(sees_realms)s::text[])))"''',
        '''        f" OR split_part({name}, ':', 1) <> ALL(%(sees_realms)s::text[] || 'x'::text)))"''',
        (
            SIGHT + "test_no_list_and_no_count_tells_of_it",
            SIGHT + "test_an_incident_counts_only_what_one_may_see",
        ),
    ),
    Mutant(
        "asking tells nothing of a realm that may not be known",
        "actions/standing.py",
        "    if seen.hidden:  # what",
        "    if False:  # what",
        (SIGHT + "test_asking_is_told_as_for_a_realm_that_is_not_there",),
    ),
    Mutant(
        "no verb reaches a realm that may not be known",
        "actions/act.py",
        "    if seen.hidden:\n",
        "    if False:\n",
        (SIGHT + "test_no_verb_reaches_it",),
        raises="actions.errors.NotRecorded",
    ),
    Mutant(
        "no draft is shown of a realm that may not be asked",
        "actions/prepare.py",
        "        or seen.hidden\n",
        "",
        (SIGHT + "test_a_draft_is_made_and_shown_to_nobody_who_may_not",),
    ),
    Mutant(
        "no form is filled in from a draft of another's realm",
        "console/views/drafts.py",
        "and (realm is None or realm in asks)",
        "",
        (SIGHT + "test_a_draft_is_made_and_shown_to_nobody_who_may_not",),
    ),
    Mutant(
        "a subject's page is of a realm that is seen",
        "console/views/subjects.py",
        "    must(sees.shows(kind, subject.name))\n",
        "",
        (SIGHT + "test_its_page_and_its_name_are_as_of_nobody",),
    ),
    Mutant(
        "a name is told to those who see its realm",
        "console/api/subjects.py",
        'called = subject.called if sees.shows(subject.kind, subject.name) else ""',
        "called = subject.called",
        (SIGHT + "test_its_page_and_its_name_are_as_of_nobody",),
    ),
    Mutant(
        "a search does not tell whether a secret is known",
        "console/views/subjects.py",
        'known = sees.shows("secret", typed) and overview',
        "known = overview",
        (SIGHT + "test_whether_a_secret_was_rotated_is_not_told_by_where_a_search_leads",),
    ),
    Mutant(
        "a refusal names no system that is not seen",
        "actions/compare.py",
        "sorted(r.name for r in closed if r.may_see)",
        "sorted(r.name for r in closed)",
        (SIGHT + "test_a_ban_is_refused_where_it_would_reach_a_system_they_may_not_ask",),
    ),
    # Rights of now.
    Mutant(
        "the worker asks for the right on the system",
        "actions/objection.py",
        '   AND {granted("realm", "ask_realm", "%(realm)s::uuid", "c.id")})\n',
        ")\n",
        (NOW + "test_what_was_asked_for_is_not_sent_without_the_right",),
    ),
    Mutant(
        "the worker asks for the right on the action",
        "actions/objection.py",
        '   AND {granted("entry", "ask_entry", "n.id", "c.id")}\n',
        "",
        (NOW + "test_what_was_asked_for_is_not_sent_without_the_right",),
    ),
    Mutant(
        "the worker asks whether the token was withdrawn",
        "actions/objection.py",
        "AND t.revoked_at IS NULL AND 'ask:'",
        "AND 'ask:'",
        (NOW + "test_what_was_asked_for_is_not_sent_without_the_right",),
    ),
    Mutant(
        "the worker asks whether the token may still ask for it",
        "actions/objection.py",
        "AND 'ask:' || n.name = ANY(t.scopes)))",
        "))",
        (NOW + "test_what_was_asked_for_is_not_sent_without_the_right",),
    ),
    # The doors.
    Mutant(
        "only who administers sees the form of an account",
        "console/views/people.py",
        'with the first."""\n    must(request.rights.administers)\n',
        'with the first."""\n',
        (DOORS + "test_a_page_answers_each_role_as_its_row_says",),
    ),
    Mutant(
        "an auditor has no button on people",
        "console/views/people.py",
        '"may": request.rights.administers,\n        "self"',
        '"may": True,\n        "self"',
        (
            DOORS + "test_an_auditor_finds_nothing_to_press_behind_any_door",
            PAGES + "test_who_reads_the_log_looks_on_and_who_is_neither_finds_nothing",
        ),
    ),
    Mutant(
        "a list is pulled by those who see its realm",
        "console/views/lists.py",
        "        if name not in seen:\n",
        "        if False:\n",
        (DOORS + "test_a_page_answers_each_role_as_its_row_says",),
    ),
)
