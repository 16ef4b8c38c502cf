-- What deciding on a request needs, read in one call and one snapshot (both functions are STABLE).
--
-- Plans are generic: made once per connection. With the values looked at each time, planning took
-- ten times as long as reading. Small statements, because one large one is set up whole each time,
-- with all its branches, even where there is nothing to read.

-- A lane as it stands: what is last known of each realm, its newest generation, what stands beneath
-- that one where it came to nothing, and, realm by realm, the networks that cover the subject (those
-- named in p_around) or are blocked within it (between p_low and p_high).
-- Dropped first, for what a function gives back cannot be replaced.
DROP FUNCTION IF EXISTS look, lane_now;

CREATE FUNCTION lane_now(p_kind text, p_name text, p_lane text, p_around text[], p_low inet, p_high inet,
 OUT known jsonb, OUT newest jsonb, OUT beneath jsonb, OUT overlapping jsonb)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE v_subject bigint;
BEGIN
  known := '[]'; overlapping := '[]';
  SELECT s.id INTO v_subject FROM subject s WHERE s.kind = p_kind AND s.name = p_name;
  IF v_subject IS NOT NULL THEN
    known := last_known(v_subject, p_lane);
    SELECT f.facts INTO newest FROM operation_facts f WHERE f.subject_id = v_subject AND f.lane = p_lane
     ORDER BY f.generation DESC LIMIT 1;
    IF newest ->> 'state' IN ('declined', 'expired', 'cancelled', 'superseded', 'failed',
                              'awaiting_approval') THEN
      SELECT f.facts INTO beneath FROM operation_facts f WHERE f.id = (
        SELECT o.id FROM operation o WHERE o.subject_id = v_subject AND o.lane = p_lane
           AND (o.state NOT IN ('declined', 'expired', 'cancelled', 'superseded', 'failed',
                                'awaiting_approval')
             OR (o.state = 'superseded' AND EXISTS (SELECT FROM effect e WHERE e.operation_id = o.id
                   AND e.state IN ('executing', 'in_doubt', 'parked', 'succeeded'))))
         ORDER BY o.generation DESC LIMIT 1);
    END IF;
  END IF;
  IF EXISTS (SELECT FROM subject w WHERE w.kind = p_kind AND w.name = ANY(p_around))
     OR EXISTS (SELECT FROM subject n WHERE n.network > p_low AND n.network <= p_high) THEN
    SELECT coalesce(jsonb_agg(jsonb_build_object('name', x.name, 'ref', o.ref, 'wider', x.wider,
                                'realm', x.realm_id, 'desired', x.desired, 'state', x.state)
                              ORDER BY x.wider DESC, x.name), '[]') INTO overlapping
      FROM (SELECT w.name, true AS wider, k.* FROM subject w
              JOIN LATERAL (SELECT DISTINCT ON (e.realm_id) e.realm_id, e.operation_id, e.desired, e.state
                              FROM effect e WHERE e.subject_id = w.id AND e.lane = p_lane
                               AND e.state IN ('executing', 'in_doubt', 'parked', 'succeeded')
                             ORDER BY e.realm_id, e.id DESC) k
                ON k.state <> 'succeeded' OR k.desired @> '{"blocked": true}'
             WHERE w.kind = p_kind AND w.name = ANY(p_around)
            UNION ALL
            (SELECT n.name, false, k.* FROM subject n
              JOIN LATERAL (SELECT DISTINCT ON (e.realm_id) e.realm_id, e.operation_id, e.desired, e.state
                              FROM effect e WHERE e.subject_id = n.id AND e.lane = p_lane
                               AND e.state IN ('executing', 'in_doubt', 'parked', 'succeeded')
                             ORDER BY e.realm_id, e.id DESC) k
                ON k.state = 'succeeded' AND k.desired @> '{"blocked": true}'
             WHERE n.network > p_low AND n.network <= p_high LIMIT 100)) x
      JOIN operation o ON o.id = x.operation_id;
  END IF;
END $$;

