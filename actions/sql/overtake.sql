-- What becomes of the unsent effects of an operation that runs no more. The caller holds its lock.
--
-- What was sent under a class that may be sent again unread, doubted and put back to ready, is no such
-- thing: *cancelled* would say that it never was sent. It is doubted again, to be read and settled, and
-- never sent. Where another effect of its lane and realm is under way meanwhile, no reading could tell
-- the two apart, so that a person must look. What a person, or a finish, set going was settled before.
CREATE OR REPLACE FUNCTION cancel_unsent(p_operation bigint, p_at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE v_sent bigint;
BEGIN
  FOR v_sent IN
    SELECT e.id FROM effect e
     WHERE e.operation_id = p_operation AND e.state = 'ready' AND e.redo IN ('natural', 'keyed')
       AND EXISTS (SELECT FROM attempt a WHERE a.effect_id = e.id AND a.number > e.attempts_before
                      AND a.call_started_at IS NOT NULL AND a.outcome IN ('', 'unknown'))
     ORDER BY e.id
  LOOP
    BEGIN
      UPDATE effect SET state = 'in_doubt', fence = fence + 1, doubt_until = p_at,
             message = 'Not known whether it arrived. It is not sent again: its operation is over.'
       WHERE id = v_sent;
    EXCEPTION WHEN unique_violation THEN
      UPDATE effect SET state = 'parked', fence = fence + 1,
             message = 'Not known whether it arrived, and another change of it is under way: a person must look.'
       WHERE id = v_sent;
    END;
  END LOOP;
  UPDATE effect SET state = 'cancelled', settled_at = p_at
   WHERE operation_id = p_operation AND state IN ('held', 'blocked', 'ready');
END $$;

-- What a failover may have lost, sent perhaps and not known here, is no such thing either, whoever cancels it and
-- why. It is doubted until nobody who called it before can call any more, read, and never sent: its operation is
-- over, or a step before it is lost. Only one of its lane and realm can be read at a time: of others a person must
-- look. Named to come after what holds it until it is approved, and before what asks whether it may move so.
CREATE OR REPLACE FUNCTION doubt_if_forgotten() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE v_over timestamptz;
BEGIN
  UPDATE attempt SET outcome = 'unknown', ended_at = greatest(ended_at, clock_timestamp())
   WHERE effect_id = NEW.id AND number = NEW.attempts AND outcome = 'forgotten'
  RETURNING ended_at INTO v_over;
  IF NOT FOUND THEN
    RETURN NEW;
  END IF;
  NEW.fence := NEW.fence + 1;
  NEW.settled_at := NULL;
  NEW.message := 'It may have been sent before the failover: it is read, and not sent again.';
  IF EXISTS (SELECT FROM effect e WHERE e.subject_id = NEW.subject_id AND e.lane = NEW.lane
               AND e.realm_id = NEW.realm_id AND e.state IN ('executing', 'in_doubt')) THEN
    NEW.state := 'parked';
  ELSE
    NEW.state := 'in_doubt';
    NEW.doubt_until := v_over;
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER effect_is_doubted_if_forgotten BEFORE UPDATE OF state ON effect
  FOR EACH ROW WHEN (OLD.state IN ('held', 'blocked', 'ready') AND NEW.state = 'cancelled')
  EXECUTE FUNCTION doubt_if_forgotten();
ALTER TABLE effect ENABLE ALWAYS TRIGGER effect_is_doubted_if_forgotten;
