-- Rights: what can never be granted, and that somebody can always administer.

-- guardian reads a grant on a whole model, or one in its generic tables, where nobody means it to: a
-- row there gives every row, or a row that is made later under the same key. No such row can be.
CREATE OR REPLACE FUNCTION refuse_wide_grant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM auth_permission p JOIN django_content_type t ON t.id = p.content_type_id
                  WHERE p.id = NEW.permission_id AND t.app_label = 'actions'
                    AND p.codename IN ('read_log', 'administer', 'break_glass')) THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', CONSTRAINT = TG_NAME,
      MESSAGE = 'this right is granted on one action or realm, never on all';
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER right_is_granted_on_one_thing BEFORE INSERT OR UPDATE ON auth_group_permissions
  FOR EACH ROW EXECUTE FUNCTION refuse_wide_grant();
CREATE OR REPLACE TRIGGER right_for_all_is_held_by_a_group BEFORE INSERT OR UPDATE ON caller_user_permissions
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER grant_names_its_row BEFORE INSERT OR UPDATE ON guardian_userobjectpermission
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER grant_names_its_row BEFORE INSERT OR UPDATE ON guardian_groupobjectpermission
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Who acted, and a group that a rule names, stay who and what they are. Row by row: Django writes
-- every column, also those that stay.
CREATE OR REPLACE TRIGGER caller_identity_never_changes BEFORE UPDATE ON caller FOR EACH ROW
  WHEN (OLD.id <> NEW.id OR OLD.username <> NEW.username OR OLD.kind <> NEW.kind)
  EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER group_keeps_its_name BEFORE UPDATE ON auth_group FOR EACH ROW
  WHEN (OLD.id <> NEW.id OR OLD.name <> NEW.name) EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE FUNCTION could_sign_in(p caller) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT p.is_active AND p.kind = 'person' AND p.password <> '' AND p.password NOT LIKE '!%'
$$;

-- Of admins, those who can sign in.
CREATE OR REPLACE FUNCTION able_admins() RETURNS SETOF uuid LANGUAGE sql STABLE AS $$
  SELECT c.id FROM caller c
   WHERE could_sign_in(c)
     AND EXISTS (SELECT FROM caller_groups m JOIN auth_group_permissions g ON g.group_id = m.group_id
                  JOIN auth_permission p ON p.id = g.permission_id AND p.codename = 'administer'
                  JOIN django_content_type t ON t.id = p.content_type_id AND t.app_label = 'actions'
                 WHERE m.caller_id = c.id)
$$;

-- One change of rights at a time, so that two admins who remove each other meet here: the second sees
-- what the first did. That needs a look that is new after the lock.
CREATE OR REPLACE FUNCTION one_change_of_rights() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', CONSTRAINT = 'rights_change_by_what_is_committed',
      MESSAGE = 'rights are changed at READ COMMITTED alone';
  END IF;
  PERFORM pg_advisory_xact_lock(hashtext('steadyhand rights'));
END $$;

CREATE OR REPLACE FUNCTION administers(p_group int) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM auth_group_permissions g JOIN auth_permission p ON p.id = g.permission_id
     WHERE g.group_id = p_group AND p.codename = 'administer')
$$;

-- Whether the row that went or changed may have made somebody an admin who can sign in. A console that
-- never had one is let alone.
CREATE OR REPLACE FUNCTION keep_an_admin() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE v_one boolean;
BEGIN
  PERFORM one_change_of_rights();
  CASE TG_TABLE_NAME
    WHEN 'caller' THEN
      v_one := EXISTS (SELECT FROM caller_groups m WHERE m.caller_id = OLD.id AND administers(m.group_id));
    WHEN 'caller_groups' THEN
      v_one := administers(OLD.group_id)
        AND EXISTS (SELECT FROM caller c WHERE c.id = OLD.caller_id AND could_sign_in(c));
    WHEN 'auth_group_permissions' THEN
      v_one := EXISTS (SELECT FROM auth_permission p WHERE p.id = OLD.permission_id AND p.codename = 'administer')
        AND EXISTS (SELECT FROM caller_groups m JOIN caller c ON c.id = m.caller_id
                     WHERE m.group_id = OLD.group_id AND could_sign_in(c));
  END CASE;
  IF v_one AND NOT EXISTS (SELECT FROM able_admins()) THEN
    RAISE EXCEPTION USING ERRCODE = 'SH003', CONSTRAINT = TG_NAME, MESSAGE = 'nobody could administer any more';
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER last_admin_stays_in_the_group AFTER DELETE OR UPDATE ON caller_groups
  FOR EACH ROW EXECUTE FUNCTION keep_an_admin();
CREATE OR REPLACE TRIGGER last_admin_stays_open AFTER UPDATE ON caller FOR EACH ROW
  WHEN (OLD.is_active AND (NOT NEW.is_active OR NEW.password = '' OR NEW.password LIKE '!%'))
  EXECUTE FUNCTION keep_an_admin();
CREATE OR REPLACE TRIGGER last_admin_keeps_the_right AFTER DELETE OR UPDATE ON auth_group_permissions
  FOR EACH ROW EXECUTE FUNCTION keep_an_admin();

DO $$
DECLARE t text; g record;
BEGIN
  FOREACH t IN ARRAY ARRAY['caller', 'auth_group', 'api_token'] LOOP
    EXECUTE format('CREATE OR REPLACE TRIGGER %I BEFORE DELETE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()',
                   t || '_is_kept', t);
  END LOOP;
  FOREACH t IN ARRAY ARRAY['caller', 'auth_group', 'api_token', 'caller_groups', 'auth_group_permissions'] LOOP
    EXECUTE format('CREATE OR REPLACE TRIGGER %I BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()',
                   t || '_is_never_emptied', t);
  END LOOP;
  FOR g IN SELECT tgname, tgrelid::regclass AS rel FROM pg_trigger WHERE NOT tgisinternal
            AND tgrelid IN ('caller'::regclass, 'auth_group'::regclass, 'api_token'::regclass,
              'caller_groups'::regclass, 'auth_group_permissions'::regclass, 'caller_user_permissions'::regclass,
              'guardian_userobjectpermission'::regclass, 'guardian_groupobjectpermission'::regclass) LOOP
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', g.rel, g.tgname);
  END LOOP;
END $$;
