-- What was asked never changes, fences never fall, and nothing is ever deleted.

CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = 'SH003', CONSTRAINT = TG_NAME,
    MESSAGE = format('%s on %s is refused: %s', TG_OP, TG_TABLE_NAME, TG_NAME);
END $$;

CREATE OR REPLACE FUNCTION refuse_falling_fence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.fence < OLD.fence THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', CONSTRAINT = TG_NAME,
      MESSAGE = format('the fence of effect %s cannot fall from %s to %s', OLD.id, OLD.fence, NEW.fence);
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER operation_intent_never_changes BEFORE UPDATE OF
  id, ref, subject_id, lane, generation, action, action_version, desired, span, ends_at, plan_digest,
  reason, because, again_of, undoes_id, requested_by_id, via, draft_id, requested_at,
  approvals, approve_by, break_glass_id, keep_for
  ON operation FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A worker settles operations; it neither approves, declines nor withdraws them.
CREATE OR REPLACE FUNCTION refuse_deciding() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF session_user = 'steadyhand_worker' AND NEW.state IN ('approved', 'declined', 'cancelled') THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', CONSTRAINT = TG_NAME,
      MESSAGE = format('a worker cannot move an operation to %s', NEW.state);
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER operation_is_decided_by_people BEFORE UPDATE OF state
  ON operation FOR EACH ROW EXECUTE FUNCTION refuse_deciding();

CREATE OR REPLACE TRIGGER effect_intent_never_changes BEFORE UPDATE OF
  id, operation_id, subject_id, lane, generation, realm_id, realm_version, step, ord, capability,
  redo, desired, after
  ON effect FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER effect_fence_never_falls BEFORE UPDATE OF fence
  ON effect FOR EACH ROW EXECUTE FUNCTION refuse_falling_fence();

-- A realm keeps its name and its kind for ever: names of accounts and secrets begin with it.
CREATE OR REPLACE TRIGGER realm_identity_never_changes BEFORE UPDATE OF id, name, connector
  ON realm FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER realm_version_never_changes BEFORE UPDATE
  ON realm_version FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER attempt_identity_never_changes BEFORE UPDATE OF
  id, effect_id, number, fence, worker, claimed_at
  ON attempt FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER request_content_never_changes BEFORE UPDATE OF
  id, caller_id, key, fingerprint, rules, first_seen_at
  ON request FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE FUNCTION refuse_rebinding() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.operation_id IS NOT NULL AND NEW.operation_id IS DISTINCT FROM OLD.operation_id THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', CONSTRAINT = TG_NAME,
      MESSAGE = format('request %s names an operation already', OLD.id);
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER request_names_one_operation BEFORE UPDATE OF operation_id
  ON request FOR EACH ROW EXECUTE FUNCTION refuse_rebinding();

CREATE OR REPLACE TRIGGER arrival_never_changes BEFORE UPDATE
  ON arrival FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER draft_never_changes BEFORE UPDATE OF
  id, caller_id, token_id, action, action_version, subject_kind, subject_name, subject_rules, params, until,
  span, reason, incident_id, seen, again, undoes_id, not_known, plan, plan_digest, created_at
  ON draft FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER subject_never_changes BEFORE UPDATE
  ON subject FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER incident_identity_never_changes BEFORE UPDATE OF
  id, number, opened_by_id, opened_at, request_key, fingerprint
  ON incident FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER incident_entry_never_changes BEFORE UPDATE
  ON incident_entry FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER incident_member_never_changes BEFORE UPDATE OF
  id, incident_id, caller_id, added_by_id, added_at
  ON incident_member FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER operation_incident_never_changes BEFORE UPDATE
  ON operation_incident FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER log_event_never_changes BEFORE UPDATE
  ON log_event FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER approval_never_changes BEFORE UPDATE
  ON approval FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER break_glass_never_changes BEFORE UPDATE OF
  id, caller_id, reason, opened_at, ends_at
  ON break_glass FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Closed once, and never opened again.
CREATE OR REPLACE TRIGGER break_glass_closes_once BEFORE UPDATE OF closed_at, closed_by_id
  ON break_glass FOR EACH ROW WHEN (OLD.closed_at IS NOT NULL) EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER break_glass_is_withdrawn_once BEFORE UPDATE OF withdrawn_at, withdrawn_by_id
  ON break_glass FOR EACH ROW WHEN (OLD.withdrawn_at IS NOT NULL) EXECUTE FUNCTION refuse_change();

-- A trigger that is merely enabled is passed over in replica mode; ENABLE ALWAYS is not.
DO $$
DECLARE t text; g record;
BEGIN
  FOREACH t IN ARRAY ARRAY['operation', 'effect', 'attempt', 'request', 'arrival', 'subject',
                           'draft', 'log_event', 'operation_incident', 'pull',
                           'realm', 'realm_version', 'realm_secret', 'made_value', 'subject_label',
                           'incident', 'incident_entry', 'incident_member',
                           'approval', 'approval_rule', 'break_glass'] LOOP
    EXECUTE format('CREATE OR REPLACE TRIGGER %I BEFORE DELETE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()',
                   t || '_is_kept', t);
    EXECUTE format('CREATE OR REPLACE TRIGGER %I BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()',
                   t || '_is_never_emptied', t);
  END LOOP;
  FOR g IN SELECT tgname, tgrelid::regclass AS rel FROM pg_trigger
           WHERE NOT tgisinternal AND tgfoid IN ('refuse_change'::regproc, 'refuse_falling_fence'::regproc,
                                                 'refuse_rebinding'::regproc, 'refuse_deciding'::regproc) LOOP
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', g.rel, g.tgname);
  END LOOP;
END $$;
