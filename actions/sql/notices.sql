-- Being heard: what happened that somebody must hear of, who may hear it and wants to, and making the
-- notices. That each is made once is decided by happening_once and the two unique rules of notice.

-- Every admin of the console, by one of their groups.
CREATE OR REPLACE FUNCTION notice_admins() RETURNS SETOF uuid LANGUAGE sql STABLE AS $$
  SELECT DISTINCT c.id FROM caller c JOIN caller_groups m ON m.caller_id = c.id
    JOIN auth_group_permissions g ON g.group_id = m.group_id
    JOIN auth_permission p ON p.id = g.permission_id AND p.codename = 'administer'
    JOIN django_content_type t ON t.id = p.content_type_id AND t.app_label = 'actions'
   WHERE c.is_active AND c.kind = 'person'
$$;

-- Who asked for it: of an end that the console issued, whoever asked for what it ends.
CREATE OR REPLACE FUNCTION notice_requester(p_operation bigint) RETURNS uuid LANGUAGE sql STABLE AS $$
  SELECT coalesce((SELECT b.requested_by_id FROM operation b
                    WHERE b.subject_id = o.subject_id AND b.lane = o.lane
                      AND b.generation = substring(o.because FROM '^end of @(\d+)$')::int), o.requested_by_id)
    FROM operation o WHERE o.id = p_operation
$$;

