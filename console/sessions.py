"""Sessions of people, over by the database's clock: web servers' own may differ by hours."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.sessions.backends import db
from django.db.models.functions import Now


class SessionStore(db.SessionStore):
    """As Django's in the database, but for whose clock it is that ends a session."""

    def _get_session_from_db(self) -> Any:
        try:
            return self.model.objects.get(session_key=self.session_key, expire_date__gt=Now())
        except self.model.DoesNotExist:
            self._session_key = None
            return None

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        made = super().create_model_instance(data)
        made.expire_date = Now() + timedelta(seconds=self.get_expiry_age())
        return made
