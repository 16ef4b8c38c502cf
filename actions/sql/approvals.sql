-- Approvals: what the rules ask for, who may decide, and what a decision comes to.
--
-- Each guard of a decision stands here once, under a name like a sentence. `approval_objection` names
-- the first that says no: a page asks it before a person tries, the trigger on the table refuses by it.

-- The shortest IPv4 prefix that a network stands for: its own, or that of the IPv4 networks within it.
CREATE OR REPLACE FUNCTION prefix_4(p_network cidr) RETURNS int LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN family(p_network) = 4 THEN masklen(p_network) ELSE
    (SELECT min(CASE WHEN p_network >> b.block THEN 0 ELSE greatest(0, masklen(p_network) - b.at) END)
       FROM (VALUES {{hold_ipv4}}) AS b (block, at)
      WHERE p_network <<= b.block OR p_network >> b.block) END
$$;

-- What the rules of now ask for: needs is [{"group", "id", "count"}], minutes how long there is to give it.
-- The rules for what is protected are those for what asks twice where no other asks for somebody already.
DROP FUNCTION IF EXISTS approvals_needed(text, uuid[], cidr);
CREATE OR REPLACE FUNCTION approvals_needed(p_action text, p_realms uuid[], p_network cidr, p_asks_twice boolean,
                                            OUT needs jsonb, OUT minutes int)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH applying AS (
    SELECT r.* FROM approval_rule r
     WHERE r.enabled AND r.action IN ('', p_action)
       AND (r.realm_id IS NULL OR r.realm_id = ANY(p_realms))
       AND ((r.wider_than_4 IS NULL AND r.wider_than_6 IS NULL)
         OR prefix_4(p_network) < r.wider_than_4
         OR (family(p_network) = 6 AND masklen(p_network) < r.wider_than_6))
  )
  SELECT coalesce(jsonb_agg(jsonb_build_object('group', n.name, 'id', n.id, 'count', n.count)
                            ORDER BY n.name COLLATE "C"), '[]'), min(n.minutes)
    FROM (SELECT g.name, g.id, max(r.count) AS count, min(r.minutes)::int AS minutes
            FROM applying r JOIN auth_group g ON g.id = r.group_id
           WHERE NOT r.protected
              OR (p_asks_twice AND NOT EXISTS (SELECT FROM applying a WHERE NOT a.protected))
           GROUP BY g.id, g.name) n
$$;

-- Whether somebody may approve this operation now, by their rights: the action, and every realm of it.
CREATE OR REPLACE FUNCTION may_approve(p_caller uuid, p_operation bigint) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT FROM caller c JOIN operation o ON o.id = p_operation
                   JOIN catalogue_entry n ON n.name = o.action
                  WHERE c.id = p_caller AND c.is_active AND c.kind = 'person' AND {{may_approve}})
     AND NOT EXISTS (SELECT FROM effect e
                      WHERE e.operation_id = p_operation AND NOT {{may_approve_realm}})
$$;

