"""The WSGI door: pages go through all middleware, the API through what it needs."""

import os

import django
from django.core.handlers.wsgi import WSGIHandler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
django.setup(set_prefix=False)

from console import hop  # noqa: E402 - needs the settings
from console.admission import Admission  # noqa: E402
from console.api.handler import ApiHandler  # noqa: E402
from console.views.overload import away  # noqa: E402

pages, api = WSGIHandler(), ApiHandler()


def _by_address(environ, start_response):  # type: ignore[no-untyped-def]  # as PEP 3333 has it
    hop.settle(environ)
    door = api if environ.get("PATH_INFO", "").startswith("/api/") else pages
    return door(environ, start_response)


application = Admission(_by_address, away)
