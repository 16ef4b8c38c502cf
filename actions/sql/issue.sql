-- Set what is unfinished of an operation going again: the failed effects, and behind them those that
-- were cancelled because an earlier step had failed. The caller holds the operation's lock.
CREATE OR REPLACE FUNCTION set_going(p_operation bigint, p_at timestamptz) RETURNS void LANGUAGE sql AS $$
  WITH unfinished AS (
    SELECT e.id, e.ord = min(e.ord) FILTER (WHERE e.state IN ('failed', 'cancelled')) OVER () AS first
      FROM effect e WHERE e.operation_id = p_operation AND e.state IN ('failed', 'cancelled')
  )
  UPDATE effect e SET state = CASE WHEN u.first THEN 'ready' ELSE 'blocked' END, run_at = p_at,
         settled_at = NULL, going_since = p_at, attempts_before = e.attempts
    FROM unfinished u WHERE e.id = u.id
$$;

-- Write one request and all that it makes, or nothing.
--
-- Python looked at the lane and decided; this function writes the decision if the lane and the key
-- are still as they were, and answers 'moved' if not, to be decided again. It never decides itself.
-- Every statement of a VOLATILE function sees what others have committed since the one before, so
-- whoever waited here for a lock or an index looks again with fresh eyes.
--
-- Locks, always in this order: the lane's holder, its newest operation, the request key, the new operation.
-- Dropped first, for another list of arguments would make another function.
DROP FUNCTION IF EXISTS issue;

CREATE FUNCTION issue(
  p_arrival uuid, p_caller uuid, p_key text, p_fingerprint bytea, p_rules int, p_via text, p_token uuid,
  p_request bigint,          -- the key's row as it was seen, or null
  p_disposition text, p_code text,
  p_told bigint,             -- the operation that the answer names, or null when it is made here
  p_incident uuid, p_kind text, p_body text,
  p_subject_kind text, p_subject_name text, p_subject_rules int, p_network cidr, p_lane text,
  p_decided_on int, p_decided_state text,   -- the lane's newest generation (0: none) and its state
  p_ref text, p_action text, p_action_version int, p_desired jsonb, p_span int, p_ends_at timestamptz,
  p_digest bytea, p_reason text, p_because text, p_again_of int, p_draft text,
  p_effects jsonb,           -- [{realm, realm_version, step, ord, capability, redo, desired, lane?, after?}]
  p_undoes bigint DEFAULT NULL,  -- the operation that the one made here undoes
  p_approvals jsonb DEFAULT '[]',   -- the approvals that it was decided to need, as the rules ask for
  p_break_glass uuid DEFAULT NULL,  -- what the caller was seen to have open: it waits for none
  p_keep_for int DEFAULT NULL    -- seconds in which it must be kept, or it ends: it may cut off who asks
) RETURNS TABLE (verdict text, operation bigint, at timestamptz, arrivals int)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_at timestamptz := clock_timestamp();
  v_subject bigint; v_request bigint; v_operation bigint; v_newest bigint; v_state text; v_older bigint;
  v_ref text; v_number int; v_arrivals int; v_made boolean := p_disposition = 'created';
  v_minutes int; v_waits boolean := false;
