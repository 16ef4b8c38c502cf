-- What an admin does: people, groups, rights and tokens, each with its event, in one transaction.
--
-- Every function names who does it and asks whether they may; each answers 'done', 'existing' (it was
-- so already: nothing is written) or 'stale'. Nobody is named (null) at a shell of the database's owner.

-- An event's body in its canonical form (RFC 8785), of texts, lists of texts, and null.
CREATE OR REPLACE FUNCTION canonical_body(p jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT '{' || string_agg(to_json(e.key) || ':' || CASE jsonb_typeof(e.value)
           WHEN 'array' THEN '[' || coalesce((SELECT string_agg(to_json(x.v)::text, ',' ORDER BY x.n)
              FROM jsonb_array_elements_text(e.value) WITH ORDINALITY AS x(v, n)), '') || ']'
           WHEN 'string' THEN to_json(e.value #>> '{}')::text ELSE 'null' END,
         ',' ORDER BY e.key COLLATE "C") || '}' FROM jsonb_each(p) e
$$;

-- The lock, then who it is by name, if they may: console-wide, or on that one action or realm.
CREATE OR REPLACE FUNCTION administering(p_by uuid, p_kind text, p_target uuid) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE v_name text;
BEGIN
  PERFORM one_change_of_rights();
  IF p_by IS NULL AND session_user NOT IN ('steadyhand_web', 'steadyhand_worker', 'steadyhand_auditor') THEN
    RETURN 'manage.py';
  END IF;
  SELECT c.username INTO v_name FROM caller c WHERE c.id = p_by AND c.is_active AND c.kind = 'person'
    AND (EXISTS (SELECT FROM caller_groups m WHERE m.caller_id = c.id AND administers(m.group_id))
      OR (p_kind = 'entry' AND {{may_administer_entry}})
      OR (p_kind = 'realm' AND {{may_administer_realm}}));
  IF v_name IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', CONSTRAINT = 'only_an_admin_administers',
      MESSAGE = 'they may not administer this';
  END IF;
  RETURN v_name;
END $$;

CREATE OR REPLACE FUNCTION administered(p_kind text, p_by uuid, p_name text, p_more jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM log_numbered(NULL, p_kind,
    canonical_body(jsonb_build_object('by', p_name, 'caller', p_by::text) || p_more));
END $$;

-- p_id was made with the form: sent twice, it adds once. Fails as caller_username_key when the name is taken.
CREATE OR REPLACE FUNCTION add_caller(p_by uuid, p_id uuid, p_username text, p_kind text, p_first text,
  p_last text, p_password text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE v_name text := administering(p_by, NULL, NULL);
BEGIN
  IF EXISTS (SELECT FROM caller WHERE id = p_id) THEN
    RETURN 'existing';
  END IF;
  IF p_kind NOT IN ('person', 'service') OR (p_kind = 'service' AND p_password NOT LIKE '!%') THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', CONSTRAINT = 'service_has_no_password',
      MESSAGE = 'a person, or a service account without a password';
  END IF;
  INSERT INTO caller (id, username, kind, first_name, last_name, email, password, is_superuser, is_staff,
                      is_active, date_joined)
  VALUES (p_id, p_username, p_kind, p_first, p_last, '', p_password, false, false, true, clock_timestamp());
  PERFORM administered('account.added', p_by, v_name, jsonb_build_object('account', p_username, 'kind', p_kind));
  RETURN 'done';
END $$;

-- Closing takes the password away, and with it every session: they are bound to it. Opening gives another.
CREATE OR REPLACE FUNCTION open_caller(p_by uuid, p_caller uuid, p_open boolean, p_password text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE v_name text := administering(p_by, NULL, NULL); v_account text; v_kind text;
BEGIN
  SELECT c.username, c.kind INTO STRICT v_account, v_kind FROM caller c WHERE c.id = p_caller;
  IF v_kind = 'console' OR (v_kind = 'service' AND p_password NOT LIKE '!%')
     OR (NOT p_open AND p_password NOT LIKE '!%') THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', CONSTRAINT = 'service_has_no_password',
      MESSAGE = 'the console itself stays as it is, and only an open person has a password';
  END IF;
  UPDATE caller SET is_active = p_open, password = p_password WHERE id = p_caller AND is_active <> p_open;
  IF NOT FOUND THEN
    RETURN 'existing';
  END IF;
  PERFORM administered(CASE WHEN p_open THEN 'account.reopened' ELSE 'account.closed' END, p_by, v_name,
    jsonb_build_object('account', v_account));
  RETURN 'done';
END $$;

CREATE OR REPLACE FUNCTION make_group(p_by uuid, p_name text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE v_name text := administering(p_by, NULL, NULL);
BEGIN
  INSERT INTO auth_group (name) VALUES (p_name) ON CONFLICT (name) DO NOTHING;
  IF NOT FOUND THEN
    RETURN 'existing';
  END IF;
  PERFORM administered('group.made', p_by, v_name, jsonb_build_object('group', p_name));
  RETURN 'done';
END $$;

CREATE OR REPLACE FUNCTION set_member(p_by uuid, p_caller uuid, p_group text, p_in boolean) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE v_name text := administering(p_by, NULL, NULL); v_account text; v_group int; v_changed boolean;
BEGIN
  SELECT c.username INTO STRICT v_account FROM caller c WHERE c.id = p_caller AND c.kind <> 'console';
  SELECT g.id INTO STRICT v_group FROM auth_group g WHERE g.name = p_group;
  IF p_in THEN
    INSERT INTO caller_groups (caller_id, group_id) VALUES (p_caller, v_group) ON CONFLICT DO NOTHING;
  ELSE
    DELETE FROM caller_groups WHERE caller_id = p_caller AND group_id = v_group;
  END IF;
  v_changed := FOUND;
  IF NOT v_changed THEN
    RETURN 'existing';
  END IF;
  PERFORM administered(CASE WHEN p_in THEN 'member.added' ELSE 'member.removed' END, p_by, v_name,
    jsonb_build_object('account', v_account, 'group', p_group,
      'own', CASE WHEN p_caller = p_by THEN 'yes' ELSE 'no' END));
  RETURN 'done';
END $$;

-- What a group holds on one thing, sorted: of an action or a realm the right's first word.
CREATE OR REPLACE FUNCTION held_on(p_group int, p_kind text, p_target uuid) RETURNS text[]
LANGUAGE sql STABLE AS $$
  SELECT coalesce(array_agg(h.held ORDER BY h.held COLLATE "C"), '{}') FROM (
    SELECT split_part(p.codename, '_', 1) AS held FROM entry_group_grant g
      JOIN auth_permission p ON p.id = g.permission_id
     WHERE p_kind = 'entry' AND g.group_id = p_group AND g.content_object_id = p_target
    UNION ALL SELECT split_part(p.codename, '_', 1) FROM realm_group_grant g
      JOIN auth_permission p ON p.id = g.permission_id
     WHERE p_kind = 'realm' AND g.group_id = p_group AND g.content_object_id = p_target
    UNION ALL SELECT p.codename FROM auth_group_permissions g
      JOIN auth_permission p ON p.id = g.permission_id
     WHERE p_kind = 'all' AND g.group_id = p_group) h
$$;

-- The rights of a group on one action ('entry'), one realm, or console-wide ('all', no target): from what
-- was seen (sorted) to what is wanted. 'stale' when it is neither any more.
CREATE OR REPLACE FUNCTION set_rights(p_by uuid, p_group text, p_kind text, p_target uuid, p_seen text[],
  p_wanted text[]) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  v_name text := administering(p_by, p_kind, p_target); v_group int; v_on text; v_now text[]; v_model text;
  v_wanted text[] := ARRAY(SELECT DISTINCT w COLLATE "C" FROM unnest(p_wanted) w ORDER BY 1);
  v_gives text[]; v_takes text[]; v_gives_ids int[]; v_takes_ids int[];
BEGIN
  SELECT g.id INTO STRICT v_group FROM auth_group g WHERE g.name = p_group;
  CASE p_kind
    WHEN 'entry' THEN SELECT 'action ' || n.name, 'catalogueentry' INTO STRICT v_on, v_model FROM catalogue_entry n WHERE n.id = p_target;
    WHEN 'realm' THEN SELECT 'realm ' || m.name, 'realm' INTO STRICT v_on, v_model FROM realm m WHERE m.id = p_target;
    ELSE v_on := 'the console';
  END CASE;
  v_now := held_on(v_group, p_kind, p_target);
  IF v_now = v_wanted THEN
    RETURN 'existing';
  ELSIF v_now <> p_seen THEN
    RETURN 'stale';
  END IF;
  v_gives := ARRAY(SELECT w FROM unnest(v_wanted) w WHERE w <> ALL(v_now));
  v_takes := ARRAY(SELECT h FROM unnest(v_now) h WHERE h <> ALL(v_wanted));
  WITH known AS (
    SELECT p.id, CASE WHEN p_kind = 'all' THEN p.codename ELSE split_part(p.codename, '_', 1) END AS word
      FROM auth_permission p JOIN django_content_type t ON t.id = p.content_type_id AND t.app_label = 'actions'
     WHERE (p_kind = 'all' AND p.codename IN ('read_log', 'administer', 'break_glass'))
        OR (p_kind <> 'all' AND t.model = v_model AND p.codename LIKE '%\_' || p_kind))
  SELECT array_agg(id) FILTER (WHERE word = ANY(v_gives)), array_agg(id) FILTER (WHERE word = ANY(v_takes))
    INTO v_gives_ids, v_takes_ids FROM known;
  IF coalesce(cardinality(v_gives_ids), 0) <> cardinality(v_gives) THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', CONSTRAINT = 'right_is_one_that_there_is', MESSAGE = 'there is no such right';
  END IF;
  IF p_kind = 'entry' THEN
    DELETE FROM entry_group_grant WHERE group_id = v_group AND content_object_id = p_target AND permission_id = ANY(v_takes_ids);
    INSERT INTO entry_group_grant (group_id, content_object_id, permission_id)
      SELECT v_group, p_target, id FROM unnest(v_gives_ids) id;
  ELSIF p_kind = 'realm' THEN
    DELETE FROM realm_group_grant WHERE group_id = v_group AND content_object_id = p_target AND permission_id = ANY(v_takes_ids);
    INSERT INTO realm_group_grant (group_id, content_object_id, permission_id)
      SELECT v_group, p_target, id FROM unnest(v_gives_ids) id;
  ELSE
    DELETE FROM auth_group_permissions WHERE group_id = v_group AND permission_id = ANY(v_takes_ids);
    INSERT INTO auth_group_permissions (group_id, permission_id) SELECT v_group, id FROM unnest(v_gives_ids) id;
  END IF;
  PERFORM administered('rights.changed', p_by, v_name,
    jsonb_build_object('group', p_group, 'on', v_on, 'given', v_gives, 'taken', v_takes, 'own',
      CASE WHEN EXISTS (SELECT FROM caller_groups m WHERE m.group_id = v_group AND m.caller_id = p_by)
           THEN 'yes' ELSE 'no' END));
  RETURN 'done';
END $$;

-- A token for a service account, or for oneself: whoever held one of another person would be them.
CREATE OR REPLACE FUNCTION issue_token(p_by uuid, p_id uuid, p_caller uuid, p_name text, p_prefix text,
  p_digest bytea, p_scopes text[], p_days int) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE v_name text := administering(p_by, NULL, NULL); v_account text; v_at timestamptz := clock_timestamp();
BEGIN
  IF EXISTS (SELECT FROM api_token WHERE id = p_id) THEN
    RETURN 'existing';
  END IF;
  SELECT c.username INTO v_account FROM caller c
   WHERE c.id = p_caller AND c.is_active AND (c.kind = 'service' OR (c.kind = 'person' AND c.id = p_by));
  IF v_account IS NULL OR p_days NOT BETWEEN 1 AND 90 THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', CONSTRAINT = 'token_is_for_a_service_or_oneself',
      MESSAGE = 'a token is for an open service account or for oneself, and lasts 90 days at most';
  END IF;
  INSERT INTO api_token (id, prefix, digest, name, caller_id, owner_id, scopes, created_at, expires_at)
  VALUES (p_id, p_prefix, p_digest, p_name, p_caller, p_by, p_scopes, v_at, v_at + make_interval(days => p_days));
  PERFORM administered('token.issued', p_by, v_name,
    jsonb_build_object('account', v_account, 'prefix', p_prefix, 'scopes', p_scopes));
  RETURN 'done';
END $$;

CREATE OR REPLACE FUNCTION withdraw_token(p_by uuid, p_token uuid) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE v_name text := administering(p_by, NULL, NULL); v_prefix text; v_account text;
BEGIN
  SELECT t.prefix, c.username INTO STRICT v_prefix, v_account
    FROM api_token t JOIN caller c ON c.id = t.caller_id WHERE t.id = p_token;
  UPDATE api_token SET revoked_at = clock_timestamp() WHERE id = p_token AND revoked_at IS NULL;
  IF NOT FOUND THEN
    RETURN 'existing';
  END IF;
  PERFORM administered('token.withdrawn', p_by, v_name, jsonb_build_object('account', v_account, 'prefix', v_prefix));
  RETURN 'done';
END $$;
