-- Ask whose name something is in a realm, which web cannot look up itself (`actions.naming`).
--
-- A look of the last 5 seconds is shared. Answers the moment after which a look is new enough, or null
-- when there is no such realm that the caller may see.
CREATE OR REPLACE FUNCTION ask_name(p_caller uuid, p_realm text, p_kind text, p_label text)
RETURNS TABLE (realm uuid, since timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE v_realm uuid; v_at timestamptz := clock_timestamp();
BEGIN
  SELECT m.id INTO v_realm FROM realm m
   WHERE m.name = p_realm AND m.enabled AND {{may_see_realm}};
  IF v_realm IS NULL THEN
    RETURN;
  END IF;
  INSERT INTO reading AS r (realm_id, kind, name, capability, asked_at, message)
  VALUES (v_realm, p_kind, p_label, p_kind || '.find', v_at, '')
  ON CONFLICT ON CONSTRAINT reading_once DO UPDATE SET asked_at = v_at
   WHERE (r.taken_at IS NULL OR r.facts IS NULL OR r.taken_at < v_at - interval '5 seconds')
     AND NOT (r.asked_at > coalesce(r.taken_at, '-infinity') AND r.asked_at > v_at - interval '5 seconds');
  RETURN QUERY SELECT v_realm, v_at - interval '5 seconds';
END $$;