BEGIN
  -- What a caller of this function may not say, whoever it is.
  IF NOT (p_body IS JSON OBJECT WITH UNIQUE KEYS)
     OR p_kind <> (CASE WHEN v_made THEN 'operation.requested' ELSE 'request.arrived' END) THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', MESSAGE = 'not an event of a request';
  END IF;
  IF session_user = 'steadyhand_web' AND (p_via = 'keeper' OR p_because LIKE 'end of @%'
     OR EXISTS (SELECT FROM caller c WHERE c.id = p_caller AND c.kind = 'console')) THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', MESSAGE = 'the console itself asks only through issue_end';
  END IF;

  -- 1. The lane, as it was decided on.
  IF p_lane IS NOT NULL THEN
    SELECT s.id INTO v_subject FROM subject s
     WHERE s.kind = p_subject_kind AND s.name = p_subject_name;
    -- Below what waits another may hold the lane. Older generations are locked before newer ones.
    IF v_made AND p_decided_state = 'awaiting_approval' THEN
      SELECT o.id INTO v_older FROM operation o
       WHERE o.subject_id = v_subject AND o.lane = p_lane AND o.generation < p_decided_on
         AND o.state IN ('approved', 'running') FOR NO KEY UPDATE;
    END IF;
    IF p_decided_on > 0 THEN
      SELECT o.id, o.state INTO v_newest, v_state FROM operation o
       WHERE o.subject_id = v_subject AND o.lane = p_lane AND o.generation = p_decided_on
         FOR NO KEY UPDATE;
      IF v_state IS DISTINCT FROM p_decided_state THEN
        RETURN QUERY SELECT 'moved', NULL::bigint, v_at, NULL::int; RETURN;
      END IF;
    END IF;
    PERFORM FROM operation o
      WHERE o.subject_id = v_subject AND o.lane = p_lane AND o.generation > p_decided_on;
    IF FOUND THEN
      RETURN QUERY SELECT 'moved', NULL::bigint, v_at, NULL::int; RETURN;
    END IF;
  END IF;

  -- 2. The request key: the unique constraint decides who was first.
  IF p_request IS NULL THEN
    INSERT INTO request (caller_id, key, fingerprint, rules, first_seen_at, operation_id)
    VALUES (p_caller, p_key, p_fingerprint, p_rules, v_at, NULL)
    ON CONFLICT ON CONSTRAINT request_key_once DO NOTHING RETURNING id INTO v_request;
    IF v_request IS NULL THEN
      RETURN QUERY SELECT 'moved', NULL::bigint, v_at, NULL::int; RETURN;
    END IF;
  ELSE
    v_request := p_request;
    IF p_disposition <> 'key_reused' THEN
      -- A key that is judged again must still name no operation, or the one that is told.
      PERFORM FROM request r WHERE r.id = p_request AND (r.operation_id IS NULL OR r.operation_id = p_told)
         FOR NO KEY UPDATE;
      IF NOT FOUND THEN
        RETURN QUERY SELECT 'moved', NULL::bigint, v_at, NULL::int; RETURN;
      END IF;
    END IF;
  END IF;

  -- The incident takes it only while it is open and the caller sees it; one that is being closed is
  -- waited for, so that whoever closed it was told of all that it had.
  IF p_incident IS NOT NULL AND (v_made OR p_disposition IN ('existing', 'resumed'))
     AND NOT EXISTS (SELECT FROM operation_incident l WHERE l.operation_id = p_told AND l.incident_id = p_incident) THEN
    PERFORM FROM incident i WHERE i.id = p_incident AND i.state = 'open' AND may_see_incident(p_caller, i.id)
       FOR SHARE;
    IF NOT FOUND THEN
      RAISE EXCEPTION USING ERRCODE = 'SH001', MESSAGE = 'moved';  -- undoes all of the above
    END IF;
  END IF;

  -- What it needs is what the rules ask for now, whatever the caller says; a token has no break-glass.
  IF v_made AND p_via <> 'keeper' THEN
    SELECT n.minutes INTO v_minutes FROM approvals_needed(p_action,
      ARRAY(SELECT (e ->> 'realm')::uuid FROM jsonb_array_elements(p_effects) e),
      CASE WHEN p_subject_kind = 'network' THEN p_subject_name::cidr END,
      asks_twice(p_subject_kind, p_subject_name, CASE WHEN p_subject_kind = 'network' THEN p_subject_name::cidr END,
                 p_desired, p_caller)) n
     WHERE n.needs = p_approvals;
    IF NOT FOUND OR p_break_glass IS DISTINCT FROM
        (CASE WHEN p_token IS NULL THEN break_glass_of(p_caller) END) THEN
      RAISE EXCEPTION USING ERRCODE = 'SH001', MESSAGE = 'moved';  -- undoes the request key, too
    END IF;
  END IF;

  -- 3. The operation, where this request makes one.
  IF v_made THEN
    -- What waits for approval holds no lane, and takes none from what runs.
    v_waits := p_approvals <> '[]' AND p_break_glass IS NULL;
    IF v_state = 'awaiting_approval' OR (v_state IN ('approved', 'running') AND NOT v_waits) THEN
      PERFORM cancel_unsent(v_newest, v_at);
      UPDATE operation SET state = 'superseded', settled_at = v_at WHERE id = v_newest;
    END IF;
    IF v_older IS NOT NULL AND NOT v_waits THEN
      PERFORM cancel_unsent(v_older, v_at);
      UPDATE operation SET state = 'superseded', settled_at = v_at WHERE id = v_older;
    END IF;
    IF v_subject IS NULL THEN
      INSERT INTO subject (kind, name, rules, network)
      VALUES (p_subject_kind, p_subject_name, p_subject_rules, p_network)
      ON CONFLICT ON CONSTRAINT subject_once DO NOTHING RETURNING id INTO v_subject;
      IF v_subject IS NULL THEN
        SELECT s.id INTO STRICT v_subject FROM subject s
         WHERE s.kind = p_subject_kind AND s.name = p_subject_name;
      END IF;
    END IF;
    IF p_undoes IS NOT NULL THEN
      PERFORM FROM operation u WHERE u.id = p_undoes AND u.subject_id = v_subject AND u.lane = p_lane;
      IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'SH003', MESSAGE = 'an undo stays on the lane of what it undoes';
      END IF;
    END IF;
    -- DO NOTHING without a target swallows any unique violation. Here each of them (the generation,
    -- the live lane, the ref, the undo) means the same: somebody else was first, so look again.
    INSERT INTO operation (ref, subject_id, lane, generation, action, action_version, state, desired,
      span, ends_at, plan_digest, reason, because, again_of, undoes_id, requested_by_id, via, draft_id,
      requested_at, end_note, arrival_count, last_arrival_at, event_count,
      approvals, break_glass_id, approve_by, approved_at, keep_for, keep_by)
    VALUES (p_ref, v_subject, p_lane, p_decided_on + 1, p_action, p_action_version,
      CASE WHEN v_waits THEN 'awaiting_approval' ELSE 'approved' END, p_desired,
      p_span, p_ends_at, p_digest, p_reason, p_because, p_again_of, p_undoes, p_caller, p_via, p_draft,
      v_at, '', 1, v_at, 1, p_approvals, p_break_glass,
      CASE WHEN v_waits THEN least(v_at + make_interval(mins => v_minutes), p_ends_at) END,
      CASE WHEN NOT v_waits THEN v_at END,
      p_keep_for, CASE WHEN NOT v_waits THEN v_at + make_interval(secs => p_keep_for) END)
    ON CONFLICT DO NOTHING RETURNING id INTO v_operation;
    IF v_operation IS NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'SH001', MESSAGE = 'moved';  -- undoes all of the above
    END IF;
    INSERT INTO effect (operation_id, subject_id, lane, generation, realm_id, realm_version, step, ord,
      capability, redo, desired, state, fence, attempts, attempts_before, going_since, after, run_at,
      found, message)
    SELECT v_operation, v_subject, coalesce(e.lane, p_lane), p_decided_on + 1, e.realm, e.realm_version,
      e.step, e.ord, e.capability, e.redo, e.desired,
      CASE WHEN v_waits THEN 'held' WHEN e.ord = min(e.ord) OVER () THEN 'ready' ELSE 'blocked' END,
      0, 0, 0, v_at,
      coalesce(e.after, 0), v_at, '', ''
      FROM jsonb_to_recordset(p_effects) AS e(realm uuid, realm_version int, step text, ord int,
        capability text, redo text, desired jsonb, lane text, after int);
    v_ref := p_ref; v_number := 1; v_arrivals := 1;
  ELSIF p_told IS NOT NULL THEN
    v_operation := p_told;
    IF p_disposition = 'resumed' THEN
      -- What waits for approval above it takes nothing from it.
      IF p_told IS DISTINCT FROM v_newest AND NOT (v_state = 'awaiting_approval' AND EXISTS (
           SELECT FROM operation o WHERE o.id = p_told AND o.subject_id = v_subject AND o.lane = p_lane
              AND o.generation = p_decided_on - 1)) THEN
        RAISE EXCEPTION USING ERRCODE = 'SH003', MESSAGE = 'only the newest generation can be finished';
      END IF;
      IF NOT may_go_on(p_told, p_caller, p_token) THEN
        RAISE EXCEPTION USING ERRCODE = 'SH001', MESSAGE = 'moved';
      END IF;
      PERFORM set_going(p_told, v_at);
      UPDATE operation SET state = 'running', settled_at = NULL
       WHERE id = p_told AND state IN ('partial', 'failed');
    END IF;
    UPDATE operation SET event_count = event_count + 1, arrival_count = arrival_count + 1,
                         last_arrival_at = v_at
     WHERE id = p_told RETURNING ref, event_count, arrival_count INTO STRICT v_ref, v_number, v_arrivals;
  END IF;

  -- 4. What this request is told, for ever.
  IF v_made OR p_disposition IN ('existing', 'resumed') THEN
    UPDATE request SET operation_id = v_operation WHERE id = v_request AND operation_id IS NULL;
    IF p_incident IS NOT NULL THEN
      INSERT INTO operation_incident (operation_id, incident_id, made) VALUES (v_operation, p_incident, v_made)
      ON CONFLICT ON CONSTRAINT operation_incident_once DO NOTHING;
    END IF;
  END IF;
  INSERT INTO arrival (id, request_id, operation_id, token_id, incident_id, at, via, disposition, code)
  VALUES (p_arrival, v_request, v_operation, p_token, p_incident, v_at, p_via, p_disposition, p_code);
  PERFORM log_write(v_operation, v_ref, v_number, p_kind, p_body, v_at);
  IF v_made AND p_via <> 'keeper' THEN
    PERFORM count_made(p_caller, p_token, v_at);
  END IF;
  RETURN QUERY SELECT 'written', v_operation, v_at, v_arrivals;
END $$;
