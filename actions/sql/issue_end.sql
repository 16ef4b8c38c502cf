-- End what is due, and nothing else: the only way in which a worker's role can make an operation.
--
-- Answers 'written' (the lift is issued), 'ended' (the one issued earlier has begun), 'void' (the lane has
-- moved on, or nothing was ever sent), 'moved' (look again) or 'not_due' (not yet, or not to be known
-- yet). An end is settled only by something that was really done: a lift that expired, failed or was
-- superseded unsent, the end's own included, must not leave a ban without end.
CREATE OR REPLACE FUNCTION issue_end(
  p_of bigint, p_caller uuid, p_body text, p_ref text, p_action text, p_action_version int,
  p_desired jsonb, p_digest bytea, p_reason text, p_effects jsonb,
  p_decided_on int DEFAULT NULL   -- the lane's newest generation as it was seen; if null, p_of's
) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE o operation; s subject; v_later text[]; v_newest text; v_end text; v_why text; v_verdict text; v_made bigint;
BEGIN
  SELECT * INTO o FROM operation WHERE id = p_of FOR NO KEY UPDATE;
  IF o.id IS NULL OR o.ended_at IS NOT NULL OR o.ends_at IS NULL
     OR least(o.ends_at, CASE WHEN o.kept_at IS NULL THEN o.keep_by END) > clock_timestamp() THEN
    RETURN 'not_due';
  END IF;
  PERFORM FROM caller c WHERE c.id = p_caller AND c.kind = 'console';
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', MESSAGE = 'only the console itself ends what is due';
  END IF;
  p_decided_on := coalesce(p_decided_on, o.generation);
  SELECT array_agg(n.state) FILTER (WHERE n.generation > o.generation),
         max(n.state) FILTER (WHERE n.generation = p_decided_on),
         max(n.ref) FILTER (WHERE n.because = 'end of @' || o.generation
                              AND n.state IN ('running', 'succeeded', 'partial', 'failed', 'parked'))
    INTO v_later, v_newest, v_end
    FROM operation n
   WHERE n.subject_id = o.subject_id AND n.lane = o.lane AND n.generation >= o.generation;
  IF v_end IS NOT NULL THEN
    UPDATE operation SET ended_at = clock_timestamp(), end_note = 'issued' WHERE id = o.id;
    RETURN 'ended';
  END IF;
  v_why := CASE
    -- What is over may be in place all the same: sent before it was superseded, or before a failover.
    WHEN o.state IN ('declined', 'expired', 'cancelled', 'failed', 'superseded')
      AND NOT EXISTS (SELECT FROM effect e WHERE e.operation_id = o.id
        AND (e.state IN ('executing', 'in_doubt', 'parked', 'succeeded')
             OR EXISTS (SELECT FROM attempt a WHERE a.effect_id = e.id AND a.number = e.attempts
                           AND a.outcome = 'forgotten'))) THEN 'nothing of it is in place'
    WHEN v_later && ARRAY['succeeded', 'partial', 'parked'] THEN 'a later generation took the lane' END;
  -- One that was to be kept and failed may be finished yet: then it is lifted, or ends in its time.
  IF o.state = 'failed' AND v_later IS NULL AND o.ends_at > clock_timestamp() THEN
    RETURN 'not_due';
  END IF;
  IF v_why IS NOT NULL THEN
    UPDATE operation SET ended_at = clock_timestamp(), end_note = 'void' WHERE id = o.id;
    PERFORM log_numbered(o.id, 'end.void', '{"why":' || to_json(v_why) || '}');
    RETURN 'void';
  END IF;
  -- What waits for approval has not moved the lane, and is overtaken; nor is it ended while it waits.
  IF v_later && ARRAY['approved', 'running'] OR o.state = 'awaiting_approval' THEN
    RETURN 'not_due';
  END IF;
  SELECT * INTO STRICT s FROM subject WHERE id = o.subject_id;
  SELECT i.verdict, i.operation INTO STRICT v_verdict, v_made FROM issue(
    gen_random_uuid(), p_caller, 'end:' || o.ref || ':' || p_decided_on, p_digest, 1, 'keeper', NULL, NULL,
    'created', '', NULL, NULL, 'operation.requested', p_body, s.kind, s.name, s.rules, s.network,
    o.lane, p_decided_on, v_newest, p_ref, p_action, p_action_version, p_desired, NULL, NULL, p_digest,
    p_reason, 'end of @' || o.generation, NULL, NULL, p_effects) i;
  IF v_verdict = 'written' THEN
    INSERT INTO operation_incident (operation_id, incident_id, made)
    SELECT v_made, l.incident_id, l.made FROM operation_incident l WHERE l.operation_id = o.id
    ON CONFLICT ON CONSTRAINT operation_incident_once DO NOTHING;
    PERFORM log_numbered(o.id, 'end.issued', '{"operation":' || to_json(p_ref) || '}');
  END IF;
  RETURN v_verdict;
END $$;
