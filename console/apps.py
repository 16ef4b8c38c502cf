"""The doors: pages, API and commands."""

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "console"
