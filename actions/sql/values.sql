-- Made values: shown again to who asked, each time logged, and erased in time (contract §6).
--
-- The value itself stays sealed all the way: what is written here and in the log never holds it.

-- How a made value stands for p_caller: 'none' (nothing was made, or it is not theirs to see), 'there',
-- or 'gone' (erased, acknowledged, or its time is over); and until when, null while it is not settled.
CREATE OR REPLACE FUNCTION value_state(p_ref text, p_caller uuid, OUT state text, OUT until timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE o operation; m made_value;
BEGIN
  state := 'none';
  SELECT * INTO o FROM operation WHERE ref = p_ref;
  IF o.id IS NULL OR NOT (o.requested_by_id = p_caller OR EXISTS (
       SELECT FROM arrival a JOIN request r ON r.id = a.request_id
        WHERE a.operation_id = o.id AND a.disposition = 'created' AND r.caller_id = p_caller)) THEN
    RETURN;
  END IF;
  SELECT * INTO m FROM made_value WHERE operation_id = o.id;
  IF m.id IS NULL THEN
    RETURN;
  END IF;
  -- Parked is not settled: a person decides first, and its steps may need the value still.
  until := CASE WHEN o.state <> 'parked' THEN o.settled_at + interval '15 minutes' END;
  state := CASE WHEN m.sealed IS NULL OR m.acknowledged_at IS NOT NULL OR until <= clock_timestamp()
                THEN 'gone' ELSE 'there' END;
END $$;

-- Give what was made, sealed, to who asked for it, and log that they were shown it, or neither.
CREATE OR REPLACE FUNCTION show_value(p_ref text, p_caller uuid, p_via text,
  OUT state text, OUT until timestamptz, OUT key_id text, OUT sealed bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE v_operation bigint;
BEGIN
  -- The row's lock, in a statement of its own: whoever waited here for the erasure sees it done.
  SELECT o.id INTO v_operation FROM operation o WHERE o.ref = p_ref FOR NO KEY UPDATE;
  SELECT v.state, v.until INTO state, until FROM value_state(p_ref, p_caller) v;
  IF state <> 'there' THEN
    RETURN;
  END IF;
  SELECT m.key_id, m.sealed INTO key_id, sealed FROM made_value m WHERE m.operation_id = v_operation;
  PERFORM log_numbered(v_operation, 'value.shown', value_event(p_caller, p_via));
END $$;

-- They have it: it is not shown again, and is erased as soon as the operation no longer needs it.
CREATE OR REPLACE FUNCTION acknowledge_value(p_ref text, p_caller uuid, p_via text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE v_operation bigint; v_state text;
BEGIN
  SELECT o.id INTO v_operation FROM operation o WHERE o.ref = p_ref FOR NO KEY UPDATE;
  SELECT v.state INTO v_state FROM value_state(p_ref, p_caller) v;
  IF v_state = 'there' THEN
    UPDATE made_value SET acknowledged_at = clock_timestamp() WHERE operation_id = v_operation;
    PERFORM log_numbered(v_operation, 'value.acknowledged', value_event(p_caller, p_via));
    PERFORM erase_value(v_operation);
    v_state := 'gone';
  END IF;
  RETURN v_state;
END $$;

CREATE OR REPLACE FUNCTION value_event(p_caller uuid, p_via text) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT '{"by":' || to_json(c.username::text) || ',"caller":' || to_json(c.id::text)
      || ',"via":' || to_json(p_via) || '}' FROM caller c WHERE c.id = p_caller
$$;

-- Erase the value of an operation whose row is locked, if it is due: settled, and acknowledged or shown
-- for 15 minutes; or a day old, whatever became of the operation. True if it was.
CREATE OR REPLACE FUNCTION erase_value(p_operation bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE v_why text;
BEGIN
  UPDATE made_value m SET sealed = NULL, erased_at = clock_timestamp() FROM operation o
   WHERE o.id = p_operation AND m.operation_id = o.id AND m.sealed IS NOT NULL
     AND ((o.settled_at IS NOT NULL AND o.state <> 'parked' AND (m.acknowledged_at IS NOT NULL
            OR o.settled_at <= clock_timestamp() - interval '15 minutes'))
       OR m.made_at <= clock_timestamp() - interval '1 day')
  RETURNING CASE WHEN m.acknowledged_at IS NULL THEN 'its time is over' ELSE 'acknowledged' END INTO v_why;
  IF v_why IS NULL THEN
    RETURN false;
  END IF;
  PERFORM log_numbered(p_operation, 'value.erased', '{"why":' || to_json(v_why) || '}');
  RETURN true;
END $$;

-- Erase all that is due; how many. Rows that somebody holds are left to the next pass.
CREATE OR REPLACE FUNCTION erase_values() RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE v_id bigint; v_count int := 0;
BEGIN
  FOR v_id IN
    SELECT o.id FROM made_value m JOIN operation o ON o.id = m.operation_id
     WHERE m.sealed IS NOT NULL
       AND ((o.settled_at IS NOT NULL AND o.state <> 'parked' AND (m.acknowledged_at IS NOT NULL
              OR o.settled_at <= clock_timestamp() - interval '15 minutes'))
         OR m.made_at <= clock_timestamp() - interval '1 day')
     ORDER BY o.id LIMIT 100 FOR NO KEY UPDATE OF o SKIP LOCKED
  LOOP
    v_count := v_count + erase_value(v_id)::int;
  END LOOP;
  RETURN v_count;
END $$;
