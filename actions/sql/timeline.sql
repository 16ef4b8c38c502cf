-- A promoted standby goes on under a new timeline, a restored copy as another cluster: commits may be
-- missing then, and with them the knowledge that a call was made. Until somebody says how much may be
-- missing (`manage.py recovered`), nothing is taken up.

-- 0 and 0 where the server cannot tell, as some that are not quite PostgreSQL: no failover shows there.
CREATE OR REPLACE FUNCTION timeline_now(OUT system bigint, OUT number int) LANGUAGE plpgsql STABLE AS $$
BEGIN
  SELECT s.system_identifier, ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
    INTO system, number FROM pg_control_system() s;
EXCEPTION WHEN feature_not_supported OR undefined_function OR insufficient_privilege THEN
  system := 0; number := 0;
END $$;

CREATE OR REPLACE FUNCTION timeline_confirmed() RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM timeline t JOIN timeline_now() n ON t.system = n.system AND t.number = n.number
                  WHERE t.confirmed_at IS NOT NULL)
$$;

-- Whether things may go on; a life that is new is written down, and logged. `p_lossless`: whoever runs
-- the keepers says that no failover can lose anything, as with a standby that every commit waits for.
CREATE OR REPLACE FUNCTION timeline_noticed(p_lossless boolean) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE v_at timestamptz := clock_timestamp(); v_known timestamptz; v_number int;
BEGIN
  IF timeline_confirmed() THEN
    RETURN true;
  END IF;
  -- Keepers say that they live every second, and look here first: what they said was said before.
  SELECT coalesce((SELECT max(h.at) FROM heartbeat h WHERE h.role = 'keeper'),
                  (SELECT e.at FROM log_event e ORDER BY e.id DESC LIMIT 1)) INTO v_known;
  INSERT INTO timeline (system, number, noticed_at, last_known_at, confirmed_at)
  SELECT n.system, n.number, v_at, v_known, CASE WHEN p_lossless THEN v_at END FROM timeline_now() n
  ON CONFLICT ON CONSTRAINT timeline_once DO NOTHING RETURNING number INTO v_number;
  IF v_number IS NOT NULL THEN
    PERFORM log_numbered(NULL, 'database.failed_over', '{"held":' || to_json(NOT p_lossless)
      || ',"last_known":' || coalesce('"' || to_char(v_known AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"', 'null') || ',"timeline":' || v_number || '}');
  END IF;
  RETURN timeline_confirmed();
END $$;

CREATE OR REPLACE FUNCTION refuse_unconfirmed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT timeline_confirmed() THEN
    RAISE EXCEPTION USING ERRCODE = '23514', CONSTRAINT = TG_NAME,
      MESSAGE = 'commits may be missing: nothing is taken up until manage.py recovered was run';
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER attempt_not_before_recovery BEFORE INSERT ON attempt
  FOR EACH ROW EXECUTE FUNCTION refuse_unconfirmed();
ALTER TABLE attempt ENABLE ALWAYS TRIGGER attempt_not_before_recovery;

-- Where the console begins, nothing can be missing yet.
INSERT INTO timeline (system, number, noticed_at, confirmed_at)
SELECT n.system, n.number, clock_timestamp(), clock_timestamp() FROM timeline_now() n
 WHERE NOT EXISTS (SELECT FROM timeline);
