-- Write what was decided on a verb of an operation that there is: finish, cancel, decide an effect.
--
-- As with `issue`: Python looked and decided, and nothing is written unless all that the decision rests
-- on is still so, under the locks; else the answer is 'moved'. Locks: the operation, then the key.
CREATE OR REPLACE FUNCTION act(
  p_arrival uuid, p_caller uuid, p_key text, p_fingerprint bytea, p_rules int, p_via text, p_token uuid,
  p_request bigint,          -- the key's row as it was seen, or null
  p_disposition text, p_code text,
  p_operation bigint, p_state text,   -- the operation and its state as it was seen
  p_newest int,              -- the newest generation of its lane as it was seen
  p_named boolean,           -- whether the answer names the operation
  p_verb text, p_effect bigint, p_to text, p_message text,   -- the effect to decide, if any, and to what
  p_body text
) RETURNS TABLE (verdict text, at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_at timestamptz := clock_timestamp(); v_body jsonb; v_did boolean; v_newest boolean;
  v_request bigint; v_number int; o operation;
BEGIN
  -- What a caller of this function may not say, whoever it is.
  IF NOT (p_body IS JSON OBJECT WITH UNIQUE KEYS) THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', MESSAGE = 'the body of an event is one JSON object';
  END IF;
  v_body := p_body::jsonb;
  v_did := p_disposition IN ('resumed', 'cancelled', 'decided', 'approved', 'declined', 'kept');
  IF p_disposition NOT IN ('resumed', 'cancelled', 'decided', 'kept', 'existing', 'refused', 'stale', 'conflict',
                           'key_reused', 'approved', 'declined')
     OR p_verb NOT IN ('finish', 'cancel', 'decide', 'approve', 'decline', 'keep')
     OR (p_disposition = 'approved' AND p_verb <> 'approve')
     OR (p_disposition = 'declined' AND p_verb <> 'decline')
     OR (p_disposition = 'resumed' AND p_verb IN ('approve', 'decline'))
     OR ((p_disposition = 'kept') <> (v_did AND p_verb = 'keep'))
     OR (v_did AND NOT p_named)
     OR (p_disposition = 'cancelled' AND p_verb <> 'cancel')
     OR (p_disposition = 'decided' AND (p_verb <> 'decide' OR p_to NOT IN ('succeeded', 'failed')))
     OR (p_disposition = 'resumed' AND p_verb = 'decide' AND p_to <> 'ready')
     OR (p_disposition = 'resumed' AND p_verb = 'cancel')
     OR v_body ->> 'caller' IS DISTINCT FROM p_caller::text THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', MESSAGE = 'not an event of this verb';
  END IF;
  -- A worker asks no more for the rights of what the console itself set going.
  IF session_user = 'steadyhand_web' AND (p_via = 'keeper'
     OR EXISTS (SELECT FROM caller c WHERE c.id = p_caller AND c.kind = 'console')) THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', MESSAGE = 'the console itself uses no verb';
  END IF;
  IF v_did AND p_verb IN ('approve', 'decline') AND p_token IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', CONSTRAINT = 'approval_not_by_a_token',
      MESSAGE = 'a token asks, and never approves';
  END IF;
  IF v_did AND p_verb IN ('decide', 'approve', 'decline') AND NOT coalesce(
       v_body ->> 'reason' ~ '\S' AND (p_verb <> 'decide' OR v_body ->> 'to' = p_to)
       AND EXISTS (SELECT FROM caller c WHERE c.id = p_caller AND c.kind = 'person' AND c.is_active
                      AND c.username = v_body ->> 'by'), false) THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', MESSAGE = 'a person decides, by name and with a reason';
  END IF;

  -- 1. The operation, its lane and the effect, as they were decided on. What an approval may overtake
  -- is locked first: older generations before newer ones, as where an end is issued.
  IF p_disposition = 'approved' THEN
    PERFORM FROM operation n JOIN operation p ON p.id = p_operation
      WHERE n.subject_id = p.subject_id AND n.lane = p.lane AND n.generation < p.generation
        AND n.state IN ('approved', 'running') FOR NO KEY UPDATE OF n;
  END IF;
  SELECT * INTO STRICT o FROM operation WHERE id = p_operation FOR NO KEY UPDATE;
  IF o.state <> p_state OR p_newest <> (SELECT max(n.generation) FROM operation n
       WHERE n.subject_id = o.subject_id AND n.lane = o.lane)
     OR (v_did AND p_verb = 'decide' AND NOT EXISTS (SELECT FROM effect e
       WHERE e.id = p_effect AND e.operation_id = o.id AND e.state = 'parked')) THEN
    RETURN QUERY SELECT 'moved', v_at; RETURN;
  END IF;
  v_newest := NOT EXISTS (SELECT FROM operation n WHERE n.subject_id = o.subject_id AND n.lane = o.lane
    AND n.generation > o.generation AND n.state <> 'awaiting_approval');
  IF p_disposition = 'resumed' AND NOT v_newest THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', MESSAGE = 'only the newest generation can be set going';
  END IF;

  IF p_disposition = 'resumed' AND NOT may_go_on(o.id, p_caller, p_token) THEN
    RETURN QUERY SELECT 'moved', v_at; RETURN;
  END IF;

  -- 2. The request key: the unique constraint decides who was first.
  IF p_request IS NULL THEN
    INSERT INTO request (caller_id, key, fingerprint, rules, first_seen_at, operation_id)
    VALUES (p_caller, p_key, p_fingerprint, p_rules, v_at, NULL)
    ON CONFLICT ON CONSTRAINT request_key_once DO NOTHING RETURNING id INTO v_request;
  ELSIF p_disposition = 'key_reused' THEN
    v_request := p_request;
  ELSE
    SELECT r.id INTO v_request FROM request r WHERE r.id = p_request AND r.caller_id = p_caller
       AND (r.operation_id IS NULL OR (r.operation_id = p_operation AND NOT v_did)) FOR NO KEY UPDATE;
  END IF;
  IF v_request IS NULL THEN
    RETURN QUERY SELECT 'moved', v_at; RETURN;
  END IF;

  -- 3. The verb.
  IF p_disposition = 'resumed' AND p_verb = 'finish' THEN
    PERFORM set_going(o.id, v_at);
    UPDATE operation SET state = 'running', settled_at = NULL WHERE id = o.id;
  ELSIF p_disposition = 'cancelled' THEN
    PERFORM cancel_unsent(o.id, v_at);
    UPDATE operation SET state = 'cancelled', settled_at = v_at WHERE id = o.id;
  ELSIF p_disposition IN ('approved', 'declined') THEN
    IF decide_approval(o.id, p_caller, p_verb, v_body ->> 'reason',
                       decode(v_body ->> 'digest', 'hex'), v_at) IS NOT NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'SH001', MESSAGE = 'moved';  -- undoes the request key, too
    END IF;
  ELSIF p_disposition = 'kept' THEN
    IF o.keep_by <= v_at OR o.kept_at IS NOT NULL OR o.ended_at IS NOT NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'SH001', MESSAGE = 'moved';
    END IF;
    UPDATE operation SET kept_at = v_at WHERE id = o.id AND requested_by_id = p_caller;
    IF NOT FOUND THEN
      RAISE EXCEPTION USING ERRCODE = 'SH003', MESSAGE = 'who asked for it keeps it';
    END IF;
  ELSIF v_did THEN
    PERFORM decide_parked(o.id, p_effect, p_to, p_message, v_newest, v_at);
  END IF;

  -- 4. What this request is told, for ever.
  IF p_named THEN
    IF v_did OR p_disposition = 'existing' THEN
      UPDATE request SET operation_id = o.id WHERE id = v_request AND operation_id IS NULL;
    END IF;
    UPDATE operation SET event_count = event_count + 1, arrival_count = arrival_count + 1,
                         last_arrival_at = v_at WHERE id = o.id RETURNING event_count INTO STRICT v_number;
  END IF;
  INSERT INTO arrival (id, request_id, operation_id, token_id, incident_id, at, via, disposition, code)
  VALUES (p_arrival, v_request, CASE WHEN p_named THEN o.id END, p_token, NULL, v_at, p_via,
          p_disposition, p_code);
  PERFORM log_write(CASE WHEN p_named THEN o.id END, o.ref, v_number,
    CASE WHEN v_did AND p_verb = 'decide' THEN 'effect.decided'
         WHEN p_disposition = 'approved' THEN 'approval.given'
         WHEN p_disposition = 'declined' THEN 'approval.declined'
         WHEN p_disposition = 'cancelled' THEN 'operation.cancelled'
         WHEN p_disposition = 'kept' THEN 'operation.kept' ELSE 'request.arrived' END,
    p_body, v_at);
  RETURN QUERY SELECT 'written', v_at;
END $$;

-- A parked effect as a person said it is, and what its operation comes to. The caller holds its lock.
CREATE OR REPLACE FUNCTION decide_parked(
  p_operation bigint, p_effect bigint, p_to text, p_message text, p_newest boolean, p_at timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_states text[]; v_end text;
BEGIN
  -- The fence rises: whoever still believes to hold the effect settles nothing any more.
  UPDATE effect e SET state = p_to, message = p_message, fence = fence + 1,
         found = CASE WHEN p_to = 'succeeded' THEN 'not_known' ELSE e.found END,
         settled_at = CASE WHEN p_to = 'ready' THEN NULL ELSE p_at END,
         run_at = CASE WHEN p_to = 'ready' THEN p_at ELSE run_at END,
         going_since = CASE WHEN p_to = 'ready' THEN p_at ELSE going_since END,
         attempts_before = CASE WHEN p_to = 'ready' THEN attempts ELSE attempts_before END
   WHERE id = p_effect;
  IF NOT p_newest THEN
    -- A later generation may hold the lane, so this one never runs again: it is only said what it is.
    PERFORM cancel_unsent(p_operation, p_at);
  END IF;
  SELECT array_agg(e.state) INTO v_states FROM effect e WHERE e.operation_id = p_operation;
  IF p_newest THEN
    UPDATE operation SET state = 'running', settled_at = NULL WHERE id = p_operation AND state = 'parked';
    IF 'blocked' = ANY(v_states) THEN
      RETURN;  -- what waits behind it is opened or cancelled by whoever rolls it up: the keeper
    END IF;
  END IF;
  v_end := CASE WHEN v_states && ARRAY['ready', 'executing', 'in_doubt'] THEN NULL
                WHEN 'parked' = ANY(v_states) THEN 'parked'
                WHEN NOT 'succeeded' = ANY(v_states) THEN 'failed'
                WHEN v_states <@ ARRAY['succeeded'] THEN 'succeeded' ELSE 'partial' END;
  UPDATE operation SET state = v_end, settled_at = p_at
   WHERE id = p_operation AND v_end IS NOT NULL AND state <> v_end AND state IN ('running', 'parked');
END $$;
