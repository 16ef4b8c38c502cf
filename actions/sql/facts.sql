-- An operation as every answer tells it, and what is last known of each realm of a lane.

CREATE OR REPLACE VIEW operation_facts AS
SELECT o.id, o.subject_id, o.lane, o.generation, o.ref, jsonb_build_object(
    'id', o.id, 'ref', o.ref, 'generation', o.generation, 'lane', o.lane, 'action', o.action,
    'kind', s.kind, 'name', s.name, 'label', coalesce((SELECT l.label FROM subject_label l
        WHERE l.kind = s.kind AND l.name = s.name ORDER BY l.seen_at DESC LIMIT 1), s.name), 'state', o.state, 'desired', o.desired, 'span', o.span,
    'ends_at', o.ends_at, 'reason', CASE WHEN x.private THEN NULL ELSE o.reason END, 'because', o.because, 'undoes', (SELECT u.ref FROM operation u WHERE u.id = o.undoes_id), 'again_of', o.again_of,
    'requested_by', c.username, 'requested_by_id', c.id, 'requested_by_kind', c.kind,
    'via', o.via, 'requested_at', o.requested_at,
    'settled_at', o.settled_at, 'verified_at', o.verified_at, 'ended_at', o.ended_at,
    'erased', EXISTS (SELECT FROM made_value m WHERE m.operation_id = o.id AND m.erased_at IS NOT NULL),
    'approvals', o.approvals, 'approve_by', o.approve_by, 'approved_at', o.approved_at,
    'digest', encode(o.plan_digest, 'hex'), 'break_glass', o.break_glass_id,
    'decisions', CASE WHEN o.approvals <> '[]' THEN (SELECT coalesce(jsonb_agg(jsonb_build_object(
        'by', y.username, 'by_id', y.id, 'decision', a.decision, 'reason', a.reason, 'at', a.at)
        ORDER BY a.at, a.id), '[]'::jsonb) FROM approval a JOIN caller y ON y.id = a.caller_id
        WHERE a.operation_id = o.id) ELSE '[]'::jsonb END,
    'may_go_on', CASE WHEN o.state IN ('partial', 'failed', 'parked') THEN may_go_on(o.id) ELSE true END,
    -- Who approved it and so cannot set it going again themselves.
    'not_by', CASE WHEN o.state IN ('partial', 'failed', 'parked') AND o.approvals <> '[]' THEN
        (SELECT coalesce(jsonb_agg(a.caller_id), '[]'::jsonb) FROM approval a
          WHERE a.operation_id = o.id AND NOT may_go_on(o.id, a.caller_id)) ELSE '[]'::jsonb END,
    'keep_for', o.keep_for, 'keep_by', o.keep_by, 'kept_at', o.kept_at,
    'end_note', o.end_note, 'arrivals', o.arrival_count, 'last_arrival_at', o.last_arrival_at,
    'incidents', coalesce(x.open, '[]'::jsonb),
    'withheld', CASE WHEN x.restricted IS NOT NULL THEN jsonb_build_object('incidents', x.restricted,
                  'reason', CASE WHEN x.private THEN o.reason END, 'made_in', x.made_in) END,
    'effects', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                    'n', e.id, 'lane', e.lane, 'realm', r.name, 'realm_id', r.id, 'title', r.title, 'step', e.step,
                    'capability', e.capability, 'redo', e.redo, 'desired', e.desired, 'state', e.state,
                    'found', e.found, 'message', e.message, 'attempts', e.attempts,
                    -- It may have been sent before a failover, and nothing was read of it yet.
                    'forgotten', e.attempts > 0 AND e.state IN ('held', 'blocked', 'ready', 'failed', 'cancelled')
                      AND EXISTS (SELECT FROM attempt a WHERE a.effect_id = e.id AND a.number = e.attempts
                                     AND a.outcome = 'forgotten'), 'run_at', e.run_at,
                    'settled_at', e.settled_at, 'verified_at', e.verified_at)
                    ORDER BY e.ord, r.name, e.step), '[]'::jsonb)
                  FROM effect e JOIN realm r ON r.id = e.realm_id WHERE e.operation_id = o.id)
  ) AS facts
  FROM operation o JOIN subject s ON s.id = o.subject_id JOIN caller c ON c.id = o.requested_by_id
  -- What belongs to a restricted incident is told apart, for `actions.sight` to give to its members:
  -- whoever forgets to ask tells too little. `made_in`: those because of which the reason was given.
  CROSS JOIN LATERAL (
    SELECT jsonb_agg(i.number ORDER BY i.number) FILTER (WHERE NOT i.restricted) AS open,
           jsonb_agg(i.number ORDER BY i.number) FILTER (WHERE i.restricted) AS restricted,
           jsonb_agg(i.number) FILTER (WHERE i.restricted AND l.made) AS made_in,
           coalesce(bool_or(i.restricted AND l.made), false) AS private
      FROM operation_incident l JOIN incident i ON i.id = l.incident_id WHERE l.operation_id = o.id) x;

