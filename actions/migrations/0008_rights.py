"""More rights, and nobody with a way past them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("actions", "0007_approvals"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="caller",
            options={
                "default_permissions": (),
                "permissions": [("administer", "May administer people, groups, rights and tokens")],
            },
        ),
        migrations.AlterModelOptions(
            name="catalogueentry",
            options={
                "default_permissions": (),
                "permissions": [
                    ("see_entry", "May see what this action did"),
                    ("ask_entry", "May ask for this action"),
                    ("approve_entry", "May approve this action"),
                    ("administer_entry", "May give and take rights on this action"),
                ],
            },
        ),
        migrations.AlterModelOptions(
            name="realm",
            options={
                "default_permissions": (),
                "permissions": [
                    ("see_realm", "May see this system"),
                    ("ask_realm", "May ask for changes in this system"),
                    ("approve_realm", "May approve changes in this system"),
                    ("administer_realm", "May give and take rights on this system"),
                ],
            },
        ),
        # Neither flag ever gave anything here; from now on it cannot be set.
        migrations.RunSQL(
            "UPDATE caller SET is_superuser = false, is_staff = false WHERE is_superuser OR is_staff",
            migrations.RunSQL.noop,
        ),
        # What grants a right on every row at once, or on a row of any table: neither was ever read.
        migrations.RunSQL(
            "DELETE FROM caller_user_permissions; DELETE FROM guardian_userobjectpermission;"
            " DELETE FROM guardian_groupobjectpermission;"
            " DELETE FROM auth_group_permissions g USING auth_permission p JOIN django_content_type t"
            " ON t.id = p.content_type_id WHERE p.id = g.permission_id"
            " AND NOT (t.app_label = 'actions' AND p.codename = 'read_log')",
            migrations.RunSQL.noop,
        ),
        migrations.AddConstraint(
            model_name="caller",
            constraint=models.CheckConstraint(
                condition=models.Q(("is_staff", False), ("is_superuser", False)),
                name="caller_has_no_way_past_a_grant",
            ),
        ),
    ]
