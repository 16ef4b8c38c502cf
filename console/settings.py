"""The console's settings: one file, from the environment, with defaults that are safe."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import environ  # type: ignore[import-untyped]
from django.core.exceptions import ImproperlyConfigured
from django.utils.csp import CSP

from console import limits

env = environ.Env()
BASE = Path(__file__).resolve().parent.parent
HOME = Path(env.str("STEADYHAND_HOME", default=str(BASE / "var"))).absolute()

ROLE = env.str("STEADYHAND_ROLE", default="web")
"""Which database role this process runs as: owner, web, worker or auditor."""


def _state(name: str) -> dict[str, object]:
    try:
        return dict(json.loads((HOME / name).read_text()))
    except FileNotFoundError:
        return {}


def _secret_key() -> str:
    if key := env.str("SECRET_KEY", default=""):
        return str(key)
    key_file = HOME / "secret_key"
    if key_file.exists():
        return key_file.read_text().strip()
    # Commands that touch neither sessions nor pages (checks, migrations) run without a home.
    return "unset-" + os.urandom(32).hex()


def _database() -> dict[str, Any]:
    urls = _state("database.json")
    url = env.str("DATABASE_URL", default="") if ROLE == "owner" else ""
    url = url or str(urls.get(ROLE, "")) or env.str("DATABASE_URL", default="")
    settings: dict[str, Any] = environ.Env.db_url_config(
        url or "postgresql://nobody@127.0.0.1:1/none"
    )
    # The owner's commands and migrations may take as long as they need.
    settings["ENGINE"] = (
        "django.db.backends.postgresql" if ROLE == "owner" else "console.postgresql"
    )
    settings["CONN_MAX_AGE"] = None
    # A page looks whether its line still stands; issuing does not, for it tries again by itself.
    settings["CONN_HEALTH_CHECKS"] = True
    given = dict(
        settings.get("OPTIONS", {})
    )  # of the URL, such as how the server must prove itself
    in_time = limits.as_options(limits.SETTING_UP if ROLE == "owner" else limits.AT_WORK)
    settings["OPTIONS"] = {
        **given,
        **limits.LINE,
        "application_name": f"steadyhand {ROLE}",
        # Only what asks for it is prepared: the plan of a page's query, made while a table was
        # small, would be kept while thousands of rows come in.
        "prepare_threshold": 2**31 - 1,
        "server_side_binding": True,
        "options": f"{given.get('options', '')} {in_time}".strip(),
    }
    return settings


def _broker() -> str:
    """The broker's URL, for keepers and workers alone; empty when there is none."""
    if ROLE != "worker":
        return ""
    url = env.str("BROKER_URL", default="") or str(_state("broker.json").get("url", ""))
    return "" if url == "none" else url


if ROLE not in {"owner", "web", "worker", "auditor"}:
    raise ImproperlyConfigured("STEADYHAND_ROLE is one of owner, web, worker, auditor.")

SECRET_KEY = _secret_key()
DEBUG = False
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
HTTPS = env.bool("HTTPS", default=False)
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "actions",
    "console",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_htmx",
    "guardian",
]
MIDDLEWARE = [
    "console.api.errors.ProblemsOnly",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "console.urls"
WSGI_APPLICATION = "console.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE / "templates"],
        "APP_DIRS": False,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "console.access.page_context",
            ],
            "builtins": ["django.templatetags.static", "console.templatetags.console"],
            "libraries": {"console": "console.templatetags.console"},
        },
    }
]
DATABASES = {"default": _database()}
BROKER_URL = _broker()
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "actions.Caller"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
ANONYMOUS_USER_NAME = None
GUARDIAN_MONKEY_PATCH_USER = False
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "board"
LOGOUT_REDIRECT_URL = "sign-in"

# ASVS 7.3.1-2: 8 hours at most, whatever happens.
SESSION_COOKIE_AGE = 8 * 3600
SESSION_ENGINE = "console.sessions"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = HTTPS
SESSION_COOKIE_NAME = "__Host-steadyhand" if HTTPS else "steadyhand"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Strict"
CSRF_COOKIE_SECURE = HTTPS
CSRF_FAILURE_VIEW = "console.views.errors.csrf_failed"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
X_FRAME_OPTIONS = "DENY"
SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF],
    "img-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "base-uri": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 100

STATIC_URL = "static/"
STATICFILES_DIRS: list[Path] = []
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
WHITENOISE_MAX_AGE = 3600

LANGUAGE_CODE = "en"
USE_I18N = False
TIME_ZONE = "UTC"
USE_TZ = True

# How long a worker or keeper may hold an effect; longer than any call may take.
LEASE_SECONDS = env.float("LEASE_SECONDS", default=30.0)

# Modules that hold connectors, beside our own and those that other packages name as entry points.
EXTRA_CONNECTORS = env.list("STEADYHAND_CONNECTORS", default=[])

# Numbered checks that somebody chose to do without, such as the tests with leases of a second.
SILENCED_SYSTEM_CHECKS = env.list("SILENCED_SYSTEM_CHECKS", default=[])

# Whether every commit waits for a standby, so that no failover can lose one. Else nothing is sent after a
# failover until `manage.py recovered` says how much may be missing (docs/after-a-failover.md).
FAILOVER_LOSES_NOTHING = env.bool("FAILOVER_LOSES_NOTHING", default=False)

# How many effects a keeper delivers at once, where no worker does.
KEEPER_HANDS = env.int("KEEPER_HANDS", default=4)

# The proxy that is believed, by its own network, when it says who is behind it: the last hop alone.
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[])

# Ceilings and rates to set at each start, such as person=500/3600; see `manage.py limit`.
LIMITS = env.str("STEADYHAND_LIMITS", default="")

# Where people find the console: the links of notices begin with it.
PUBLIC_URL = env.str(
    "PUBLIC_URL", default=f"http://127.0.0.1:{env.str('PORT', default='8000')}"
).rstrip("/")

# The mail server, such as smtps://user@mail.example.org, and what may be called of what somebody named by
# URL: nothing, unless it is listed. `actions.doors` reads both.
MAIL = {
    "url": env.str("EMAIL_URL", default=""),
    "sender": env.str("EMAIL_FROM", default=""),
    "password_file": env.str("EMAIL_PASSWORD_FILE", default=""),
    "ca_file": env.str("EMAIL_CA_FILE", default=""),
}
OUTBOUND = {
    "hosts": env.list("OUTBOUND_HOSTS", default=[]),
    "ports": env.list("OUTBOUND_PORTS", default=["443"]),
    "networks": env.list("OUTBOUND_NETWORKS", default=[]),
    "ca_file": env.str("OUTBOUND_CA_FILE", default=""),
}

# Networks that may pull the lists without a token, such as the firewalls'.
LIST_NETWORKS = env.list("LIST_NETWORKS", default=[])

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="WARNING")},
    # The broker's pool tells of every try to connect; who uses it tells of the outage, once.
    "loggers": {"psycopg.pool": {"level": "ERROR"}},
}
