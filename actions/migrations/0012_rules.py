"""The rules that live in the database, as `actions/sql/` has them now: each file replaces what was."""

from pathlib import Path

from django.db import migrations

from actions import states, subjects, translated
from actions.policy import granted, permission

SQL = Path(__file__).resolve().parent.parent / "sql"


def sql(name: str, **parts: str) -> migrations.RunSQL:
    """The statements of a file, with `parts` in place of their names in doubled braces."""
    text = (SQL / name).read_text()
    for part, written in parts.items():
        text = text.replace("{{" + part + "}}", written)
    return migrations.RunSQL(text)


class Migration(migrations.Migration):
    dependencies = [("actions", "0011_notices")]
    operations = [
        migrations.RunSQL(
            states.moves_sql("operation", states.OPERATION_STARTS, states.OPERATION_MOVES)
            + states.moves_sql("effect", states.EFFECT_STARTS, states.EFFECT_MOVES)
            + states.moves_sql("incident", states.INCIDENT_STARTS, states.INCIDENT_MOVES)
        ),
        sql("frozen.sql"),
        sql("rights.sql"),
        sql("log.sql"),
        sql("break_glass.sql"),
        sql(
            "limits.sql",
            holds_ipv4=translated.holds_ipv4_sql(),
            floor4=str(subjects.FLOOR[4]),
            floor6=str(subjects.FLOOR[6]),
        ),
        sql(
            "approvals.sql",
            hold_ipv4=", ".join(f"('{block}'::cidr, {at})" for block, at in translated.HOLD_IPV4),
            may_approve=granted("entry", "approve_entry", "n.id", "p_caller"),
            may_approve_realm=granted("realm", "approve_realm", "e.realm_id", "p_caller"),
        ),
        sql("health.sql"),
        sql("facts.sql"),
        sql("readings.sql"),
        sql("incidents.sql"),
        sql(
            "look.sql",
            kinds_in_one_realm=", ".join(f"'{kind}'" for kind in sorted(subjects.IN_ONE_REALM)),
            see_entry=permission("entry", "see_entry"),
            ask_entry=permission("entry", "ask_entry"),
            ask_realm=permission("realm", "ask_realm"),
            see_realm=permission("realm", "see_realm"),
            may_see=granted("entry", "see_entry", "n.id", "look.caller", "v_see"),
            may_ask=granted("entry", "ask_entry", "n.id", "look.caller", "v_ask"),
            may_ask_realm=granted("realm", "ask_realm", "m.id", "look.caller", "v_ask_realm"),
            may_see_realm=granted("realm", "see_realm", "m.id", "look.caller", "v_see_realm"),
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
        sql(
            "administer.sql",
            may_administer_entry=granted("entry", "administer_entry", "p_target", "c.id"),
            may_administer_realm=granted("realm", "administer_realm", "p_target", "c.id"),
        ),
        migrations.RunSQL(
            states.moves_sql("notice", states.NOTICE_STARTS, states.NOTICE_MOVES)
        ),
        sql(
            "notices.sql",
            sees=granted("entry", "see_entry", "v_entry", "c.id"),
            sees_realm=granted("realm", "see_realm", "v_realm", "c.id"),
            in_one_realm=", ".join(f"'{kind}'" for kind in sorted(subjects.IN_ONE_REALM)),
            asks=granted("entry", "ask_entry", "v_entry", "c.id"),
            approves=granted("entry", "approve_entry", "v_entry", "c.id"),
            asks_realm=granted("realm", "ask_realm", "e.realm_id", "c.id"),
            approves_realm=granted("realm", "approve_realm", "e.realm_id", "c.id"),
        ),
        sql("hearing.sql"),
        sql("timeline.sql"),
        sql("grants.sql"),
    ]