-- Whether a person may learn of an operation at all: they asked for it, or it was made in no incident that
-- is kept from them. For nobody in particular (an endpoint), in no restricted one. One in which it was only
-- repeated counts for nothing: else repeating a request would silence it for everybody else.
CREATE OR REPLACE FUNCTION notice_may_learn(p_person uuid, p_operation bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT coalesce(p_person = notice_requester(p_operation), false) OR NOT EXISTS (
    SELECT FROM operation_incident l JOIN incident i ON i.id = l.incident_id
     WHERE l.operation_id = p_operation AND l.made AND i.restricted
       AND (p_person IS NULL OR NOT may_see_incident(p_person, i.id)))
$$;

-- Who must hear of something of this kind that happened to this operation, and may.
CREATE OR REPLACE FUNCTION notice_audience(p_kind text, p_operation bigint) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE AS $$
DECLARE o operation; v_entry uuid; v_realm uuid; v_requester uuid; v_needs jsonb;
BEGIN
  IF p_kind = 'break_glass' THEN
    RETURN QUERY SELECT notice_admins();
    RETURN;
  END IF;
  SELECT * INTO STRICT o FROM operation WHERE id = p_operation;
  SELECT n.id INTO v_entry FROM catalogue_entry n WHERE n.name = o.action;
  v_requester := notice_requester(p_operation);
  -- What is in one realm is known to who may see that realm.
  SELECT m.id INTO v_realm FROM subject s JOIN realm m ON m.name = split_part(s.name, ':', 1)
   WHERE s.id = o.subject_id AND s.kind IN ({{in_one_realm}});
  v_needs := to_jsonb(o) -> 'approvals';
  RETURN QUERY SELECT c.id FROM caller c
   WHERE c.is_active AND c.kind = 'person' AND {{sees}} AND (v_realm IS NULL OR {{sees_realm}})
     AND notice_may_learn(c.id, o.id)
     AND CASE p_kind
      WHEN 'settled' THEN c.id = v_requester
      WHEN 'overdue' THEN c.id = v_requester OR c.id IN (SELECT notice_admins())
      WHEN 'awaiting' THEN c.id <> v_requester
        AND c.id NOT IN (SELECT d.caller_id FROM draft d WHERE d.id = o.draft_id
                   UNION SELECT k.owner_id FROM arrival a JOIN api_token k ON k.id = a.token_id
                          WHERE a.operation_id = o.id AND a.disposition = 'created')
        AND EXISTS (SELECT FROM jsonb_array_elements(v_needs) n, caller_groups m
                     WHERE m.caller_id = c.id AND m.group_id = (n ->> 'id')::int)
        AND {{approves}}
        AND NOT EXISTS (SELECT FROM effect e WHERE e.operation_id = o.id AND NOT {{approves_realm}})
      ELSE c.id = v_requester OR ({{asks}}
        AND NOT EXISTS (SELECT FROM effect e WHERE e.operation_id = o.id AND NOT {{asks_realm}}))
     END;
END $$;

-- Since when a person wants to hear of a kind by mail; null when they do not, or no address of theirs is
-- confirmed. Who must act is told unless they chose not to be; of break-glass every admin is told.
CREATE OR REPLACE FUNCTION notice_wanted(p_person uuid, p_kind text) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
  SELECT greatest(a.confirmed_at, c.chosen_at)
    FROM notice_address a LEFT JOIN notice_choice c
      ON c.caller_id = p_person AND c.kind = p_kind AND c.channel = 'email' AND p_kind <> 'break_glass'
   WHERE a.caller_id = p_person AND a.confirmed_at IS NOT NULL AND coalesce(c.wanted, p_kind <> 'settled')
$$;

-- What is so now and must be heard of. Each part walks a partial index of what is not well; a name is
-- given again only when it is so again: once decided and sent again, it is another doubt.
CREATE OR REPLACE VIEW notice_happens AS
  SELECT 'awaiting/' || o.id AS about, 'awaiting' AS kind, o.id AS operation_id, NULL::bigint AS effect_id,
         o.requested_at AS at
    FROM operation o WHERE o.state = 'awaiting_approval'
  UNION ALL
  SELECT 'in_doubt/' || e.id || '/' || e.attempts_before, 'in_doubt', e.operation_id, e.id, clock_timestamp()
    FROM effect e WHERE e.state = 'in_doubt' AND EXISTS (
      SELECT FROM attempt a WHERE a.effect_id = e.id AND a.number > e.attempts_before
         AND a.outcome IN ('', 'unknown') AND a.call_started_at < clock_timestamp() - interval '2 minutes')
  UNION ALL
  SELECT 'parked/' || e.id || '/' || e.attempts, 'parked', e.operation_id, e.id, clock_timestamp()
    FROM effect e WHERE e.state = 'parked'
  UNION ALL
  SELECT 'overdue/' || o.id, 'overdue', o.id, NULL, clock_timestamp() FROM operation o
   WHERE o.ends_at IS NOT NULL AND o.ended_at IS NULL
     AND o.ends_at < statement_timestamp() - interval '5 minutes'
  UNION ALL
  SELECT 'overdue/' || o.id, 'overdue', o.id, NULL, clock_timestamp() FROM operation o
   WHERE o.because LIKE 'end of @%' AND o.state IN ('approved', 'running', 'parked', 'failed', 'partial')
     AND o.requested_at < statement_timestamp() - interval '5 minutes';

-- How many of a kind one person is told within 10 minutes; more would not be read.
CREATE OR REPLACE FUNCTION notice_most() RETURNS int LANGUAGE sql IMMUTABLE RETURN 30;

-- A notice's id, by what it stands for: when a failover lost it and it is made again, a receiver knows it
-- by that. The operation's ref is in it, for a lost operation's number may be given again to another.
CREATE OR REPLACE FUNCTION notice_id(h happening, p_recipient uuid, p_channel text) RETURNS uuid
LANGUAGE sql STABLE AS $$
  SELECT encode(substring(sha256(convert_to(concat_ws(' ', h.about,
           (SELECT o.ref FROM operation o WHERE o.id = h.operation_id), p_recipient, p_channel), 'UTF8'))
         FROM 1 FOR 16), 'hex')::uuid
$$;

-- Make the notices of one thing that happened; how many. What is too much is kept as not sent.
CREATE OR REPLACE FUNCTION notice_spread(h happening, p_mail boolean) RETURNS int LANGUAGE plpgsql AS $$
DECLARE v_people int := 0; v_rooms int := 0;
BEGIN
  IF p_mail THEN
    WITH hears AS (
      SELECT w.person, (SELECT count(*) FROM notice n JOIN happening b ON b.id = n.happening_id
                         WHERE n.person_id = w.person AND b.kind = h.kind
                           -- What was itself too much was never taken up: a slow flood stops no mail for good.
                           AND NOT (n.state = 'cancelled' AND n.fence = 0)
                           AND n.made_at > clock_timestamp() - interval '10 minutes') >= notice_most() AS full
        FROM notice_audience(h.kind, h.operation_id) AS w(person)
       WHERE notice_wanted(w.person, h.kind) <= h.at)
    INSERT INTO notice (id, happening_id, person_id, channel, state, fence, tries, calls, doubts, run_at, message)
    SELECT notice_id(h, person, 'email'), h.id, person, 'email', CASE WHEN "full" THEN 'cancelled' ELSE 'ready' END,
           0, 0, 0, 0, clock_timestamp(), CASE WHEN "full" THEN 'Too many at once: the board shows them all.' ELSE '' END
      FROM hears ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS v_people = ROW_COUNT;
  END IF;
  INSERT INTO notice (id, happening_id, endpoint_id, channel, state, fence, tries, calls, doubts, run_at, message)
  SELECT notice_id(h, p.id, p.channel), h.id, p.id, p.channel, 'ready', 0, 0, 0, 0, clock_timestamp(), ''
    FROM endpoint p
   WHERE p.enabled AND h.kind = ANY(p.kinds) AND p.added_at <= h.at AND notice_may_learn(NULL, h.operation_id)
  ON CONFLICT DO NOTHING;
  GET DIAGNOSTICS v_rooms = ROW_COUNT;
  UPDATE happening SET told = v_people + v_rooms WHERE id = h.id;
  RETURN v_people + v_rooms;
END $$;

-- What settled since it was last looked, of those whose requester, or some endpoint, wants to hear it. A
-- transaction may commit up to 30 s (transaction_timeout) after the moment that it writes.
CREATE OR REPLACE FUNCTION notice_settled(p_mark notice_mark) RETURNS TABLE (
  about text, kind text, operation_id bigint, effect_id bigint, at timestamptz) LANGUAGE sql STABLE AS $$
  SELECT 'settled/' || o.id || '/' || (extract(epoch FROM o.settled_at) * 1000000)::bigint, 'settled', o.id,
         NULL::bigint, o.settled_at
    FROM operation o
   WHERE o.settled_at > greatest(p_mark.began_at, p_mark.settled_until - interval '1 minute')
     AND o.state IN ('succeeded', 'partial', 'failed', 'declined', 'expired')
     AND (EXISTS (SELECT FROM endpoint p WHERE p.enabled AND 'settled' = ANY(p.kinds))
       OR notice_wanted(notice_requester(o.id), 'settled') IS NOT NULL)
$$;

-- Look what happened, and make the notices of it; how many things there were. One at a time: who comes
-- meanwhile finds the mark taken, and leaves it. p_mail: whether there is a mail server.
CREATE OR REPLACE FUNCTION make_notices(p_mail boolean) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE v_mark notice_mark; v_now timestamptz := clock_timestamp(); v_last timestamptz; v_new happening;
  v_found int := 0; v_settled int := 0;
BEGIN
  SELECT * INTO v_mark FROM notice_mark FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN 0; END IF;
  IF EXISTS (SELECT FROM notice_choice WHERE kind = 'settled' AND wanted)
     OR EXISTS (SELECT FROM endpoint WHERE enabled AND 'settled' = ANY(kinds)) THEN
    FOR v_new IN INSERT INTO happening (about, kind, operation_id, effect_id, at, told)
      SELECT s.*, 0 FROM notice_settled(v_mark) s
       WHERE NOT EXISTS (SELECT FROM happening h WHERE h.about = s.about) ORDER BY s.at LIMIT 200
      ON CONFLICT DO NOTHING RETURNING * LOOP
      PERFORM notice_spread(v_new, p_mail);
      v_settled := v_settled + 1;
      v_last := greatest(v_last, v_new.at);
    END LOOP;
  END IF;
  -- What did not fit is looked for from where this ended.
  UPDATE notice_mark SET settled_until = CASE WHEN v_settled < 200 THEN v_now ELSE v_last END
   WHERE settled_until < v_now - interval '10 seconds' OR v_settled > 0;
  FOR v_new IN INSERT INTO happening (about, kind, operation_id, effect_id, at, told)
    SELECT s.*, 0 FROM notice_happens s
     WHERE NOT EXISTS (SELECT FROM happening h WHERE h.about = s.about) LIMIT 200
    ON CONFLICT DO NOTHING RETURNING * LOOP
    PERFORM notice_spread(v_new, p_mail);
    v_found := v_found + 1;
  END LOOP;
  FOR v_new IN INSERT INTO happening (about, kind, at, told)
    SELECT 'break_glass/' || b.id, 'break_glass', b.opened_at, 0 FROM break_glass b
     WHERE b.opened_at > v_mark.began_at
       AND NOT EXISTS (SELECT FROM happening h WHERE h.about = 'break_glass/' || b.id)
    ON CONFLICT DO NOTHING RETURNING * LOOP
    PERFORM notice_spread(v_new, p_mail);
    v_found := v_found + 1;
  END LOOP;
  RETURN v_found + v_settled;
END $$;

-- Why a notice is not to be sent any more; '' when it is. Asked right before it is sent: meanwhile it may
-- have been dealt with, a right taken away, an address withdrawn.
CREATE OR REPLACE FUNCTION notice_objection(p_notice uuid) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE n notice; h happening; v_since timestamptz;
BEGIN
  SELECT * INTO STRICT n FROM notice WHERE id = p_notice;
  SELECT * INTO STRICT h FROM happening WHERE id = n.happening_id;
  IF NOT notice_still_so(h) THEN RETURN 'It is so no longer.'; END IF;
  IF n.endpoint_id IS NOT NULL THEN
    RETURN CASE
      WHEN NOT EXISTS (SELECT FROM endpoint p WHERE p.id = n.endpoint_id AND p.enabled
                          AND (h.kind = 'test' OR h.kind = ANY(p.kinds))) THEN 'The endpoint wants it no longer.'
      WHEN NOT notice_may_learn(NULL, h.operation_id) THEN 'Its incident is restricted.'
      ELSE '' END;
  END IF;
  IF NOT EXISTS (SELECT FROM caller c WHERE c.id = n.person_id AND c.is_active) THEN
    RETURN 'Their account is closed.';
  END IF;
  IF h.kind = 'address' THEN
    RETURN CASE WHEN EXISTS (SELECT FROM notice_address a WHERE a.caller_id = n.person_id AND a.asked_at = h.at
                                AND a.confirmed_at IS NULL AND h.at > clock_timestamp() - interval '1 hour')
           THEN '' ELSE 'The code is good no longer.' END;
  END IF;
  SELECT notice_wanted(n.person_id, h.kind) INTO v_since;
  RETURN CASE
    WHEN v_since IS NULL THEN 'They want it no longer.'
    WHEN h.kind <> 'test' AND n.person_id NOT IN (SELECT notice_audience(h.kind, h.operation_id))
      THEN 'They may hear it no longer.'
    ELSE '' END;
END $$;

CREATE OR REPLACE FUNCTION notice_still_so(h happening) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT CASE h.kind
    WHEN 'awaiting' THEN (SELECT state = 'awaiting_approval' FROM operation WHERE id = h.operation_id)
    WHEN 'parked' THEN (SELECT state = 'parked' FROM effect WHERE id = h.effect_id)
    WHEN 'in_doubt' THEN (SELECT state IN ('in_doubt', 'ready', 'executing', 'parked')
                            FROM effect WHERE id = h.effect_id)
    WHEN 'overdue' THEN (SELECT CASE WHEN because LIKE 'end of @%'
                                     THEN state IN ('approved', 'running', 'parked', 'failed', 'partial')
                                     ELSE ended_at IS NULL END
                           FROM operation WHERE id = h.operation_id)
    ELSE true END
$$;

-- What a notice says never changes, its moves are those of actions.states, and none is ever deleted.
CREATE OR REPLACE TRIGGER notice_moves_legally BEFORE INSERT OR UPDATE OF state ON notice
  FOR EACH ROW EXECUTE FUNCTION notice_moves();
CREATE OR REPLACE TRIGGER notice_fence_never_falls BEFORE UPDATE OF fence ON notice
  FOR EACH ROW EXECUTE FUNCTION refuse_falling_fence();
CREATE OR REPLACE TRIGGER notice_content_never_changes BEFORE UPDATE OF
  id, happening_id, person_id, endpoint_id, channel, made_at
  ON notice FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER happening_never_changes BEFORE UPDATE OF
  id, about, kind, operation_id, effect_id, at, made_at
  ON happening FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What came of it is in the log: who was told, or could not be. Beside the operation's own events, for a
-- notice must never wait for the operation's row.
CREATE OR REPLACE FUNCTION log_notice_end() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE h happening;
BEGIN
  SELECT * INTO STRICT h FROM happening WHERE id = NEW.happening_id;
  PERFORM log_numbered(NULL, 'notice.' || NEW.state,
    '{"about":' || to_json(h.about) || ',"calls":' || NEW.calls || ',"channel":' || to_json(NEW.channel)
    || ',"notice":' || to_json(NEW.id::text) || ',"to":' || to_json(coalesce(NEW.person_id, NEW.endpoint_id)::text) || '}');
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER notice_end_is_logged AFTER UPDATE OF state ON notice FOR EACH ROW
  WHEN (NEW.state IN ('succeeded', 'failed') AND OLD.state <> NEW.state) EXECUTE FUNCTION log_notice_end();

DO $$
DECLARE t text; g record;
BEGIN
  FOREACH t IN ARRAY ARRAY['notice', 'happening', 'endpoint', 'endpoint_secret', 'notice_mark'] LOOP
    EXECUTE format('CREATE OR REPLACE TRIGGER %I BEFORE DELETE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()',
                   t || '_is_kept', t);
    EXECUTE format('CREATE OR REPLACE TRIGGER %I BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()',
                   t || '_is_never_emptied', t);
  END LOOP;
  FOR g IN SELECT tgname, tgrelid::regclass AS rel FROM pg_trigger WHERE NOT tgisinternal
             AND tgrelid IN ('notice'::regclass, 'happening'::regclass, 'endpoint'::regclass,
                             'endpoint_secret'::regclass, 'notice_mark'::regclass) LOOP
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', g.rel, g.tgname);
  END LOOP;
  -- What is so when this begins is history: nobody is flooded with it.
  IF NOT EXISTS (SELECT FROM notice_mark) THEN
    INSERT INTO notice_mark (began_at, settled_until) VALUES (clock_timestamp(), clock_timestamp());
    INSERT INTO happening (about, kind, operation_id, effect_id, at, told) SELECT s.*, -1 FROM notice_happens s;
  END IF;
END $$;
