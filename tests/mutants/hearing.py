"""Being heard: who is told, each telling once, what a lost answer comes to, and what is called out to."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

HTTP = "actions/connectors/_http.py"
ADDRESSES = "actions/connectors/_addresses.py"
TELLING = "actions/telling.py"
MAIL = "actions/channels/mail.py"
WEBHOOK = "actions/channels/webhook.py"
NOTICES = "actions/sql/notices.sql"
HEARING = "actions/sql/hearing.sql"
GUARD = "tests/heard/test_http.py::"
WHO = "tests/heard/test_who_is_told.py::"
MAILS = "tests/heard/test_mail.py::"
HOOKS = "tests/heard/test_webhooks.py::"

MUTANTS = (
    # What is called.
    Mutant(
        "http: only https",
        HTTP,
        'if not secure and not (parts.scheme == "http" and reach.plain):',
        "if False:",
        (GUARD + "test_a_url_is_called_only_if_it_is_plainly_on_the_list",),
    ),
    Mutant(
        "http: only hosts on the list",
        HTTP,
        "    if not reach.names(host):\n",
        "    if False:\n",
        (
            GUARD + "test_a_url_is_called_only_if_it_is_plainly_on_the_list",
            HOOKS + "test_where_nothing_may_be_called_nothing_is_whatever_the_database_says",
        ),
    ),
    Mutant(
        "http: only ports on the list",
        HTTP,
        "    if port not in reach.ports:\n",
        "    if False:\n",
        (GUARD + "test_a_url_is_called_only_if_it_is_plainly_on_the_list",),
    ),
    Mutant(
        "http: no login in a URL",
        HTTP,
        "or not _HOST.match(host) or",
        "or",
        (GUARD + "test_a_url_is_called_only_if_it_is_plainly_on_the_list",),
    ),
    Mutant(
        "http: every address is judged",
        HTTP,
        "        if not fine:\n",
        "        if not fine and text == list(found)[0]:\n",
        (GUARD + "test_one_address_inside_among_others_is_enough_to_call_none",),
    ),
    Mutant(
        "http: the address that was judged is called",
        HTTP,
        "socket.create_connection((address, place.port)",
        "socket.create_connection((place.bare, place.port)",
        (GUARD + "test_it_is_sent_to_the_address_that_was_judged_in_the_name_of_the_host",),
        raises="actions.connectors._http.NotSent",
    ),
    Mutant(
        "http: the certificate is the host's",
        HTTP,
        "    context.minimum_version = ssl.TLSVersion.TLSv1_2\n",
        "    context.check_hostname = False\n",
        (GUARD + "test_a_certificate_that_is_not_the_hosts_is_refused",),
    ),
    Mutant(
        "http: time is bounded, however slowly it drips",
        HTTP,
        "        self.held.settimeout(_left(self._until))\n        return",
        "        self.held.settimeout(5)\n        return",
        (GUARD + "test_what_gives_no_whole_answer_in_time_may_have_arrived[drip]",),
    ),
    Mutant(
        "http: little is read",
        HTTP,
        "told.read(MOST_READ)",
        "told.read()",
        (GUARD + "test_no_more_is_read_than_a_little",),
    ),
    Mutant(
        "http: in the clear to loopback alone",
        HTTP,
        "if not place.secure and not address.is_loopback:",
        "if False:",
        (GUARD + "test_http_is_let_through_to_loopback_alone_and_only_where_it_is_allowed",),
    ),
    Mutant(
        "addresses: what is carried is judged",
        ADDRESSES,
        "for one in (address, *carried(address)))",
        "for one in (address,))",
        (GUARD + "test_an_address_inside_is_never_reached_in_whatever_form_it_is_written",),
    ),
    Mutant(
        "addresses: a public one that carries another is not public",
        ADDRESSES,
        "address in _UNICAST and next(carried(address), None) is None",
        "address in _UNICAST",
        (
            GUARD
            + "test_a_public_address_is_reached_as_itself_and_in_another_form_only_if_that_is_allowed",
        ),
    ),
    Mutant(
        "addresses: what documentation uses is not public",
        ADDRESSES,
        '    IPv6Network("3fff::/20"),\n',
        "",
        (GUARD + "test_what_has_a_special_purpose_is_not_public",),
    ),
    Mutant(
        "addresses: what protocols are assigned is not public, whatever Python says",
        ADDRESSES,
        '    IPv4Network("192.0.0.0/24"),\n',
        "",
        (GUARD + "test_an_address_inside_is_never_reached_in_whatever_form_it_is_written",),
    ),
    # Who is told.
    Mutant(
        "notices: a doubt lasts two minutes first",
        NOTICES,
        "a.call_started_at < clock_timestamp() - interval '2 minutes'",
        "true",
        (WHO + "test_a_doubt_is_told_once_it_has_lasted_two_minutes",),
    ),
    Mutant(
        "notices: not to who asked for approval",
        NOTICES,
        "c.id <> v_requester\n",
        "true\n",
        (WHO + "test_who_asked_or_drafted_it_or_owns_the_token_is_not_asked_to_approve",),
    ),
    Mutant(
        "notices: not to who drafted it",
        NOTICES,
        "WHERE d.id = o.draft_id\n",
        "WHERE false\n",
        (WHO + "test_who_asked_or_drafted_it_or_owns_the_token_is_not_asked_to_approve",),
    ),
    Mutant(
        "notices: not to who owns the token",
        NOTICES,
        "WHERE a.operation_id = o.id AND a.disposition = 'created')",
        "WHERE false)",
        (WHO + "test_who_asked_or_drafted_it_or_owns_the_token_is_not_asked_to_approve",),
    ),
    Mutant(
        "notices: approvers by their systems too",
        NOTICES,
        "NOT EXISTS (SELECT FROM effect e WHERE e.operation_id = o.id AND NOT {{approves_realm}})",
        "true",
        (WHO + "test_who_may_not_approve_in_one_of_its_systems_is_not_asked",),
    ),
    Mutant(
        "notices: only the group that is named",
        NOTICES,
        " AND m.group_id = (n ->> 'id')::int)",
        ")",
        (WHO + "test_what_waits_for_a_group_is_not_told_to_others",),
    ),
    Mutant(
        "notices: nothing of a restricted incident",
        NOTICES,
        "AND i.restricted\n",
        "AND false\n",
        (
            WHO + "test_of_a_restricted_incident_nobody_outside_of_it_learns",
            WHO
            + "test_what_was_made_in_a_restricted_incident_is_told_to_its_members_and_who_asked",
            HOOKS + "test_an_endpoint_is_not_told_of_a_restricted_incident",
        ),
    ),
    Mutant(
        "notices: repeating in a restricted incident silences nothing",
        NOTICES,
        "AND l.made AND i.restricted\n",
        "AND i.restricted\n",
        (
            WHO
            + "test_repeating_a_request_in_a_restricted_incident_silences_nothing_that_happens_to_it",
            WHO
            + "test_repeating_a_request_in_a_restricted_incident_withholds_no_notice_that_was_made",
            WHO + "test_repeating_a_request_in_a_restricted_incident_takes_it_from_no_approver",
            HOOKS + "test_an_endpoint_is_told_of_what_was_only_repeated_in_a_restricted_incident",
        ),
    ),
    Mutant(
        "notices: who asked is told, whatever incident it was made in",
        NOTICES,
        "  SELECT coalesce(p_person = notice_requester(p_operation), false) OR NOT EXISTS (\n",
        "  SELECT NOT EXISTS (\n",
        (WHO + "test_what_was_made_in_a_restricted_incident_is_told_to_its_members_and_who_asked",),
    ),
    Mutant(
        "notices: an end settles for who asked for what it ends",
        NOTICES,
        "notice_wanted(notice_requester(o.id), 'settled')",
        "notice_wanted(o.requested_by_id, 'settled')",
        (WHO + "test_who_wants_it_is_told_that_their_ban_was_lifted_at_its_end",),
    ),
    Mutant(
        "notices: of what is in one system to who may see it",
        NOTICES,
        " AND (v_realm IS NULL OR {{sees_realm}})\n",
        "\n",
        (WHO + "test_of_what_is_in_one_system_those_alone_learn_who_may_see_that_system",),
    ),
    Mutant(
        "notices: only to confirmed addresses",
        NOTICES,
        "a.confirmed_at IS NOT NULL AND coalesce(c.wanted, p_kind <> 'settled')",
        "coalesce(c.wanted, p_kind <> 'settled')",
        (WHO + "test_a_person_is_told_only_what_they_want_and_only_at_an_address_of_theirs",),
    ),
    Mutant(
        "notices: break-glass is told whatever was chosen",
        NOTICES,
        " AND p_kind <> 'break_glass'\n",
        "\n",
        (WHO + "test_break_glass_is_told_to_every_admin_whatever_they_chose",),
    ),
    Mutant(
        "notices: nothing of what was before",
        NOTICES,
        "       WHERE notice_wanted(w.person, h.kind) <= h.at)",
        "       WHERE notice_wanted(w.person, h.kind) IS NOT NULL)",
        (WHO + "test_nobody_is_flooded_with_what_was_before_they_gave_an_address",),
    ),
    Mutant(
        "notices: not more than anybody reads",
        NOTICES,
        ">= notice_most() AS full",
        "< 0 AS full",
        (WHO + "test_what_is_more_than_anybody_reads_is_not_sent_and_says_so",),
    ),
    Mutant(
        "notices: what was too much does not count",
        NOTICES,
        "AND NOT (n.state = 'cancelled' AND n.fence = 0)\n",
        "\n",
        (WHO + "test_a_slow_flood_stops_nobodys_mail_for_good",),
    ),
    Mutant(
        "notices: what was too much is shown",
        "actions/hearing.py",
        "(SELECT count(*) FROM notice WHERE state = 'cancelled' AND fence = 0\n",
        "(SELECT count(*) FROM notice WHERE false\n",
        (WHO + "test_a_slow_flood_stops_nobodys_mail_for_good",),
    ),
    Mutant(
        "notices: a person's has the same id when it is made again",
        NOTICES,
        "SELECT notice_id(h, person, 'email')",
        "SELECT gen_random_uuid()",
        (WHO + "test_what_a_failover_lost_is_told_again_under_the_same_id",),
    ),
    Mutant(
        "notices: an endpoint's has the same id when it is made again",
        NOTICES,
        "SELECT notice_id(h, p.id, p.channel)",
        "SELECT gen_random_uuid()",
        (HOOKS + "test_what_a_failover_lost_is_told_an_endpoint_again_under_the_same_id",),
    ),
    Mutant(
        "notices: another operation's has another id, though its number was given before",
        NOTICES,
        "(SELECT o.ref FROM operation o WHERE o.id = h.operation_id)",
        "''",
        (WHO + "test_what_a_failover_lost_is_told_again_under_the_same_id",),
    ),
    Mutant(
        "notices: asked again before it is sent",
        NOTICES,
        "  IF NOT notice_still_so(h) THEN RETURN",
        "  IF false THEN RETURN",
        (WHO + "test_what_was_dealt_with_meanwhile_is_not_told",),
    ),
    Mutant(
        "notices: rights are asked again before it is sent",
        NOTICES,
        "WHEN h.kind <> 'test' AND n.person_id NOT IN",
        "WHEN false AND n.person_id NOT IN",
        (WHO + "test_whose_rights_were_taken_away_meanwhile_is_not_told",),
    ),
    Mutant(
        "notices: once for a person",
        "actions/migrations/0011_notices.py",
        "fields=('happening', 'person', 'channel')",
        "fields=('happening', 'person', 'channel', 'id')",
        (WHO + "test_a_notice_is_made_once_by_the_databases_own_rule",),
    ),
    Mutant(
        "notices: no process makes one by itself",
        "actions/sql/grants.sql",
        "GRANT EXECUTE ON FUNCTION make_notices, notice_objection TO steadyhand_worker;",
        "GRANT EXECUTE ON FUNCTION make_notices, notice_objection TO steadyhand_worker;"
        " GRANT INSERT ON notice TO steadyhand_worker;",
        (WHO + "test_no_process_makes_a_notice_by_itself_or_reads_what_is_not_its_own",),
    ),
    # Addresses and their codes.
    Mutant(
        "address: five tries",
        HEARING,
        "OR a.wrong < 5\n",
        "OR true\n",
        (WHO + "test_a_code_is_tried_five_times_and_for_an_hour",),
    ),
    Mutant(
        "address: a code is good for an hour",
        HEARING,
        "     AND a.asked_at > clock_timestamp() - interval '1 hour')\n  RETURNING",
        "     )\n  RETURNING",
        (WHO + "test_a_code_is_tried_five_times_and_for_an_hour",),
    ),
    Mutant(
        "address: nothing is confirmed after an hour",
        HEARING,
        "     AND asked_at > clock_timestamp() - interval '1 hour';\n",
        "     ;\n",
        (WHO + "test_a_code_is_tried_five_times_and_for_an_hour",),
    ),
    Mutant(
        "address: its own code is known once it is confirmed, and however often",
        HEARING,
        "AND (a.confirmed_at IS NOT NULL OR ",
        "AND a.confirmed_at IS NULL AND (",
        (WHO + "test_confirming_again_says_that_it_is_confirmed_and_changes_nothing",),
    ),
    Mutant(
        "address: who confirms a moment later hears that it is confirmed",
        HEARING,
        "           THEN 'already' ELSE",
        "           THEN '' ELSE",
        (
            WHO + "test_confirming_again_says_that_it_is_confirmed_and_changes_nothing",
            WHO + "test_of_two_that_confirm_at_once_both_hear_that_it_is_confirmed",
        ),
    ),
    Mutant(
        "address: the one that is confirmed stays so when it is given again",
        HEARING,
        "    RETURN 'confirmed';\n  END IF;\n  -- Nobody",
        "    NULL;\n  END IF;\n  -- Nobody",
        (
            WHO
            + "test_giving_the_address_again_that_is_confirmed_changes_nothing_and_sends_nothing",
        ),
    ),
    Mutant(
        "address: codes are not sent again and again",
        HEARING,
        ">= 10 THEN",
        ">= 10000 THEN",
        (WHO + "test_nobody_floods_somebody_elses_address",),
    ),
    Mutant(
        "address: plain, says the database too",
        "actions/migrations/0011_notices.py",
        "('email__regex', \"^[",
        "('email__regex', \"|^[",
        (WHO + "test_an_address_that_is_not_plainly_one_is_refused_by_the_database_too",),
    ),
    # Telling.
    Mutant(
        "telling: one at a time",
        TELLING,
        "        id=notice, state__in=sorted(states.NOTICE_DUE), run_at__lte=Now()\n    ).update(",
        "        id=notice\n    ).update(",
        (MAILS + "test_two_keepers_do_not_tell_it_both",),
    ),
    Mutant(
        "telling: few of each endpoint",
        TELLING,
        "ORDER BY n.run_at LIMIT %(each)s) d",
        "ORDER BY n.run_at) d",
        (HOOKS + "test_one_endpoint_that_hangs_holds_up_no_other",),
    ),
    Mutant(
        "telling: by the fence",
        TELLING,
        "state=NoticeState.EXECUTING, fence=held.fence)",
        "state=NoticeState.EXECUTING)",
        (MAILS + "test_two_keepers_do_not_tell_it_both",),
    ),
    Mutant(
        "telling: what began is a doubt",
        TELLING,
        "Unknown(_GONE) if notice.began_at else RetryLater(_GONE)",
        "RetryLater(_GONE)",
        (
            MAILS + "test_a_process_that_is_killed_midway_loses_no_notice[tell.sent-in_doubt-2]",
            MAILS + "test_a_late_word_that_it_was_taken_ends_the_doubt",
        ),
    ),
    Mutant(
        "telling: a mail is doubted a few times only",
        TELLING,
        "if doubts >= channel.most_doubts or _old(held):",
        "if _old(held):",
        (
            MAILS
            + "test_an_answer_that_is_lost_makes_a_repeat_that_can_be_told_and_three_are_enough",
        ),
    ),
    Mutant(
        "telling: a day is enough",
        TELLING,
        "            if _old(held):\n",
        "            if False:\n",
        (MAILS + "test_what_is_not_taken_for_a_day_is_given_up",),
    ),
    Mutant(
        "mail: a lost answer is a doubt",
        MAIL,
        'return Unknown(f"The mail server gave no answer to it',
        'return RetryLater(f"The mail server gave no answer to it',
        (
            MAILS
            + "test_an_answer_that_is_lost_makes_a_repeat_that_can_be_told_and_three_are_enough",
        ),
    ),
    Mutant(
        "mail: the same Message-ID each time",
        MAIL,
        'f"<notice.{told.id}@{server.domain}>"',
        'f"<notice.{time.monotonic()}@{server.domain}>"',
        (
            MAILS
            + "test_an_answer_that_is_lost_makes_a_repeat_that_can_be_told_and_three_are_enough",
        ),
    ),
    Mutant(
        "mail: never in the clear beyond this machine",
        MAIL,
        'if not tls and host not in {"127.0.0.1", "::1", "localhost"}:',
        "if False:",
        (MAILS + "test_a_mail_server_that_nobody_should_use_is_refused",),
    ),
    Mutant(
        "mail: the server is who it says",
        MAIL,
        "        self._name = server.host\n",
        "        self._name = server.host\n"
        "        self._context.check_hostname = False\n"
        "        self._context.verify_mode = ssl.CERT_NONE\n",
        (MAILS + "test_a_mail_goes_in_private_after_signing_in_to_the_server_that_it_is_for",),
    ),
    Mutant(
        "mail: no privacy, no mail",
        MAIL,
        '        code, said = self.docmd("STARTTLS")\n        if code != 220:\n',
        '        code, said = self.docmd("STARTTLS")\n        if code != 220:\n            return\n',
        (MAILS + "test_a_server_that_offers_no_privacy_where_it_is_asked_for_gets_no_mail",),
    ),
    Mutant(
        "webhook: the same id each time",
        WEBHOOK,
        "f\"msg_{told.id.replace('-', '')}\"",
        'f"msg_{time.monotonic_ns()}"',
        (HOOKS + "test_a_repeat_has_the_same_id_and_body_and_is_signed_anew",),
    ),
    Mutant(
        "webhook: both secrets sign",
        WEBHOOK,
        "for s in self._secrets)",
        "for s in list(self._secrets)[:1])",
        (HOOKS + "test_two_secrets_sign_while_one_is_replaced",),
        raises="standardwebhooks",
    ),
    Mutant(
        "endpoint: keys of realms are forgotten only when nothing is sealed under them",
        "actions/realms.py",
        "    for table in (RealmSecret, EndpointSecret):\n        rows",
        "    for table in (RealmSecret,):\n        rows",
        (HOOKS + "test_urls_and_secrets_are_sealed_and_bound_and_go_with_the_realms_keys",),
    ),
)