-- Who asks (p_caller, or the bearer of the token p_prefix), what they may, what their key stands for,
-- and the lane. The conditions in doubled braces are written by actions.policy.
CREATE FUNCTION look(
  p_prefix text, p_caller uuid, p_action text, p_connectors text[], p_key text, p_incident int,
  p_kind text, p_name text, p_lane text, p_around text[], p_low inet, p_high inet,
  OUT now timestamptz, OUT caller uuid, OUT username text, OUT caller_kind text, OUT is_active boolean,
  OUT token uuid, OUT owner uuid, OUT digest bytea, OUT scopes varchar[], OUT live boolean,
  OUT may_see boolean, OUT may_ask boolean, OUT hidden boolean, OUT realms jsonb, OUT incident uuid,
  OUT incident_closed boolean,
  OUT request bigint, OUT fingerprint bytea, OUT rules int, OUT first_seen_at timestamptz,
  OUT operation_id bigint, OUT keyed jsonb, OUT known jsonb, OUT newest jsonb, OUT beneath jsonb,
  OUT overlapping jsonb,
  OUT approval_rules jsonb, OUT break_glass uuid, OUT protected jsonb, OUT seats text[])
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE v_see int; v_ask int; v_ask_realm int; v_see_realm int;
BEGIN
  now := clock_timestamp();
  IF p_caller IS NULL THEN
    SELECT t.caller_id, t.id, t.owner_id, t.digest, t.scopes, t.revoked_at IS NULL AND t.expires_at > now
      INTO caller, token, owner, digest, scopes, live FROM api_token t WHERE t.prefix = p_prefix;
  ELSE
    caller := p_caller;
  END IF;
  SELECT c.id, c.username, c.kind, c.is_active INTO caller, username, caller_kind, is_active
    FROM caller c WHERE c.id = look.caller;
  SELECT {{see_entry}}, {{ask_entry}}, {{ask_realm}}, {{see_realm}} INTO v_see, v_ask, v_ask_realm, v_see_realm;
  SELECT {{may_see}}, {{may_ask}} INTO may_see, may_ask FROM catalogue_entry n WHERE n.name = p_action;
  SELECT coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'name', m.name, 'title', m.title,
           'connector', m.connector, 'version', m.version, 'may_ask', {{may_ask_realm}},
           'may_see', {{may_see_realm}})), '[]')
    INTO realms FROM realm m WHERE m.enabled AND m.connector = ANY(p_connectors);
  hidden := p_kind IN ({{kinds_in_one_realm}}) AND NOT EXISTS (SELECT FROM realm m
    WHERE m.name = split_part(p_name, ':', 1) AND ({{may_see_realm}} OR {{may_ask_realm}}));
  IF p_incident IS NOT NULL THEN
    SELECT i.id, i.state = 'closed' INTO incident, incident_closed FROM incident i
     WHERE i.number = p_incident AND may_see_incident(look.caller, i.id);
  END IF;
  SELECT r.id, r.fingerprint, r.rules, r.first_seen_at, r.operation_id
    INTO request, fingerprint, rules, first_seen_at, operation_id
    FROM request r WHERE r.caller_id = look.caller AND r.key = p_key;
  IF operation_id IS NOT NULL THEN
    SELECT f.facts INTO keyed FROM operation_facts f WHERE f.id = look.operation_id;
  END IF;
  SELECT l.known, l.newest, l.beneath, l.overlapping INTO known, newest, beneath, overlapping
    FROM lane_now(p_kind, p_name, p_lane, p_around, p_low, p_high) l;
  -- The rules that may ask for approvals of this action, and what the caller goes alone under.
  SELECT coalesce(jsonb_agg(jsonb_build_object('realm', r.realm_id, 'wider_than_4', r.wider_than_4,
           'wider_than_6', r.wider_than_6, 'group', g.name, 'id', g.id, 'count', r.count,
           'minutes', r.minutes, 'protected', r.protected)), '[]')
    INTO approval_rules FROM approval_rule r JOIN auth_group g ON g.id = r.group_id
   WHERE r.enabled AND r.action IN ('', p_action);
  IF token IS NULL AND EXISTS (SELECT FROM break_glass b WHERE b.caller_id = look.caller
                                  AND b.closed_at IS NULL) THEN
    break_glass := break_glass_of(look.caller);
  END IF;
  protected := protection(p_kind, p_name, p_low::cidr, look.caller);
  IF p_low IS NOT NULL THEN  -- a network: it may take in where they work from besides here
    seats := ARRAY(SELECT host(s.address) FROM seat s WHERE s.caller_id = look.caller
                      AND s.seen_at > now - interval '8 hours');
  END IF;
END $$;
