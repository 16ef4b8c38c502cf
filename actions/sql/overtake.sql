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
