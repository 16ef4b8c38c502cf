"""The lives of the database that are known, so that a failover is noticed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("actions", "0005_realm_health")]
    operations = [
        migrations.CreateModel(
            name="Timeline",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("system", models.BigIntegerField()),
                ("number", models.IntegerField()),
                ("noticed_at", models.DateTimeField()),
                ("last_known_at", models.DateTimeField(null=True)),
                ("confirmed_at", models.DateTimeField(null=True)),
                ("since", models.DateTimeField(null=True)),
                ("until", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "timeline",
                "constraints": [
                    models.UniqueConstraint(fields=("system", "number"), name="timeline_once")
                ],
            },
        ),
    ]
