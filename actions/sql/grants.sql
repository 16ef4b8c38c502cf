-- One role per process, each with what it needs, none owning anything (contract §7).

DO $$
DECLARE r text;
BEGIN
  FOREACH r IN ARRAY ARRAY['steadyhand_web', 'steadyhand_worker', 'steadyhand_auditor'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', r);
    END IF;
  END LOOP;
END $$;

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, steadyhand_web, steadyhand_worker, steadyhand_auditor;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC, steadyhand_web, steadyhand_worker, steadyhand_auditor;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO steadyhand_web, steadyhand_worker, steadyhand_auditor;

-- What everybody reads.
GRANT SELECT ON blocklist_name, subject, operation, operation_incident, operation_facts, effect, attempt, request, arrival,
  incident, log_event, catalogue_entry, realm, blocklist_entry, pull, heartbeat, ends_hold, draft,
  reading, subject_label,
  django_migrations, django_content_type, auth_permission
  TO steadyhand_web, steadyhand_worker, steadyhand_auditor;
GRANT EXECUTE ON FUNCTION last_known(bigint, text)
  TO steadyhand_web, steadyhand_worker, steadyhand_auditor;

-- Web: asks, and signs people in. It settles nothing and reads no realm's settings.
GRANT SELECT ON caller, caller_groups, caller_user_permissions, auth_group, auth_group_permissions,
  api_token, entry_user_grant, entry_group_grant, realm_user_grant, realm_group_grant,
  guardian_userobjectpermission, guardian_groupobjectpermission TO steadyhand_web;
GRANT UPDATE (last_login, password) ON caller TO steadyhand_web;
GRANT SELECT, INSERT, UPDATE, DELETE ON django_session TO steadyhand_web;
GRANT INSERT ON draft, pull TO steadyhand_web;
GRANT UPDATE (first_shown_at) ON draft TO steadyhand_web;
GRANT INSERT ON incident TO steadyhand_web;
GRANT EXECUTE ON FUNCTION look, lane_now, issue, act, log_append, ask_readings TO steadyhand_web;
GRANT EXECUTE ON FUNCTION ask_name, value_state, show_value, acknowledge_value TO steadyhand_web;

-- Worker and keeper: carry out and settle. They make no operation but the end of one that is due.
GRANT SELECT (id, username, first_name, last_name, kind, is_active) ON caller TO steadyhand_worker;
GRANT SELECT ON realm_version, realm_secret, entry_user_grant, entry_group_grant, realm_user_grant, realm_group_grant,
  caller_groups TO steadyhand_worker;
GRANT SELECT (id, scopes, revoked_at, expires_at) ON api_token TO steadyhand_worker;
GRANT UPDATE (state, settled_at, verified_at) ON operation TO steadyhand_worker;
GRANT UPDATE (state, fence, attempts, run_at, lease_until, doubt_until, found, message, settled_at,
  verified_at, going_since) ON effect TO steadyhand_worker;
GRANT INSERT, UPDATE (call_started_at, ended_at, outcome, found, message, late) ON attempt TO steadyhand_worker;
GRANT SELECT, INSERT, UPDATE ON blocklist_entry TO steadyhand_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON heartbeat TO steadyhand_worker;
GRANT INSERT ON ends_hold TO steadyhand_worker;
GRANT DELETE, UPDATE (taken_at, facts, message) ON reading TO steadyhand_worker;
GRANT INSERT, UPDATE (seen_at) ON subject_label TO steadyhand_worker;
GRANT SELECT, INSERT ON made_value TO steadyhand_worker;
GRANT UPDATE (sealed, erased_at) ON made_value TO steadyhand_worker;
GRANT EXECUTE ON FUNCTION issue_end, cancel_unsent, log_append, erase_values TO steadyhand_worker;

-- Auditor: reads what happened, and who; no password, session or token.
GRANT SELECT (id, username, first_name, last_name, kind, is_active) ON caller TO steadyhand_auditor;
GRANT SELECT (id, prefix, name, caller_id, owner_id, scopes, created_at, expires_at, revoked_at)
  ON api_token TO steadyhand_auditor;

-- Rows that web and worker insert themselves take their number from these.
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO steadyhand_web, steadyhand_worker;
