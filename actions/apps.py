"""The domain: actions, operations, effects, connectors and the log."""

from django.apps import AppConfig


class ActionsConfig(AppConfig):
    name = "actions"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.conf import settings

        from actions import checks  # noqa: F401 - registers them
        from actions.registry import registry

        registry.load(settings.EXTRA_CONNECTORS)
