-- Limits (contract §13): what is never acted on, how wide, how much, and who may say so.

-- The IPv4 network that an IPv6 one stands for; null for what stands for none. What takes in a whole
-- range of such addresses stands for all of IPv4. The ranges are those of `actions.subjects`.
CREATE OR REPLACE FUNCTION means(p_network cidr) RETURNS cidr LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE r record; v_bytes bytea; v_text text; v_flip int;
BEGIN
  IF family(p_network) = 4 THEN
    RETURN NULL;
  END IF;
  FOR r IN SELECT * FROM (VALUES {{holds_ipv4}}) AS b (block, first, flipped) LOOP
    IF p_network >>= r.block THEN
      RETURN '0.0.0.0/0';
    ELSIF p_network << r.block THEN
      v_bytes := inet_send(p_network::inet);  -- four bytes in front of the address
      v_flip := CASE WHEN r.flipped THEN 255 ELSE 0 END;
      SELECT string_agg((get_byte(v_bytes, 4 + r.first / 8 + n) # v_flip)::text, '.' ORDER BY n)
        INTO v_text FROM generate_series(0, 3) n;
      RETURN network(set_masklen(v_text::inet, greatest(0, least(32, masklen(p_network) - r.first))));
    END IF;
  END LOOP;
  RETURN NULL;
END $$;

-- The shortest prefix at which a network may be acted on; 129 where none of that place may be. Not in
-- SQL: what cannot be inlined there is planned anew in each transaction (0.3 ms).
CREATE OR REPLACE FUNCTION width_floor(p_network cidr) RETURNS int LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF family(p_network) = 4 THEN
    RETURN {{floor4}};
  END IF;
  RETURN (
    SELECT greatest({{floor6}}, max(CASE WHEN p_network >>= b.block THEN 129
                                         WHEN p_network << b.block THEN b.first + {{floor4}} END))
      FROM (VALUES {{holds_ipv4}}) AS b (block, first, flipped));
END $$;

-- Whether what is wanted of a system gives something back, which no protection stands against.
CREATE OR REPLACE FUNCTION gives_back(p_desired jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  -- That and nothing else: beside it, what takes away would pass as well.
  SELECT p_desired - 'also_not_ours' IN ('{"blocked": false}', '{"disabled": false}')
$$;

-- How a subject is protected from what `p_caller` asks: {level, name, reason, source}, or null. Where
-- somebody else who is signed in works from, is asked twice; one's own address is `keep_by`'s matter.
-- With a search path of its own: called under one and then under another, it would be planned each time.
CREATE OR REPLACE FUNCTION protection(p_kind text, p_name text, p_network cidr, p_caller uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE v_nets inet[]; v_found jsonb;
BEGIN
  IF p_network IS NULL THEN
    SELECT jsonb_build_object('level', p.level, 'name', p.name, 'reason', p.reason, 'source', p.source)
      INTO v_found FROM protected_subject p
     WHERE p.withdrawn_at IS NULL AND p.kind = p_kind AND (p.name = p_name OR EXISTS (
             SELECT FROM subject_label l WHERE l.kind = p_kind AND l.name = p_name AND l.label = p.name))
     ORDER BY p.level DESC, p.id LIMIT 1;
    RETURN v_found;
  END IF;
  v_nets := ARRAY[p_network];
  IF family(p_network) = 6 THEN
    v_nets := array_remove(v_nets || means(p_network)::inet, NULL);
  END IF;
  SELECT jsonb_build_object('level', p.level, 'name', p.name, 'reason', p.reason, 'source', p.source)
    INTO v_found FROM protected_subject p
   WHERE p.withdrawn_at IS NULL AND (p.network::inet && ANY(v_nets) OR p.means::inet && ANY(v_nets))
   ORDER BY p.level DESC, p.id LIMIT 1;
  IF v_found IS NULL AND EXISTS (SELECT FROM seat s WHERE s.address <<= ANY(v_nets)
       AND s.caller_id IS DISTINCT FROM p_caller AND s.seen_at > clock_timestamp() - interval '8 hours') THEN
    v_found := '{"level": "ask_twice", "name": "", "reason": "somebody who is signed in works from it", "source": "seat"}';
  END IF;
  RETURN v_found;
END $$;

-- Whether what is wanted of a subject needs a second person, because of what it is.
CREATE OR REPLACE FUNCTION asks_twice(p_kind text, p_name text, p_network cidr, p_desired jsonb, p_caller uuid)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN NOT coalesce(gives_back(p_desired), false)
     AND coalesce(protection(p_kind, p_name, p_network, p_caller) ->> 'level' = 'ask_twice', false);
END $$;

-- Whatever made it, an effect on what is protected, or on what is too wide, is not written. After the
-- row, for what one statement wrote together is seen only then; a row at a time, for a statement's trigger
-- with its table of new rows cost ten times as much.
CREATE OR REPLACE FUNCTION refuse_protected() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE s subject; o operation; v_level text; v_rule text;
BEGIN
  IF gives_back(NEW.desired) THEN
    RETURN NULL;
  END IF;
  SELECT * INTO STRICT s FROM subject WHERE id = NEW.subject_id;
  SELECT * INTO STRICT o FROM operation WHERE id = NEW.operation_id;
  v_level := protection(s.kind, s.name, s.network, o.requested_by_id) ->> 'level';
  v_rule := CASE
    WHEN masklen(s.network) < width_floor(s.network) THEN 'effect_is_narrow_enough'
    WHEN v_level = 'never' THEN 'effect_spares_what_is_protected'
    -- What is held while its operation waits is let go by a second person only (`sql/approvals.sql`).
    WHEN v_level = 'ask_twice' AND NOT (o.state = 'awaiting_approval' AND NEW.state = 'held')
         AND NOT asked_twice(o.id) THEN 'effect_asks_twice' END;
  IF v_rule IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'SH005', CONSTRAINT = v_rule,
      MESSAGE = format('an effect on %s %s is refused: %s', s.kind, s.name, v_rule);
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER effect_spares_what_is_protected AFTER INSERT ON effect
  FOR EACH ROW EXECUTE FUNCTION refuse_protected();
ALTER TABLE effect ENABLE ALWAYS TRIGGER effect_spares_what_is_protected;

-- One more in a bucket, unless its ceiling is reached; counted in the transaction that it counts.
--
-- A ceiling of some size is split over 32 rows, each with its part, and each connection begins with its own:
-- one row would make a queue of everybody, each waiting for the commit of the one before.
CREATE OR REPLACE FUNCTION count_one(p_bucket text, p_ceiling int, p_since timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  v_shards int := CASE WHEN p_ceiling < 640 THEN 1 ELSE 32 END; v_shard int := pg_backend_pid() % v_shards;
  v_part int := p_ceiling / v_shards; v_rest int := p_ceiling % v_shards;
BEGIN
  UPDATE limit_count c SET used = CASE WHEN c.since < p_since THEN 1 ELSE c.used + 1 END,
                           since = greatest(c.since, p_since)
   WHERE c.bucket = p_bucket AND c.shard = v_shard AND v_part > 0
     AND (c.since < p_since OR c.used < v_part + (v_shard < v_rest)::int);
  IF FOUND THEN
    RETURN true;
  END IF;
  INSERT INTO limit_count (bucket, shard, since, used)
  SELECT p_bucket, n, p_since, 0 FROM generate_series(0, v_shards - 1) n
  ON CONFLICT ON CONSTRAINT limit_count_once DO NOTHING;
  -- Any other that is free; and what others hold just now is waited for, before saying that nothing is left.
  UPDATE limit_count c SET used = CASE WHEN c.since < p_since THEN 1 ELSE c.used + 1 END,
                           since = greatest(c.since, p_since)
   WHERE c.bucket = p_bucket AND c.shard = (
     SELECT f.shard FROM limit_count f WHERE f.bucket = p_bucket AND f.shard < v_shards AND v_part > 0
        AND (f.since < p_since OR f.used < v_part + (f.shard < v_rest)::int)
      LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED);
  IF FOUND THEN
    RETURN true;
  END IF;
  UPDATE limit_count c SET used = CASE WHEN c.since < p_since THEN 1 ELSE c.used + 1 END,
                           since = greatest(c.since, p_since)
   WHERE c.bucket = p_bucket AND c.shard = (
     SELECT f.shard FROM limit_count f WHERE f.bucket = p_bucket AND f.shard < v_shards AND v_part > 0
        AND (f.since < p_since OR f.used < v_part + (f.shard < v_rest)::int)
      ORDER BY f.shard LIMIT 1 FOR NO KEY UPDATE);
  RETURN FOUND;
END $$;

-- The window of a rule that a moment lies in: when it began.
CREATE OR REPLACE FUNCTION window_of(p_at timestamptz, p_seconds int) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
  SELECT date_bin(make_interval(secs => p_seconds), p_at, timestamptz '2026-01-01 00:00:00+00')
$$;

-- Count an operation for whoever asks for it, or refuse it all: SH006, naming the limit, with the
-- seconds until it is over as its detail. Called last, for what it locks is held until the commit.
CREATE OR REPLACE FUNCTION count_made(p_caller uuid, p_token uuid, p_at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE r record; v_since timestamptz;
BEGIN
  FOR r IN SELECT l.*, CASE l.scope WHEN 'console' THEN 'console' WHEN 'token' THEN 'token/' || p_token
                       ELSE 'person/' || c.id END AS bucket
             FROM limit_rule l JOIN caller c ON c.id = p_caller
            WHERE l.scope = 'console' OR (l.scope = 'token' AND p_token IS NOT NULL)
               OR (l.scope = 'person' AND c.kind = 'person') ORDER BY l.scope DESC LOOP
    v_since := window_of(p_at, r.seconds);
    IF NOT count_one(r.bucket, r.ceiling, v_since) THEN
      RAISE EXCEPTION USING ERRCODE = 'SH006', CONSTRAINT = 'limit_per_' || r.scope,
        MESSAGE = format('%s operations in %s s are reached', r.ceiling, r.seconds),
        DETAIL = ceil(extract(epoch FROM v_since - p_at) + r.seconds)::text;
    END IF;
  END LOOP;
END $$;

-- Knock at a door: 0 to go in, else the seconds to wait. What is counted is kept as a digest, for
-- people type their passwords where their names belong.
CREATE OR REPLACE FUNCTION rate_bucket(p_scope text, p_who text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT p_scope || '/' || encode(sha256(convert_to(p_who, 'UTF8')), 'hex')
$$;
CREATE OR REPLACE FUNCTION knock(p_scope text, p_who text) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE v_rule limit_rule; v_since timestamptz; v_used int; v_at timestamptz := clock_timestamp();
BEGIN
  SELECT * INTO v_rule FROM limit_rule WHERE scope = p_scope;
  IF NOT FOUND THEN
    RETURN 0;
  END IF;
  v_since := window_of(v_at, v_rule.seconds);
  INSERT INTO rate_count AS c (bucket, since, used) VALUES (rate_bucket(p_scope, p_who), v_since, 1)
  ON CONFLICT (bucket) DO UPDATE SET since = greatest(c.since, v_since),
    used = CASE WHEN c.since < v_since THEN 1 ELSE c.used + 1 END RETURNING c.used INTO v_used;
  RETURN CASE WHEN v_used <= v_rule.ceiling THEN 0
              ELSE greatest(1, ceil(extract(epoch FROM v_since - v_at) + v_rule.seconds)) END;
END $$;

-- Who came in did not knock in vain: only what fails is counted.
CREATE OR REPLACE FUNCTION came_in(p_scope text, p_who text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  UPDATE rate_count SET used = greatest(used - 1, 0) WHERE bucket = rate_bucket(p_scope, p_who)
$$;

-- Whether a key of whoever holds this token led to an operation: such a repeat is always told.
CREATE OR REPLACE FUNCTION key_known(p_prefix text, p_key text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT FROM api_token t JOIN request r ON r.caller_id = t.caller_id AND r.key = p_key
                  WHERE t.prefix = p_prefix AND r.operation_id IS NOT NULL)
$$;

-- Where somebody signed in works from, once a minute at most; and that they left.
CREATE OR REPLACE FUNCTION take_seat(p_caller uuid, p_address inet) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  INSERT INTO seat AS s (caller_id, address, seen_at) VALUES (p_caller, p_address, clock_timestamp())
  ON CONFLICT ON CONSTRAINT seat_once DO UPDATE SET seen_at = clock_timestamp()
   WHERE s.seen_at < clock_timestamp() - interval '1 minute'
$$;
CREATE OR REPLACE FUNCTION leave_seat(p_caller uuid, p_address inet) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  DELETE FROM seat WHERE caller_id = p_caller AND address = p_address
$$;

-- What is of no more use: counts whose time is over, and seats that nobody has sat in for a day.
CREATE OR REPLACE FUNCTION forget_counts() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  DELETE FROM rate_count WHERE since < clock_timestamp() - interval '2 hours';
  DELETE FROM seat WHERE seen_at < clock_timestamp() - interval '1 day';
$$;

-- Protect a subject, in the name of an admin. The unique index decides who was first: 'made' or 'there'.
CREATE OR REPLACE FUNCTION protect(p_caller uuid, p_kind text, p_name text, p_network cidr, p_level text,
                                   p_reason text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF NOT administers(p_caller) THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', MESSAGE = 'only an admin protects a subject';
  END IF;
  INSERT INTO protected_subject (kind, name, network, level, source, reason, added_by_id)
  VALUES (p_kind, p_name, p_network, p_level, 'admin', p_reason, p_caller)
  ON CONFLICT (kind, name, level, source, found_by) WHERE withdrawn_at IS NULL DO NOTHING;
  RETURN CASE WHEN FOUND THEN 'made' ELSE 'there' END;
END $$;

-- Withdraw what an admin protected: 'withdrawn', 'gone' if it was already, 'kept' if no admin put it there.
CREATE OR REPLACE FUNCTION unprotect(p_caller uuid, p_id bigint, p_why text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE v protected_subject;
BEGIN
  IF NOT administers(p_caller) OR p_why !~ '\S' THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', MESSAGE = 'only an admin withdraws a protection, and says why';
  END IF;
  SELECT * INTO v FROM protected_subject WHERE id = p_id FOR NO KEY UPDATE;
  IF v.id IS NULL OR v.withdrawn_at IS NOT NULL THEN
    RETURN 'gone';
  ELSIF v.source <> 'admin' THEN
    RETURN 'kept';
  END IF;
  UPDATE protected_subject SET withdrawn_at = clock_timestamp(), withdrawn_by_id = p_caller, withdrawn_why = p_why
   WHERE id = p_id;
  RETURN 'withdrawn';
END $$;

-- Whoever writes it, an IPv6 network is kept with the IPv4 one that it stands for, and all is logged.
CREATE OR REPLACE FUNCTION note_meaning() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.means := means(NEW.network);
  RETURN NEW;
END $$;
DO $$
BEGIN  -- those that are there from the first migration were written before this function was there
  IF EXISTS (SELECT FROM protected_subject WHERE means IS DISTINCT FROM means(network)) THEN
    UPDATE protected_subject SET means = means(network) WHERE means IS DISTINCT FROM means(network);
  END IF;
END $$;
CREATE OR REPLACE TRIGGER protected_subject_means BEFORE INSERT ON protected_subject
  FOR EACH ROW EXECUTE FUNCTION note_meaning();

CREATE OR REPLACE FUNCTION log_protection() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE v_over boolean := TG_OP = 'UPDATE';
BEGIN
  PERFORM log_numbered(NULL, CASE WHEN v_over THEN 'subject.unprotected' ELSE 'subject.protected' END,
    '{"by":' || to_json(coalesce((SELECT c.username FROM caller c
        WHERE c.id = CASE WHEN v_over THEN NEW.withdrawn_by_id ELSE NEW.added_by_id END), 'console'))
    || ',"kind":' || to_json(NEW.kind) || ',"level":' || to_json(NEW.level) || ',"name":' || to_json(NEW.name)
    || ',"reason":' || to_json(CASE WHEN v_over THEN NEW.withdrawn_why ELSE NEW.reason END)
    || ',"source":' || to_json(NEW.source) || '}');
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER protected_subject_is_logged AFTER INSERT ON protected_subject
  FOR EACH ROW EXECUTE FUNCTION log_protection();
CREATE OR REPLACE TRIGGER protected_subject_withdrawn_is_logged AFTER UPDATE OF withdrawn_at ON protected_subject
  FOR EACH ROW WHEN (OLD.withdrawn_at IS DISTINCT FROM NEW.withdrawn_at) EXECUTE FUNCTION log_protection();

CREATE OR REPLACE FUNCTION refuse_second_withdrawal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.withdrawn_at IS NOT NULL OR (OLD.source = 'floor' AND session_user IN
       ('steadyhand_web', 'steadyhand_worker', 'steadyhand_auditor')) THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', CONSTRAINT = TG_NAME,
      MESSAGE = format('protection %s is not withdrawn so', OLD.id);
  END IF;
  RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER protected_subject_is_withdrawn_once BEFORE UPDATE OF withdrawn_at ON protected_subject
  FOR EACH ROW EXECUTE FUNCTION refuse_second_withdrawal();
CREATE OR REPLACE TRIGGER protected_subject_never_changes BEFORE UPDATE OF
  id, kind, name, network, level, source, found_by, reason, added_by_id, added_at
  ON protected_subject FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER protected_subject_is_kept BEFORE DELETE ON protected_subject
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER protected_subject_is_never_emptied BEFORE TRUNCATE ON protected_subject
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
DO $$
DECLARE t text;
BEGIN
  FOR t IN SELECT tgname FROM pg_trigger WHERE tgrelid = 'protected_subject'::regclass AND NOT tgisinternal LOOP
    EXECUTE format('ALTER TABLE protected_subject ENABLE ALWAYS TRIGGER %I', t);
  END LOOP;
END $$;

-- Who keeps an operation is who asked for it, once it is in force and while there is time.
CREATE OR REPLACE FUNCTION refuse_keeping() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.kept_at IS NOT NULL OR OLD.keep_by IS NULL OR OLD.state <> 'succeeded'
     OR NEW.kept_at > OLD.keep_by OR OLD.ended_at IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', CONSTRAINT = TG_NAME,
      MESSAGE = format('operation %s is not to be kept now', OLD.ref);
  END IF;
  RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER operation_is_kept_in_time BEFORE UPDATE OF kept_at
  ON operation FOR EACH ROW EXECUTE FUNCTION refuse_keeping();
CREATE OR REPLACE TRIGGER operation_keep_by_never_changes BEFORE UPDATE OF keep_by
  ON operation FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE operation ENABLE ALWAYS TRIGGER operation_is_kept_in_time;
ALTER TABLE operation ENABLE ALWAYS TRIGGER operation_keep_by_never_changes;
