-- Asking for a reading: one row per realm, subject and capability, shared by all who ask.

-- Ask how p_kind/p_name stands in each realm, for each capability. One that was taken within 5 s is
-- new enough, and one that is asked for already will do for all: the row is left alone.
-- No NOTIFY, which would serialise commits; the keeper looks for what is due.
CREATE OR REPLACE FUNCTION ask_readings(p_kind text, p_name text, p_realms uuid[], p_capabilities text[])
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  INSERT INTO reading AS r (realm_id, kind, name, capability, asked_at, message)
  SELECT m.id, p_kind, p_name, w.capability, clock_timestamp(), ''
    FROM (SELECT DISTINCT * FROM unnest(p_realms, p_capabilities)) AS w(realm, capability)
    JOIN realm m ON m.id = w.realm AND m.enabled
    -- Web is let in here: what it may cause is bounded, in size, and in how much is due at once.
   WHERE cardinality(p_realms) <= 64 AND length(p_kind) <= 40 AND length(p_name) <= 200
     AND length(w.capability) <= 40 AND w.capability <> 'account.find'  -- that is asked by ask_name
     AND (SELECT count(*) FROM (SELECT FROM reading d
            WHERE d.taken_at IS NULL OR d.asked_at > d.taken_at LIMIT 1000) AS due) < 1000
  ON CONFLICT ON CONSTRAINT reading_once DO UPDATE SET asked_at = excluded.asked_at
   WHERE r.asked_at <= r.taken_at AND r.taken_at < excluded.asked_at - interval '5 s'
$$;
