-- Whether a realm is called at all is told in the log by the table itself, so that no code can forget to.

CREATE OR REPLACE FUNCTION log_realm_health() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM log_numbered(NULL, CASE WHEN NEW.paused_at IS NULL THEN 'realm.resumed' ELSE 'realm.paused' END,
    (SELECT '{"by":' || to_json(session_user::text) || ',"failures":' || NEW.failures
         || ',"message":' || to_json(NEW.message) || ',"realm":' || to_json(m.name) || '}'
       FROM realm m WHERE m.id = NEW.realm_id));
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER realm_pause_is_logged AFTER UPDATE OF paused_at ON realm_health FOR EACH ROW
  WHEN ((OLD.paused_at IS NULL) <> (NEW.paused_at IS NULL)) EXECUTE FUNCTION log_realm_health();
CREATE OR REPLACE TRIGGER realm_pause_is_logged_from_the_first AFTER INSERT ON realm_health FOR EACH ROW
  WHEN (NEW.paused_at IS NOT NULL) EXECUTE FUNCTION log_realm_health();
ALTER TABLE realm_health ENABLE ALWAYS TRIGGER realm_pause_is_logged;
ALTER TABLE realm_health ENABLE ALWAYS TRIGGER realm_pause_is_logged_from_the_first;
