"""Celery as the console uses it: messages that only ring, and results that nobody keeps.

Loaded by workers (`celery -A console.celery worker`) and keepers, never by web.
"""

from __future__ import annotations

import os
from urllib.parse import unquote, urlsplit

import django
from celery import Celery, signals  # type: ignore[import-untyped]
from django.conf import settings
from psycopg.conninfo import make_conninfo

from console import pgmq, pool, redis_bell
from console.supervise import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
# libpq waits for a host that does not answer for as long as TCP does.
os.environ.setdefault("PGCONNECT_TIMEOUT", "5")
django.setup()
pgmq.use()
pool.use()
redis_bell.use()


def configuration(url: str, lease: float) -> dict[str, object]:
    """Celery's settings for a broker at `url` and leases of `lease` seconds."""
    return {
        "broker_url": f"pgmq:{url.partition(':')[2]}" if _is_postgres(url) else url,
        "broker_transport_options": _transport(url, lease),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_pool_limit": 1,
        "task_default_queue": "steadyhand",
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        # A message that is lost with its worker is rung again by the sweep: no poison goes round.
        "task_acks_late": True,
        "task_reject_on_worker_lost": False,
        "task_acks_on_failure": True,
        "task_acks_on_timeout": True,
        # Over before the lease is; `calls` time out before the soft limit does.
        "task_soft_time_limit": max(lease - 10, lease * 2 / 3),
        "task_time_limit": max(lease - 5, lease * 5 / 6),
        # Never end a call midway: delivered a second time, the message finds nothing to take up.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_soft_shutdown_timeout": 20.0,
        "worker_prefetch_multiplier": 1,
        "worker_max_tasks_per_child": 200,
        # How long a child that died keeps its place among the messages that may be taken.
        "worker_lost_wait": 1.0,
        "worker_proc_alive_timeout": 30.0,
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_redirect_stdouts": False,
        "worker_hijack_root_logger": False,
    }


def _is_postgres(url: str) -> bool:
    return urlsplit(url).scheme in {"pgmq", "postgres", "postgresql"}


def _transport(url: str, lease: float) -> dict[str, object]:
    # Longer than any task may last, or the message is handed to a second worker meanwhile.
    visibility = max(120, round(4 * lease))
    match urlsplit(url).scheme:
        case "redis" | "rediss":
            return {
                "socket_connect_timeout": 5,
                "socket_timeout": 10,
            }
        case "amqp" | "amqps":
            return {"confirm_publish": True}
        case _:
            return {
                "visibility_timeout": visibility,
                "polling_interval": 0.05,
                # A read that waits is a transaction that waits: it would hold back vacuum.
                "wait_time_seconds": 0,
                "use_notify": True,
                "init_extension": False,
                "pool_size": 2,
                "pool_timeout": 5,
                # Without it the pgmq client prefers a DATABASE_URL that it finds.
                "conn_string": _conninfo(url),
            }


def _conninfo(url: str) -> str:
    parts = urlsplit(url)
    return make_conninfo(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 5432,
        dbname=parts.path.lstrip("/") or "postgres",
        user=unquote(parts.username or "postgres"),
        password=unquote(parts.password or ""),
    )


# Without Celery's own ties to Django, which close the database's line around each task.
app = Celery("steadyhand", fixups=[], include=["actions.tasks"])
# The current app is a thread's own; the keeper's bell rings in another.
app.set_default()
app.conf.update(configuration(settings.BROKER_URL, settings.LEASE_SECONDS))


def leave_logging(**_: object) -> None:
    """Logging is as `settings.LOGGING` says: with a receiver here, Celery leaves it alone."""


def ask_to_end(**_: object) -> None:
    """Have a pool child asked to end when its parent is gone, where Celery has it killed.

    To the kernel the parent is the thread that made it, and in a warm shutdown the one that
    replaces children is the first to end: what they have in hand would be cut off.
    """
    die_with_parent()


signals.setup_logging.connect(leave_logging)
signals.worker_process_init.connect(ask_to_end)
