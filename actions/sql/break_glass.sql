-- Break-glass: somebody of a sealed group alone, for an hour, heard by everybody.

-- Whether somebody has a right over the whole console, by one of their groups.
CREATE OR REPLACE FUNCTION has_console_right(p_caller uuid, p_codename text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT FROM caller c JOIN caller_groups m ON m.caller_id = c.id
                   JOIN auth_group_permissions g ON g.group_id = m.group_id
                   JOIN auth_permission p ON p.id = g.permission_id
                   JOIN django_content_type t ON t.id = p.content_type_id
                  WHERE c.id = p_caller AND c.is_active AND c.kind = 'person'
                    AND p.codename = p_codename AND t.app_label = 'actions')
$$;

-- What this person has open now, or null: while they are still of the group, and active.
CREATE OR REPLACE FUNCTION break_glass_of(p_caller uuid) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT b.id FROM break_glass b
   WHERE b.caller_id = p_caller AND b.closed_at IS NULL AND b.ends_at > clock_timestamp()
     AND has_console_right(p_caller, 'break_glass')
$$;

-- Whether what was asked under it may still be sent. Its hour bounds the asking; what an admin withdrew,
-- open or over, or whose holder left the group, sends nothing more.
CREATE OR REPLACE FUNCTION break_glass_stands(p_id uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT b.withdrawn_at IS NULL
     AND has_console_right(b.caller_id, 'break_glass')
    FROM break_glass b WHERE b.id = p_id
$$;

-- Open it. Verdict: 'opened', 'existing' while one is open, or 'refused' without the right.
CREATE OR REPLACE FUNCTION open_break_glass(p_caller uuid, p_reason text,
  OUT verdict text, OUT opened uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE v_at timestamptz;
BEGIN
  IF NOT has_console_right(p_caller, 'break_glass') THEN
    verdict := 'refused'; RETURN;
  END IF;
  PERFORM FROM caller c WHERE c.id = p_caller FOR NO KEY UPDATE;
  PERFORM end_break_glass();
  SELECT b.id INTO opened FROM break_glass b WHERE b.caller_id = p_caller AND b.closed_at IS NULL;
  verdict := 'existing';
  IF opened IS NULL THEN
    v_at := clock_timestamp(); opened := gen_random_uuid(); verdict := 'opened';
    INSERT INTO break_glass (id, caller_id, reason, opened_at, ends_at)
    VALUES (opened, p_caller, p_reason, v_at, v_at + interval '1 hour');
    PERFORM log_break_glass('break_glass.opened', opened, p_caller);
  END IF;
END $$;

-- Close it early: whoever opened it may, and every admin, who withdraws it so, once, also when it is over
-- already. Verdict: 'closed', 'existing' or 'refused'.
CREATE OR REPLACE FUNCTION close_break_glass(p_id uuid, p_by uuid) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE b break_glass; v_open boolean; v_withdraws boolean; v_at timestamptz;
BEGIN
  SELECT * INTO b FROM break_glass WHERE id = p_id FOR NO KEY UPDATE;
  v_at := clock_timestamp();
  v_open := b.closed_at IS NULL AND b.ends_at > v_at;
  v_withdraws := b.caller_id <> p_by AND b.withdrawn_at IS NULL;
  IF b.id IS NULL OR NOT (b.caller_id = p_by OR has_console_right(p_by, 'administer')) THEN
    RETURN 'refused';
  ELSIF NOT (v_open OR v_withdraws) THEN
    RETURN 'existing';
  END IF;
  IF v_withdraws THEN
    UPDATE break_glass SET withdrawn_at = v_at, withdrawn_by_id = p_by WHERE id = p_id;
  END IF;
  IF v_open THEN
    UPDATE break_glass SET closed_at = v_at, closed_by_id = p_by WHERE id = p_id;
  END IF;
  PERFORM log_break_glass(CASE WHEN v_open THEN 'break_glass.closed' ELSE 'break_glass.withdrawn' END, p_id, p_by);
  RETURN 'closed';
END $$;

-- Close what is over; how many.
CREATE OR REPLACE FUNCTION end_break_glass() RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE v_ended uuid[];
BEGIN
  WITH over AS (
    SELECT b.id FROM break_glass b WHERE b.closed_at IS NULL AND b.ends_at <= clock_timestamp()
       FOR NO KEY UPDATE SKIP LOCKED
  ), ended AS (
    UPDATE break_glass b SET closed_at = b.ends_at FROM over WHERE b.id = over.id RETURNING b.id
  ) SELECT array_agg(ended.id) INTO v_ended FROM ended;
  PERFORM log_break_glass('break_glass.ended', e, NULL) FROM unnest(v_ended) e;
  RETURN coalesce(cardinality(v_ended), 0);
END $$;

CREATE OR REPLACE FUNCTION log_break_glass(p_kind text, p_id uuid, p_by uuid) RETURNS void
LANGUAGE sql AS $$
  SELECT log_numbered(NULL, p_kind, '{"break_glass":' || to_json(b.id::text)
    || ',"by":' || coalesce(to_json(y.username::text)::text, '"console"')
    || ',"caller":' || to_json(b.caller_id::text)
    || ',"ends":' || to_json(to_char(b.ends_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
    || ',"reason":' || to_json(b.reason) || ',"who":' || to_json(c.username::text) || '}')
    FROM break_glass b JOIN caller c ON c.id = b.caller_id LEFT JOIN caller y ON y.id = p_by
   WHERE b.id = p_id
$$;
