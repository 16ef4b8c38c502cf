"""The rules that live in the database: legal moves, frozen columns, the log, issuing, and roles."""

from pathlib import Path

from django.db import migrations

from actions import states
from actions.policy import granted, permission

SQL = Path(__file__).resolve().parent / "sql_0002"


def sql(name: str, **parts: str) -> migrations.RunSQL:
    """The statements of a file, with `parts` in place of their names in doubled braces."""
    text = (SQL / name).read_text()
    for part, written in parts.items():
        text = text.replace("{{" + part + "}}", written)
    return migrations.RunSQL(text)


MOVES = "".join(
    states.moves_sql(table, starts, moves)
    + f"CREATE TRIGGER {table}_moves_legally BEFORE INSERT OR UPDATE OF state ON {table}"
    f" FOR EACH ROW EXECUTE FUNCTION {table}_moves();"
    f" ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_moves_legally;"
    for table, starts, moves in (
        ("operation", states.OPERATION_STARTS, states.OPERATION_MOVES),
        ("effect", states.EFFECT_STARTS, states.EFFECT_MOVES),
    )
)


class Migration(migrations.Migration):
    dependencies = [
        ("actions", "0001_tables"),
        ("sessions", "0001_initial"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("guardian", "0003_remove_groupobjectpermission_guardian_gr_content_ae6aec_idx_and_more"),
    ]
    operations = [
        migrations.RunSQL(MOVES),
        sql("frozen.sql"),
        sql("log.sql"),
        sql("facts.sql"),
        sql(
            "look.sql",
            see_entry=permission("entry", "see_entry"),
            ask_entry=permission("entry", "ask_entry"),
            ask_realm=permission("realm", "ask_realm"),
            may_see=granted("entry", "see_entry", "n.id", "look.caller", "v_see"),
            may_ask=granted("entry", "ask_entry", "n.id", "look.caller", "v_ask"),
            may_ask_realm=granted("realm", "ask_realm", "m.id", "look.caller", "v_ask_realm"),
        ),
        sql("issue.sql"),
        sql("issue_end.sql"),
        # Rows of a hot operation are updated in place as long as their page has room.
        migrations.RunSQL("ALTER TABLE operation SET (fillfactor = 70);"),
        migrations.RunSQL("CREATE SEQUENCE incident_number;"),
        sql("grants.sql"),
    ]