-- Whether the approvals given are enough: people who may still give them, one place each. For every
-- choice of the needs there must be as many approvers as those needs ask for (Hall's theorem), so that
-- somebody who is in two groups is not counted twice. The yes of whoever sets it going counts for nothing
-- (p_but; if null, who did so last), nor that of who answers for their token: nobody agrees with themselves.
DROP FUNCTION IF EXISTS approvals_enough(bigint);
CREATE OR REPLACE FUNCTION approvals_enough(p_operation bigint, p_but uuid[] DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE o operation; v_valid uuid[]; v_groups int[]; v_want int;
BEGIN
  SELECT * INTO STRICT o FROM operation WHERE id = p_operation;
  p_but := coalesce(p_but, (SELECT ARRAY[r.caller_id, t.owner_id]
                              FROM arrival a JOIN request r ON r.id = a.request_id LEFT JOIN api_token t ON t.id = a.token_id
                             WHERE a.operation_id = o.id AND a.disposition IN ('created', 'resumed', 'decided')
                             ORDER BY a.at DESC LIMIT 1));
  v_valid := ARRAY(SELECT a.caller_id FROM approval a
                    WHERE a.operation_id = o.id AND a.decision = 'approve'
                      AND a.caller_id = ANY(p_but) IS NOT TRUE
                      AND a.plan_digest = o.plan_digest AND may_approve(a.caller_id, o.id));
  FOR v_mask IN 1 .. (1 << jsonb_array_length(o.approvals)) - 1 LOOP
    SELECT sum((n.need ->> 'count')::int), array_agg((n.need ->> 'id')::int) INTO v_want, v_groups
      FROM jsonb_array_elements(o.approvals) WITH ORDINALITY AS n (need, i)
     WHERE v_mask & (1 << (n.i - 1)::int) <> 0;
    IF (SELECT count(DISTINCT m.caller_id) FROM caller_groups m
         WHERE m.caller_id = ANY(v_valid) AND m.group_id = ANY(v_groups)) < v_want THEN
      RETURN false;
    END IF;
  END LOOP;
  RETURN true;
END $$;

-- The first rule that says no to a decision of this caller on that plan, or null.
CREATE OR REPLACE FUNCTION approval_objection(p_operation bigint, p_caller uuid, p_digest bytea)
RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE
    WHEN NOT EXISTS (SELECT FROM caller c WHERE c.id = p_caller AND c.is_active AND c.kind = 'person')
      THEN 'approval_by_a_person'
    WHEN p_caller = o.requested_by_id THEN 'approval_not_by_requester'
    WHEN EXISTS (SELECT FROM draft d LEFT JOIN api_token t ON t.id = d.token_id
                  WHERE d.id = o.draft_id AND p_caller IN (d.caller_id, t.owner_id))
      THEN 'approval_not_by_drafter'
    WHEN EXISTS (SELECT FROM arrival a JOIN api_token t ON t.id = a.token_id
                  WHERE a.operation_id = o.id AND a.disposition = 'created' AND t.owner_id = p_caller)
      THEN 'approval_not_by_token_owner'
    WHEN NOT may_approve(p_caller, o.id) THEN 'approval_needs_the_right'
    WHEN NOT EXISTS (SELECT FROM jsonb_array_elements(o.approvals) n
                       JOIN caller_groups m ON m.group_id = (n ->> 'id')::int AND m.caller_id = p_caller)
      THEN 'approval_needs_the_group'
    WHEN break_glass_of(p_caller) IS NOT NULL THEN 'approval_not_under_break_glass'
    WHEN o.state <> 'awaiting_approval' THEN 'approval_only_while_awaiting'
    WHEN o.approve_by <= clock_timestamp() THEN 'approval_not_too_late'
    WHEN EXISTS (SELECT FROM operation l WHERE l.subject_id = o.subject_id AND l.lane = o.lane
                    AND l.generation > o.generation) THEN 'approval_of_the_newest'
    WHEN p_digest IS DISTINCT FROM o.plan_digest THEN 'approval_of_this_plan' END
    FROM operation o WHERE o.id = p_operation
$$;

CREATE OR REPLACE FUNCTION refuse_approval() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE v_no text;
BEGIN
  PERFORM FROM operation WHERE id = NEW.operation_id FOR NO KEY UPDATE;
  v_no := approval_objection(NEW.operation_id, NEW.caller_id, NEW.plan_digest);
  IF v_no IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'SH004', CONSTRAINT = v_no,
      MESSAGE = format('a decision on operation %s is refused: %s', NEW.operation_id, v_no);
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER approval_is_allowed BEFORE INSERT ON approval
  FOR EACH ROW EXECUTE FUNCTION refuse_approval();

-- An operation that waits is let go by enough approvals and by nothing else, its effects after it.
CREATE OR REPLACE FUNCTION refuse_letting_go() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF NEW.state = 'approved' AND NOT approvals_enough(NEW.id) THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', CONSTRAINT = 'operation_approved_by_enough',
      MESSAGE = format('operation %s has not the approvals that it needs', NEW.id);
  ELSIF NEW.state = 'declined' AND NOT EXISTS (SELECT FROM approval a
      WHERE a.operation_id = NEW.id AND a.decision = 'decline') THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', CONSTRAINT = 'operation_declined_by_somebody',
      MESSAGE = format('nobody declined operation %s', NEW.id);
  ELSIF NEW.state = 'approved' THEN
    -- A ban of one's own address must be kept in time: from now, when it is let run, and whoever lets it.
    NEW.keep_by := coalesce(NEW.approved_at, clock_timestamp()) + make_interval(secs => NEW.keep_for);
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER operation_let_go_by_people BEFORE UPDATE OF state ON operation
  FOR EACH ROW WHEN (OLD.state = 'awaiting_approval') EXECUTE FUNCTION refuse_letting_go();

CREATE OR REPLACE FUNCTION refuse_unheld() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF (SELECT o.state FROM operation o WHERE o.id = NEW.operation_id) <> 'approved' THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', CONSTRAINT = 'effect_held_until_approved',
      MESSAGE = format('effect %s is held: its operation is not approved', NEW.id);
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER effect_held_until_approved BEFORE UPDATE OF state ON effect
  FOR EACH ROW WHEN (OLD.state = 'held' AND NEW.state <> 'cancelled') EXECUTE FUNCTION refuse_unheld();

ALTER TABLE approval ENABLE ALWAYS TRIGGER approval_is_allowed;
ALTER TABLE operation ENABLE ALWAYS TRIGGER operation_let_go_by_people;
ALTER TABLE effect ENABLE ALWAYS TRIGGER effect_held_until_approved;

-- Take down one decision, and what follows from it: the last approval that was needed lets the
-- operation go, a decline ends it. The caller holds its lock. Null, or the person has decided already.
CREATE OR REPLACE FUNCTION decide_approval(
  p_operation bigint, p_caller uuid, p_decision text, p_reason text, p_digest bytea, p_at timestamptz
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE v_older bigint;
BEGIN
  PERFORM FROM approval a WHERE a.operation_id = p_operation AND a.caller_id = p_caller;
  IF FOUND THEN
    RETURN 'moved';
  END IF;
  INSERT INTO approval (id, operation_id, caller_id, decision, reason, plan_digest, at)
  VALUES (gen_random_uuid(), p_operation, p_caller, p_decision, p_reason, p_digest, p_at);
  IF p_decision = 'decline' THEN
    UPDATE effect SET state = 'cancelled', settled_at = p_at
     WHERE operation_id = p_operation AND state = 'held';
    UPDATE operation SET state = 'declined', settled_at = p_at WHERE id = p_operation;
  ELSIF approvals_enough(p_operation) THEN
    -- It takes the lane now, not when it was asked for.
    SELECT n.id INTO v_older FROM operation o JOIN operation n
        ON n.subject_id = o.subject_id AND n.lane = o.lane AND n.generation < o.generation
     WHERE o.id = p_operation AND n.state IN ('approved', 'running') FOR NO KEY UPDATE OF n;
    PERFORM cancel_unsent(v_older, p_at);
    UPDATE operation SET state = 'superseded', settled_at = p_at WHERE id = v_older;
    UPDATE operation SET state = 'approved', approved_at = p_at WHERE id = p_operation;
    UPDATE effect e SET state = CASE WHEN e.ord = (SELECT min(f.ord) FROM effect f
             WHERE f.operation_id = p_operation) THEN 'ready' ELSE 'blocked' END,
           run_at = p_at, going_since = p_at
     WHERE e.operation_id = p_operation AND e.state = 'held';
  END IF;
  RETURN NULL;
END $$;

-- Whether what was given, or break-glass, still lets the operation run: asked before each call.
CREATE OR REPLACE FUNCTION approvals_stand(p_operation bigint) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE WHEN o.approvals = '[]' THEN true
              WHEN o.break_glass_id IS NOT NULL THEN break_glass_stands(o.break_glass_id)
              ELSE approvals_enough(o.id) END
    FROM operation o WHERE o.id = p_operation
$$;

-- Whether a second person, or break-glass that stands, is behind an operation on what asks twice.
CREATE OR REPLACE FUNCTION asked_twice(p_operation bigint) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT CASE WHEN o.break_glass_id IS NOT NULL THEN break_glass_stands(o.break_glass_id)
              ELSE o.approvals <> '[]' AND approvals_enough(o.id) END
    FROM operation o WHERE o.id = p_operation
$$;

-- What the rules of now ask for of an operation that is there; `twice`: its subject asks twice.
CREATE OR REPLACE FUNCTION needed_now(p_operation bigint, OUT needs jsonb, OUT twice boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT w.needs, t.twice FROM operation o JOIN subject s ON s.id = o.subject_id
   CROSS JOIN LATERAL (SELECT asks_twice(s.kind, s.name, s.network, o.desired, o.requested_by_id) AS twice) t
   CROSS JOIN LATERAL approvals_needed(o.action, ARRAY(SELECT e.realm_id FROM effect e
                                         WHERE e.operation_id = o.id), s.network, t.twice) w
   WHERE o.id = p_operation
$$;

-- Whether an operation may be set going again by what it was given: the rules of now ask for no more,
-- and its approvals are still enough and not older than what may begin. Break-glass sets nothing going
-- again: whoever holds it asks anew. Asked of whoever would set it going, or without them, of anybody else.
DROP VIEW IF EXISTS operation_facts;  -- made anew in facts.sql, and in the way of what it asks
DROP FUNCTION IF EXISTS may_go_on(bigint);
CREATE OR REPLACE FUNCTION may_go_on(p_operation bigint, p_caller uuid DEFAULT NULL, p_token uuid DEFAULT NULL)
RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT o.because LIKE 'end of @%' OR (w.needs = '[]' AND NOT w.twice) OR (o.break_glass_id IS NULL
     AND o.approvals <> '[]'
     AND o.approved_at > clock_timestamp() - interval '15 minutes'
     AND NOT EXISTS (SELECT FROM jsonb_array_elements(w.needs) n WHERE NOT EXISTS (
           SELECT FROM jsonb_array_elements(o.approvals) h
            WHERE h -> 'id' = n -> 'id' AND (h ->> 'count')::int >= (n ->> 'count')::int))
     AND approvals_enough(o.id, ARRAY[p_caller, (SELECT t.owner_id FROM api_token t WHERE t.id = p_token)]))
    FROM operation o, needed_now(o.id) w
   WHERE o.id = p_operation
$$;
