-- The log: exact canonical bytes (RFC 8785), numbered per operation under its row lock.
-- Members are written in sorted order by hand; to_json of a text escapes exactly as RFC 8785 does.

CREATE FUNCTION log_write(p_operation bigint, p_ref text, p_number int, p_kind text, p_body text,
                          p_at timestamptz) RETURNS void LANGUAGE sql AS $$
  INSERT INTO log_event (at, kind, operation_id, number, body)
  VALUES (p_at, p_kind, p_operation, p_number, convert_to(
    '{"at":"' || to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    || '","body":' || p_body || ',"kind":' || to_json(p_kind)
    || CASE WHEN p_operation IS NULL THEN ''
            ELSE ',"number":' || p_number || ',"operation":' || to_json(p_ref) END
    || '}', 'UTF8'))
$$;

-- What a process may append by itself. Moves, requests and ends are written where they happen, by
-- triggers and functions that no role can call otherwise: a process cannot tell them falsely.
CREATE FUNCTION log_append(p_operation bigint, p_kind text, p_body text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF (session_user = 'steadyhand_web' AND p_kind <> 'incident.opened')
  OR (session_user = 'steadyhand_worker' AND p_kind <> 'ends.held') THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', MESSAGE = format('%s may not append %s', session_user, p_kind);
  END IF;
  PERFORM log_numbered(p_operation, p_kind, p_body);
END $$;

-- p_body: one canonical JSON object. Takes the operation's row lock when there is an operation.
CREATE FUNCTION log_numbered(p_operation bigint, p_kind text, p_body text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE v_ref text; v_number int;
BEGIN
  IF NOT (p_body IS JSON OBJECT WITH UNIQUE KEYS) THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', MESSAGE = 'the body of an event is one JSON object';
  END IF;
  IF p_operation IS NOT NULL THEN
    UPDATE operation SET event_count = event_count + 1 WHERE id = p_operation
    RETURNING ref, event_count INTO STRICT v_ref, v_number;
  END IF;
  PERFORM log_write(p_operation, v_ref, v_number, p_kind, p_body, clock_timestamp());
END $$;

-- Moves are logged by the table itself, so that no code can forget to.
CREATE FUNCTION log_operation_move() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM log_numbered(NEW.id, 'operation.moved',
    '{"by":' || to_json(session_user::text) || ',"from":' || to_json(OLD.state)
    || ',"to":' || to_json(NEW.state) || '}');
  RETURN NULL;
END $$;

CREATE FUNCTION log_effect_move() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM log_numbered(NEW.operation_id, 'effect.moved',
    '{"attempts":' || NEW.attempts || ',"by":' || to_json(session_user::text)
    || ',"fence":' || NEW.fence || ',"found":' || to_json(NEW.found) || ',"from":' || to_json(OLD.state)
    || ',"message":' || to_json(NEW.message) || ',"realm":' || to_json(NEW.realm_id::text)
    || ',"step":' || to_json(NEW.step) || ',"to":' || to_json(NEW.state) || '}');
  RETURN NULL;
END $$;

CREATE TRIGGER operation_move_is_logged AFTER UPDATE OF state ON operation FOR EACH ROW
  WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION log_operation_move();
CREATE TRIGGER effect_move_is_logged AFTER UPDATE OF state ON effect FOR EACH ROW
  WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION log_effect_move();
ALTER TABLE operation ENABLE ALWAYS TRIGGER operation_move_is_logged;
ALTER TABLE effect ENABLE ALWAYS TRIGGER effect_move_is_logged;
