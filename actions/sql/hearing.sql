-- What a person says of how they want to be told: written by these functions alone.

-- Give an address, to which a code goes. '' when it is on its way, 'confirmed' when it was confirmed
-- before and nothing changed, else why not.
CREATE OR REPLACE FUNCTION ask_notice_address(p_caller uuid, p_email text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE v_now timestamptz := clock_timestamp(); v_happening bigint;
BEGIN
  PERFORM FROM caller c WHERE c.id = p_caller FOR NO KEY UPDATE;
  IF EXISTS (SELECT FROM notice_address a WHERE a.caller_id = p_caller AND a.email = p_email
                AND a.confirmed_at IS NOT NULL) THEN
    RETURN 'confirmed';
  END IF;
  -- Nobody is to be flooded by way of us, whoever's address it is.
  IF EXISTS (SELECT FROM notice_address a WHERE a.caller_id = p_caller AND a.asked_at > v_now - interval '1 minute') THEN
    RETURN 'too_soon';
  END IF;
  IF (SELECT count(*) FROM notice n JOIN happening h ON h.id = n.happening_id
       WHERE n.person_id = p_caller AND h.kind = 'address' AND n.made_at > v_now - interval '1 day') >= 10 THEN
    RETURN 'too_many';
  END IF;
  INSERT INTO notice_address (caller_id, email, asked_at, confirmed_at, wrong)
  VALUES (p_caller, p_email, v_now, NULL, 0)
  ON CONFLICT (caller_id) DO UPDATE SET email = excluded.email, asked_at = v_now, confirmed_at = NULL, wrong = 0;
  INSERT INTO happening (about, kind, at, told)
  VALUES ('address/' || p_caller || '/' || (extract(epoch FROM v_now) * 1000000)::bigint, 'address', v_now, 1)
  RETURNING id INTO v_happening;
  INSERT INTO notice (id, happening_id, person_id, channel, state, fence, tries, calls, doubts, run_at, message)
  VALUES (gen_random_uuid(), v_happening, p_caller, 'email', 'ready', 0, 0, 0, 0, v_now, '');
  PERFORM log_numbered(NULL, 'notice.address_given', '{"by":' || to_json(p_caller::text) || '}');
  RETURN '';
END $$;

-- Count one try at the code before it is compared: the address and moment that the code is of, or nothing
-- when there were five already, or an hour has passed. Of one that is confirmed a try changes nothing, so
-- that its own code is known however often it is sent.
CREATE OR REPLACE FUNCTION try_notice_code(p_caller uuid, OUT email text, OUT asked_at timestamptz)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  UPDATE notice_address a SET wrong = a.wrong + 1
   WHERE a.caller_id = p_caller AND (a.confirmed_at IS NOT NULL OR a.wrong < 5
     AND a.asked_at > clock_timestamp() - interval '1 hour')
  RETURNING a.email, a.asked_at
$$;

-- The code was right: from now on notices go there. 'confirmed' by this, 'already' before, or '' when it is
-- good no longer.
CREATE OR REPLACE FUNCTION confirm_notice_address(p_caller uuid, p_asked_at timestamptz) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  UPDATE notice_address SET confirmed_at = clock_timestamp()
   WHERE caller_id = p_caller AND asked_at = p_asked_at AND confirmed_at IS NULL
     AND asked_at > clock_timestamp() - interval '1 hour';
  IF NOT FOUND THEN
    RETURN CASE WHEN EXISTS (SELECT FROM notice_address a WHERE a.caller_id = p_caller
                                AND a.asked_at = p_asked_at AND a.confirmed_at IS NOT NULL)
           THEN 'already' ELSE '' END;
  END IF;
  PERFORM log_numbered(NULL, 'notice.address_confirmed', '{"by":' || to_json(p_caller::text) || '}');
  RETURN 'confirmed';
END $$;

-- Choose to hear of a kind, or not to. Choosing the same again changes nothing, nor since when.
CREATE OR REPLACE FUNCTION choose_notice(p_caller uuid, p_kind text, p_wanted boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  INSERT INTO notice_choice AS c (caller_id, kind, channel, wanted, chosen_at)
  SELECT p_caller, p_kind, 'email', p_wanted, clock_timestamp()
   WHERE EXISTS (SELECT FROM notice_choice o WHERE o.caller_id = p_caller AND o.kind = p_kind
                    AND o.channel = 'email') OR p_wanted <> (p_kind <> 'settled')
  ON CONFLICT ON CONSTRAINT notice_choice_once DO UPDATE SET wanted = excluded.wanted, chosen_at = excluded.chosen_at
   WHERE c.wanted <> excluded.wanted;
  IF FOUND THEN
    PERFORM log_numbered(NULL, 'notice.chosen', '{"by":' || to_json(p_caller::text) || ',"kind":' || to_json(p_kind)
      || ',"wanted":' || to_json(p_wanted) || '}');
  END IF;
END $$;

-- A notice that says nothing, to one's own confirmed address, once a minute. '' when it is on its way.
CREATE OR REPLACE FUNCTION test_notice(p_caller uuid) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE v_now timestamptz := clock_timestamp(); v_happening bigint;
BEGIN
  IF NOT EXISTS (SELECT FROM notice_address a WHERE a.caller_id = p_caller AND a.confirmed_at IS NOT NULL) THEN
    RETURN 'no_address';
  END IF;
  INSERT INTO happening (about, kind, at, told)
  VALUES ('test/' || p_caller || '/' || floor(extract(epoch FROM v_now) / 60), 'test', v_now, 1)
  ON CONFLICT DO NOTHING RETURNING id INTO v_happening;
  IF v_happening IS NULL THEN RETURN 'too_soon'; END IF;
  INSERT INTO notice (id, happening_id, person_id, channel, state, fence, tries, calls, doubts, run_at, message)
  VALUES (gen_random_uuid(), v_happening, p_caller, 'email', 'ready', 0, 0, 0, 0, v_now, '');
  RETURN '';
END $$;
