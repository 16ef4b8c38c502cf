-- Incidents: who sees one, who leads it, and how it is changed: by one function, or not at all.

-- Whether somebody holds one of our permissions on the whole console, by a group of theirs.
CREATE OR REPLACE FUNCTION holds(p_caller uuid, p_codename text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT FROM caller_groups m JOIN auth_group_permissions g ON g.group_id = m.group_id
    JOIN auth_permission p ON p.id = g.permission_id AND p.codename = p_codename
    JOIN django_content_type t ON t.id = p.content_type_id AND t.app_label = 'actions'
   WHERE m.caller_id = p_caller)
$$;

CREATE OR REPLACE FUNCTION administers(p_caller uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT holds(p_caller, 'administer')
$$;

-- The one rule of who sees an incident, and so of who learns anything of it: everybody, unless it is
-- restricted; then its members, and who reads the log, where all of it stands. Null where there is none.
CREATE OR REPLACE FUNCTION may_see_incident(p_caller uuid, p_incident uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT NOT i.restricted
      OR EXISTS (SELECT FROM incident_member m
                  WHERE m.incident_id = i.id AND m.caller_id = p_caller AND m.removed_at IS NULL)
      OR holds(p_caller, 'read_log')
    FROM incident i WHERE i.id = p_incident
$$;

-- Every incident has one lead, who is a person where the incident is handed over, and sees it.
CREATE OR REPLACE FUNCTION lead_incident() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    NEW.lead_id := coalesce(NEW.lead_id, NEW.opened_by_id);
  ELSIF NEW.lead_id <> OLD.lead_id AND NOT EXISTS (
      SELECT FROM caller c WHERE c.id = NEW.lead_id AND c.kind = 'person' AND c.is_active) THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', CONSTRAINT = TG_NAME,
      MESSAGE = 'an incident is handed over to a person whose account is open';
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION member_incident() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO incident_member (incident_id, caller_id, added_by_id, added_at)
  SELECT DISTINCT NEW.id, one.id, NEW.opened_by_id, clock_timestamp()
    FROM unnest(CASE WHEN TG_OP = 'INSERT' THEN ARRAY[NEW.opened_by_id, NEW.lead_id]
                     ELSE ARRAY[NEW.lead_id] END) AS one(id)
  ON CONFLICT (incident_id, caller_id) WHERE removed_at IS NULL DO NOTHING;
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION keep_lead_member() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.removed_at IS NOT NULL OR EXISTS (
      SELECT FROM incident i WHERE i.id = NEW.incident_id AND i.lead_id = NEW.caller_id) THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', CONSTRAINT = TG_NAME,
      MESSAGE = 'who leads an incident sees it; who left it comes again as a member anew';
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER incident_moves_legally BEFORE INSERT OR UPDATE OF state ON incident
  FOR EACH ROW EXECUTE FUNCTION incident_moves();
CREATE OR REPLACE TRIGGER incident_is_led_by_a_person BEFORE INSERT OR UPDATE OF lead_id ON incident
  FOR EACH ROW EXECUTE FUNCTION lead_incident();
CREATE OR REPLACE TRIGGER incident_lead_is_a_member AFTER INSERT OR UPDATE OF lead_id ON incident
  FOR EACH ROW EXECUTE FUNCTION member_incident();
CREATE OR REPLACE TRIGGER incident_lead_stays_a_member BEFORE UPDATE OF removed_at ON incident_member
  FOR EACH ROW EXECUTE FUNCTION keep_lead_member();
ALTER TABLE incident ENABLE ALWAYS TRIGGER incident_moves_legally;
ALTER TABLE incident ENABLE ALWAYS TRIGGER incident_is_led_by_a_person;
ALTER TABLE incident ENABLE ALWAYS TRIGGER incident_lead_is_a_member;
ALTER TABLE incident_member ENABLE ALWAYS TRIGGER incident_lead_stays_a_member;

-- The number of a new incident. One that is restricted from its first moment takes a number by chance,
-- far from the others: those go on one by one, so that no gap tells of what one may not see.
CREATE OR REPLACE FUNCTION next_incident_number(p_restricted boolean) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE v_number bigint;
BEGIN
  LOOP
    v_number := CASE WHEN p_restricted THEN 100000 + floor(random() * 900000)::bigint
                     ELSE nextval('incident_number') END;
    EXIT WHEN NOT EXISTS (SELECT FROM incident i WHERE i.number = v_number);
  END LOOP;
  RETURN v_number;
END $$;

-- Write one entry of an incident, what it changes, and its event of the log, or nothing.
--
-- Python decided on `p_version`; where the incident is no longer at it, the answer is 'moved', to be
-- decided again. Closing also rests on `p_linked`, the last operation that was linked to it (0: none). `p_change` is what the log keeps too, so that it cannot tell anything else:
-- {title?, lead?, state?, restricted?, add?, remove?, note?, …}; lead, add and remove are ids there.
-- Locks: the incident's row, then the key.
DROP FUNCTION IF EXISTS write_incident;

CREATE FUNCTION write_incident(
  p_entry uuid, p_incident uuid, p_caller uuid, p_token uuid, p_via text, p_key text, p_fingerprint bytea,
  p_kind text, p_version int, p_linked bigint, p_change text
) RETURNS TABLE (verdict text, number bigint, version int)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_at timestamptz := clock_timestamp(); v jsonb; i incident; v_entry int; v_by text; v_changes boolean;
BEGIN
  IF NOT (p_change IS JSON OBJECT WITH UNIQUE KEYS) THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', MESSAGE = 'a change is one JSON object';
  END IF;
  v := p_change::jsonb;
  v_changes := v ?| ARRAY['title', 'lead', 'state', 'restricted'];
  SELECT c.username INTO v_by FROM caller c
   WHERE c.id = p_caller AND c.is_active AND c.kind IN ('person', 'service');
  IF v_by IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', MESSAGE = 'only people and runbooks write to an incident';
  END IF;

  -- 1. The incident, as it was decided on.
  IF p_kind <> 'opened' THEN
    SELECT * INTO i FROM incident WHERE id = p_incident FOR NO KEY UPDATE;
    IF i.id IS NULL OR (v_changes AND i.version IS DISTINCT FROM p_version)
       -- Whoever asked for something because of it holds its row: all that came in is seen by now.
       OR (v ->> 'state' = 'closed' AND p_linked IS DISTINCT FROM coalesce((SELECT max(l.id)
             FROM operation_incident l WHERE l.incident_id = p_incident), 0)) THEN
      RETURN QUERY SELECT 'moved', NULL::bigint, NULL::int; RETURN;
    END IF;
    PERFORM may_write_incident(i, p_caller, v);
  END IF;

  -- 2. The key: the unique constraints decide who was first, also of two who open one. It stands for one thing,
  -- an operation or this: rules that no request is made by say which, and no fingerprint meets it.
  INSERT INTO request (caller_id, key, fingerprint, rules, first_seen_at, operation_id)
  VALUES (p_caller, p_key, p_fingerprint, 0, v_at, NULL) ON CONFLICT ON CONSTRAINT request_key_once DO NOTHING;
  IF NOT EXISTS (SELECT FROM request r WHERE r.caller_id = p_caller AND r.key = p_key AND r.rules = 0) THEN
    RETURN QUERY SELECT 'moved', NULL::bigint, NULL::int; RETURN;
  END IF;
  INSERT INTO incident_entry (id, incident_id, number, at, caller_id, token_id, via, key, fingerprint, kind, body)
  VALUES (p_entry, p_incident, coalesce(i.entry_count, 0) + 1, v_at, p_caller, p_token, p_via, p_key,
          p_fingerprint, p_kind, v)
  ON CONFLICT DO NOTHING RETURNING number INTO v_entry;
  IF v_entry IS NULL THEN
    RETURN QUERY SELECT 'moved', NULL::bigint, NULL::int; RETURN;
  END IF;

  -- 3. The change.
  IF p_kind = 'opened' THEN
    INSERT INTO incident (id, number, title, state, opened_by_id, opened_at, request_key, fingerprint,
                          lead_id, restricted, version, entry_count)
    VALUES (p_incident, next_incident_number((v ->> 'restricted')::boolean), v ->> 'title', 'open', p_caller,
            v_at, p_key, p_fingerprint, (v ->> 'lead')::uuid, (v ->> 'restricted')::boolean, 1, 1)
    RETURNING * INTO i;
  ELSE
    UPDATE incident SET title = coalesce(v ->> 'title', title), state = coalesce(v ->> 'state', state),
           lead_id = coalesce((v ->> 'lead')::uuid, lead_id),
           restricted = coalesce((v ->> 'restricted')::boolean, restricted),
           version = version + v_changes::int, entry_count = v_entry
     WHERE id = p_incident RETURNING * INTO i;
  END IF;
  INSERT INTO incident_member (incident_id, caller_id, added_by_id, added_at)
  SELECT i.id, one::uuid, p_caller, v_at FROM jsonb_array_elements_text(coalesce(v -> 'add', '[]')) one
  ON CONFLICT (incident_id, caller_id) WHERE removed_at IS NULL DO NOTHING;
  UPDATE incident_member SET removed_at = v_at
   WHERE incident_id = i.id AND removed_at IS NULL
     AND caller_id IN (SELECT one::uuid FROM jsonb_array_elements_text(coalesce(v -> 'remove', '[]')) one);

  -- 4. The log, which says what was written and by whom.
  PERFORM log_write(NULL, NULL, NULL, 'incident.' || p_kind, '{"by":' || to_json(v_by)
    || ',"caller":' || to_json(p_caller::text) || ',"change":' || p_change || ',"entry":' || v_entry
    || ',"key":' || to_json(p_key) || ',"ref":' || to_json('INC-' || i.number)
    || ',"token":' || coalesce(to_json(p_token::text)::text, 'null')
    || ',"version":' || i.version || ',"via":' || to_json(p_via) || '}', v_at);
  RETURN QUERY SELECT 'written', i.number, i.version;
END $$;

-- What nobody may write to an incident, whatever Python believes: what they do not see; and of changes,
-- what is neither its lead's nor an admin's. An admin may make themselves a member, and see it then.
CREATE OR REPLACE FUNCTION may_write_incident(i incident, p_caller uuid, v jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF administers(p_caller) AND v -> 'add' = jsonb_build_array(p_caller::text)
     AND NOT v ?| ARRAY['title', 'lead', 'state', 'restricted', 'remove'] THEN
    RETURN;
  END IF;
  IF NOT may_see_incident(p_caller, i.id) THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', CONSTRAINT = 'incident_is_written_by_who_sees_it',
      MESSAGE = 'nobody writes to an incident that they do not see';
  END IF;
  IF v ?| ARRAY['title', 'lead', 'state', 'restricted', 'add', 'remove']
     AND i.lead_id <> p_caller AND NOT administers(p_caller) THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', CONSTRAINT = 'incident_is_changed_by_its_lead',
      MESSAGE = 'its lead or an admin changes an incident';
  END IF;
END $$;