-- [{realm, desired, state, generation, operation, capability, found, reading}]: the last effect of each
-- realm that may have changed it, and the look that was taken at it or is asked for. What was read before
-- that effect settled says nothing of what it left: `later` is false then. Ages in seconds; `asked` is
-- null unless a look is due. `found` is the most that we can be said to have changed there since it was
-- last otherwise: who suspends an account twice has still suspended it, though it was so already.
-- Last by its id: an effect may touch a lane that is not its operation's, where generations do not compare.
CREATE OR REPLACE FUNCTION last_known(p_subject bigint, p_lane text) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT coalesce(jsonb_agg(jsonb_build_object('realm', k.realm_id, 'desired', k.desired,
           'state', k.state, 'generation', k.generation, 'operation', k.operation_id,
           'capability', k.capability, 'connector', m.connector, 'reading', CASE WHEN r.id IS NOT NULL THEN
             jsonb_build_object('taken_at', r.taken_at, 'facts', r.facts, 'message', r.message,
               'age', extract(epoch FROM clock_timestamp() - r.taken_at),
               'later', coalesce(r.taken_at > k.settled_at, false),
               'asked', CASE WHEN r.taken_at IS NULL OR r.asked_at > r.taken_at
                             THEN extract(epoch FROM clock_timestamp() - r.asked_at) END) END,
           'found', CASE WHEN k.state <> 'succeeded' THEN ''
             WHEN k.found = 'changed' THEN k.found ELSE coalesce((SELECT s.found FROM effect s
             WHERE s.subject_id = p_subject AND s.lane = p_lane AND s.realm_id = k.realm_id AND s.id <= k.id
               AND s.state = 'succeeded' AND s.desired = k.desired
               AND NOT EXISTS (SELECT FROM effect d WHERE d.subject_id = p_subject AND d.lane = p_lane
                     AND d.realm_id = k.realm_id AND d.id > s.id AND d.id < k.id AND d.state = 'succeeded'
                     AND d.desired <> k.desired)
             ORDER BY array_position(ARRAY['changed', 'not_known', 'so_already'], s.found::text) LIMIT 1), '') END)),
           '[]'::jsonb)
    FROM (SELECT DISTINCT ON (e.realm_id) e.id, e.found, e.realm_id, e.desired, e.state, e.generation,
                 e.operation_id, e.capability, e.settled_at
            FROM effect e
           WHERE e.subject_id = p_subject AND e.lane = p_lane
             AND e.state IN ('executing', 'in_doubt', 'parked', 'succeeded')
           ORDER BY e.realm_id, e.id DESC) k
    JOIN realm m ON m.id = k.realm_id
    JOIN subject s ON s.id = p_subject
    LEFT JOIN reading r ON r.realm_id = k.realm_id AND r.kind = s.kind AND r.name = s.name
                       AND r.capability = k.capability
$$;

-- The names of the block lists: the one setting of a realm that web may read.
CREATE OR REPLACE VIEW blocklist_name AS
SELECT DISTINCT v.settings ->> 'list' AS list
  FROM realm r JOIN realm_version v ON v.realm_id = r.id AND v.number = r.version
 WHERE r.connector = 'blocklist' AND r.enabled;

-- Which realm keeps which list: who may not see the realm may not read its list.
CREATE OR REPLACE VIEW blocklist_of_realm AS
SELECT v.settings ->> 'list' AS list, r.name AS realm
  FROM realm r JOIN realm_version v ON v.realm_id = r.id AND v.number = r.version
 WHERE r.connector = 'blocklist' AND r.enabled;
