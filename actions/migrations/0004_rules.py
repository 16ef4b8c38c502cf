"""The rules that live in the database, as `actions/sql/` has them now: each file replaces what was."""

from pathlib import Path

from django.db import migrations

from actions import states
from actions.policy import granted, permission

SQL = Path(__file__).resolve().parent.parent / "sql"


def sql(name: str, **parts: str) -> migrations.RunSQL:
    """The statements of a file, with `parts` in place of their names in doubled braces."""
    text = (SQL / name).read_text()
    for part, written in parts.items():
        text = text.replace("{{" + part + "}}", written)
    return migrations.RunSQL(text)


class Migration(migrations.Migration):
    dependencies = [("actions", "0003_executor")]
    operations = [
        migrations.RunSQL(
            states.moves_sql("operation", states.OPERATION_STARTS, states.OPERATION_MOVES)
            + states.moves_sql("effect", states.EFFECT_STARTS, states.EFFECT_MOVES)
        ),
        sql("frozen.sql"),
        sql("log.sql"),
        sql("facts.sql"),
        sql("readings.sql"),
        sql(
            "look.sql",
            see_entry=permission("entry", "see_entry"),
            ask_entry=permission("entry", "ask_entry"),
            ask_realm=permission("realm", "ask_realm"),
            may_see=granted("entry", "see_entry", "n.id", "look.caller", "v_see"),
            may_ask=granted("entry", "ask_entry", "n.id", "look.caller", "v_ask"),
            may_ask_realm=granted("realm", "ask_realm", "m.id", "look.caller", "v_ask_realm"),
        ),
        sql("overtake.sql"),
        sql("issue.sql"),
        sql("issue_end.sql"),
        sql("values.sql"),
        sql(
            "naming.sql",
            may_see_realm=granted("realm", "see_realm", "m.id", "p_caller"),
        ),
        sql("verbs.sql"),
        sql("grants.sql"),
    ]
