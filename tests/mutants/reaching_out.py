"""What is asked of outside systems, and how their credentials are kept."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

ROLES = "actions/connectors/_pg_roles.py"
ACCESS = "actions/connectors/_pg_access.py"
CREDENTIAL = "actions/connectors/_pg_credential.py"
POSTGRES = "actions/connectors/_postgres.py"
TABLE = "actions/connectors/sql_sessions.py"
REALMS = "actions/realms.py"
KEYRING = "actions/keyring.py"
WORLD = "console/world.py"
HTTP = "actions/connectors/_http.py"
CALLS = "tests/heard/test_http.py::"
ACCOUNTS = "tests/connectors/test_accounts.py::"
SESSIONS = "tests/connectors/test_sessions.py::"
PASSWORDS = "tests/connectors/test_credentials.py::"
APPLICATION = "tests/connectors/test_application.py::"
SEALED = "tests/contracts/test_realms.py::"
EXAMPLE = "tests/contracts/test_example_realms.py::"

MUTANTS = (
    Mutant(
        "http: an address that is dead leaves time for the next",
        HTTP,
        "min(left, max(_LEAST, left / (len(found) - number)))",
        "left",
        (
            CALLS + "test_an_address_that_is_dead_leaves_time_for_the_next[True]",
            CALLS + "test_an_address_that_is_dead_leaves_time_for_the_next[False]",
        ),
        raises="actions.connectors._http.NotSent",
    ),
    Mutant(
        "http: nothing is begun once the time is over",
        HTTP,
        "        if time.monotonic() >= until:\n",
        "        if False:\n",
        (CALLS + "test_what_took_all_its_time_to_be_connected_to_is_not_begun",),
        raises="actions.connectors._http.Lost",
    ),
    Mutant(
        "http: a status stands without its body",
        HTTP,
        "return Answer(told.status, said, _body(told))",
        "return Answer(told.status, said, told.read(MOST_READ))",
        (
            CALLS + "test_an_answer_whose_body_does_not_come_is_an_answer_all_the_same[stall]",
            CALLS + "test_an_answer_whose_body_does_not_come_is_an_answer_all_the_same[break]",
        ),
        raises="actions.connectors._http.Lost",
    ),
    Mutant(
        "role: the fence",
        ROLES,
        'if int(there.partition(":")[0]) >= call.generation:',
        "if False:",
        (
            ACCOUNTS + "test_a_late_call_of_an_older_generation_does_not_shut_alice_out_again",
            ACCOUNTS + "test_another_call_of_the_same_generation_is_refused",
            PASSWORDS + "test_a_late_call_of_an_older_rotation_sets_nothing",
        ),
    ),
    Mutant(
        "role: protected",
        ROLES,
        "if role.name == server.user or role.name in protected:",
        "if False:",
        (
            ACCOUNTS + "test_superusers_the_management_role_and_protected_roles_are_left_alone",
            SESSIONS + "test_sessions_of_a_protected_role_are_left_alone",
        ),
    ),
    Mutant(
        "role: superusers",
        ROLES,
        'if role.superuser or role.name.startswith("pg_"):',
        "if False:",
        (ACCOUNTS + "test_superusers_the_management_role_and_protected_roles_are_left_alone",),
    ),
    Mutant(
        "role: renamed at that very moment",
        ACCESS,
        "            self._still_meant(at, role, disabled, call)\n",
        "",
        (ACCOUNTS + "test_a_role_renamed_between_the_look_and_the_change_is_not_mistaken",),
    ),
    Mutant(
        "sessions: the start of a backend",
        ACCESS,
        "usesysid = %(oid)s::bigint::oid AND backend_start < %(before)s",
        "usesysid = %(oid)s::bigint::oid AND %(before)s::timestamptz IS NOT NULL",
        (
            SESSIONS + "test_a_backend_that_has_anothers_pid_by_now_is_told_by_its_start",
            SESSIONS
            + "test_a_session_begun_after_the_cut_off_is_not_ended_however_late_the_call_comes",
        ),
    ),
    Mutant(
        "sessions: hidden ones",
        ACCESS,
        "        if hidden:",
        "        if False:",
        (SESSIONS + "test_who_may_not_see_when_sessions_began_does_not_say_that_there_are_none",),
    ),
    Mutant(
        "sessions: the clocks",
        POSTGRES,
        "    if abs(apart) < _SAME_CLOCK:",
        "    if True:",
        (SESSIONS + "test_a_cut_off_is_the_consoles_even_where_the_servers_clock_is_hours_off",),
    ),
    Mutant(
        "server: silent after it took the call",
        POSTGRES,
        "threading.Timer(CALL_SECONDS + 1, _hang_up, [connection])",
        "threading.Timer(CALL_SECONDS + 20, _hang_up, [connection])",
        ("tests/connectors/test_trial.py::test_ours_does_what_it_declares",),
    ),
    Mutant(
        "sessions: the time zone",
        POSTGRES,
        "    if found.tzinfo is None:",
        "    if False:",
        (SESSIONS + "test_a_cut_off_without_a_time_zone_is_refused",),
    ),
    Mutant(
        "password: sent as a verifier",
        CREDENTIAL,
        'sql.Literal(made["verifier"])',
        'sql.Literal(made["password"])',
        (
            PASSWORDS + "test_the_value_itself_never_goes_to_the_server",
            PASSWORDS + "test_the_new_value_set_twice_leaves_the_same_bytes",
        ),
    ),
    Mutant(
        "password: proved before the old one goes",
        CREDENTIAL,
        'if not isinstance(proved, Applied) or not call.made["previous"]:',
        'if not call.made["previous"]:',
        (PASSWORDS + "test_an_old_value_is_not_retired_before_the_new_one_is_taken",),
    ),
    Mutant(
        "password: the version at the end",
        CREDENTIAL,
        'if str(new.version) != call.made["version"] or old.version > new.version:',
        "if False:",
        (PASSWORDS + "test_a_late_retire_leaves_a_value_alone_that_was_made_after_it",),
    ),
    Mutant(
        "password: whose turn it is",
        CREDENTIAL,
        "(role.can_login, role.name in used, role.version)",
        "(role.can_login, role.version)",
        (PASSWORDS + "test_of_an_overlap_that_was_left_open_the_value_in_use_stays",),
    ),
    Mutant(
        "password: asked for at all",
        POSTGRES,
        "return True if connection.pgconn.used_password else None",
        "return True",
        (PASSWORDS + "test_a_value_is_not_proved_by_a_server_that_asks_for_none",),
    ),
    Mutant(
        "table: the cut-off",
        TABLE,
        "({issued} < %(before)s OR {issued} IS NULL)",
        "({issued} < %(before)s OR true)",
        (APPLICATION + "test_alices_old_session_goes_and_nothing_else",),
    ),
    Mutant(
        "table: sessions without a moment",
        TABLE,
        "({issued} < %(before)s OR {issued} IS NULL)",
        "{issued} < %(before)s",
        (APPLICATION + "test_a_session_without_a_moment_goes_and_is_never_taken_for_a_new_one",),
    ),
    Mutant(
        "keys: the old ones stay while they are needed",
        REALMS,
        "        ring = held if len(held.ids) > 1 else held.with_new_key()",
        "        ring = held.with_new_key().only(())",
        (SEALED + "test_killed_while_the_keys_are_replaced_nothing_is_lost",),
        raises="actions.keyring.CannotOpen",
    ),
    Mutant(
        "keys: the old ones go",
        REALMS,
        "keyring.replace(django_settings.HOME, REALMS, last.only(set() if forget else _named()))",
        "last.only(set() if forget else _named())",
        (SEALED + "test_after_the_keys_were_replaced_everything_opens_and_the_old_key_is_gone",),
    ),
    Mutant(
        "keys: one at a time",
        REALMS,
        '            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])',
        '            cursor.execute("SELECT 1")',
        (SEALED + "test_nothing_is_sealed_while_a_key_is_found_to_be_needed_no_more",),
    ),
    Mutant(
        "keys: nobody else's",
        KEYRING,
        "os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)",
        "os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)",
        (SEALED + "test_the_rings_are_made_once_and_are_nobody_elses",),
    ),
    Mutant(
        "realms: bound to their version",
        REALMS,
        '    return f"realm/{version.realm_id}@{version.number}"',
        '    return "realm"',
        (SEALED + "test_a_worker_opens_what_was_given_and_the_database_does_not_show_it",),
        raises="actions.keyring.CannotOpen",
    ),
    Mutant(
        "realms: no password among the settings",
        REALMS,
        'if wrong := {"password", "user", "token", "secret"} & set(settings):',
        "if wrong := set():",
        (SEALED + "test_a_password_among_the_settings_is_refused",),
    ),
    Mutant(
        "example: rights are given once",
        WORLD,
        "            realms.change(place.name, place.settings, place.credentials)\n        return",
        "            realms.change(place.name, place.settings, place.credentials)\n"
        "        _grant_realm({g.name: g for g in Group.objects.all()},"
        " Realm.objects.get(name=place.name))\n        return",
        (EXAMPLE + "test_rights_that_were_taken_away_since_are_not_given_again",),
    ),
)
