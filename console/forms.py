"""A form from an action's parameters: what was typed becomes exactly what the API would be sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from django import forms

from actions import sight
from actions.catalogue._base import Action
from actions.models import Incident

_LENGTHS = (
    ("1h", "1 hour"),
    ("4h", "4 hours"),
    ("24h", "24 hours"),
    ("7d", "7 days"),
    ("none", "No end"),
    ("other", "Other, below"),
)
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d)(:\d\d)?( ?UTC|Z)?", re.ASCII)


class ParamFields(Protocol):
    """The fields of one kind of parameter, and both ways between them and what the API takes."""

    @staticmethod
    def fields() -> dict[str, forms.Field]: ...
    @staticmethod
    def params(cleaned: Mapping[str, Any]) -> dict[str, object]: ...
    @staticmethod
    def initial(params: Mapping[str, Any]) -> dict[str, object]:
        """What the fields held when they gave `params`."""
        ...

    @staticmethod
    def field_of(name: str) -> str: ...


class EndFields:
    """The parameter kind `end`: `for` or `until`, chosen or typed."""

    @staticmethod
    def fields() -> dict[str, forms.Field]:
        return {
            "length": forms.ChoiceField(
                label="For how long", choices=_LENGTHS, initial="24h", widget=forms.RadioSelect
            ),
            "other": forms.CharField(
                label="Other length, or until when in UTC",
                help_text="Such as 45m, 36h, 10d, or 2026-11-25 02:14.",
                required=False,
                max_length=40,
            ),
        }

    @staticmethod
    def params(cleaned: Mapping[str, Any]) -> dict[str, object]:
        length, other = cleaned["length"], (cleaned.get("other") or "").strip()
        if length == "none":
            return {"until": None}
        if length != "other":
            return {"for": length}
        if match := _MOMENT.fullmatch(other):
            return {"until": f"{match[1]}T{match[2]}{match[3] or ':00'}Z"}
        return {"for": other}

    @staticmethod
    def initial(params: Mapping[str, Any]) -> dict[str, object]:
        if "until" in params:
            until = params["until"]
            return {"length": "other", "other": _typed(until)} if until else {"length": "none"}
        length = params.get("for", "")
        if length in dict(_LENGTHS):
            return {"length": length}
        return {"length": "other", "other": length}

    @staticmethod
    def field_of(name: str) -> str:
        return "other"


def _typed(until: str) -> str:
    """A moment as the form takes it: in UTC, in whole seconds, never an earlier one."""
    at = datetime.fromisoformat(until.upper()).astimezone(UTC)
    if at.microsecond:
        at = at.replace(microsecond=0) + timedelta(seconds=1)
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


class MomentFields:
    """The parameter kind `moment`: one that has passed; left empty, it is now."""

    @staticmethod
    def fields() -> dict[str, forms.Field]:
        return {
            "before": forms.CharField(
                label="Opened before, in UTC",
                help_text="Such as 2026-11-25 02:14. Left empty: now.",
                required=False,
                max_length=40,
            )
        }

    @staticmethod
    def params(cleaned: Mapping[str, Any]) -> dict[str, object]:
        typed = (cleaned.get("before") or "").strip()
        if not typed:
            return {}
        match = _MOMENT.fullmatch(typed)
        return {"before": f"{match[1]}T{match[2]}{match[3] or ':00'}Z" if match else typed}

    @staticmethod
    def initial(params: Mapping[str, Any]) -> dict[str, object]:
        return {"before": _typed(params["before"])} if "before" in params else {}

    @staticmethod
    def field_of(name: str) -> str:
        return "before"


class LengthFields:
    """The parameter kind `length`: how long something overlaps what it follows."""

    @staticmethod
    def fields() -> dict[str, forms.Field]:
        return {
            "overlap": forms.CharField(
                label="How long the old value stays valid beside the new one",
                help_text="Such as 15m or 2h, at most 12h; 0m for not at all.",
                initial="15m",
                required=False,
                max_length=40,
            )
        }

    @staticmethod
    def params(cleaned: Mapping[str, Any]) -> dict[str, object]:
        typed = (cleaned.get("overlap") or "").strip()
        return {"overlap": typed} if typed else {}

    @staticmethod
    def initial(params: Mapping[str, Any]) -> dict[str, object]:
        return {"overlap": params.get("overlap", "")}

    @staticmethod
    def field_of(name: str) -> str:
        return "overlap"


class YesFields:
    """The parameter kind `yes`: something that is done only where it is ticked."""

    @staticmethod
    def fields() -> dict[str, forms.Field]:
        return {
            "also_not_ours": forms.BooleanField(
                label="Restore it also where it was not we who suspended it",
                help_text="An account that was disabled before us stays so unless you tick this.",
                required=False,
            )
        }

    @staticmethod
    def params(cleaned: Mapping[str, Any]) -> dict[str, object]:
        return {"also_not_ours": True} if cleaned.get("also_not_ours") else {}

    @staticmethod
    def initial(params: Mapping[str, Any]) -> dict[str, object]:
        return {"also_not_ours": bool(params.get("also_not_ours"))}

    @staticmethod
    def field_of(name: str) -> str:
        return "also_not_ours"


KINDS: dict[str, type[ParamFields]] = {
    "end": EndFields,
    "moment": MomentFields,
    "length": LengthFields,
    "yes": YesFields,
}


class AskForm(forms.Form):
    """What to act on, the action's own parameters, why, and because of which incident."""

    use_required_attribute = False

    def __init__(self, action: Action, viewer: UUID, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.action = action
        self.fields["subject"] = forms.CharField(
            label=action.kind.capitalize(),
            help_text=_SUBJECT_HELP.get(action.kind, ""),
            max_length=200,
            strip=True,
        )
        for kind in self._kinds():
            self.fields |= KINDS[kind].fields()
        self.fields["reason"] = forms.CharField(
            label="Reason",
            help_text="Kept for ever; auditors read it.",
            max_length=2000,
            widget=forms.Textarea(attrs={"rows": 2}),
        )
        self.fields["incident"] = forms.ChoiceField(
            label="Incident", choices=incident_choices(viewer), required=False
        )
        self.fields["again"] = forms.IntegerField(
            required=False, min_value=0, max_value=2**31 - 1, widget=forms.HiddenInput
        )

    def _kinds(self) -> list[str]:
        return _kinds(self.action)

    def params(self) -> dict[str, object]:
        """The action's parameters, as the API takes them."""
        return {
            name: value
            for kind in self._kinds()
            for name, value in KINDS[kind].params(self.cleaned_data).items()
        }

    def field_of(self, param: str) -> str | None:
        """The form's field in which the parameter `param` is typed."""
        for known in self.action.params:
            if known.name == param:
                return KINDS[known.kind].field_of(param)
        return None


def _kinds(action: Action) -> list[str]:
    return sorted({param.kind for param in action.params})


def filled_in(action: Action, params: Mapping[str, Any]) -> dict[str, object]:
    """What the fields of the action's own parameters hold when they stand for `params`."""
    return {
        name: value
        for kind in _kinds(action)
        for name, value in KINDS[kind].initial(params).items()
    }


_SUBJECT_HELP = {
    "network": "One address or a range, such as 203.0.113.7 or 203.0.113.0/24.",
    "account": "The realm, a colon and the name there, such as payments-db:alice. "
    "The next page shows whose name that is now.",
    "secret": "The realm, a colon and the slot there, such as payments-db:app_rw.",
}


def incident_choices(viewer: UUID) -> list[tuple[str, str]]:
    """None, and every incident that is open and that the viewer sees."""
    open_ones = Incident.objects.filter(sight.filtered(viewer, "id"), state=Incident.State.OPEN)
    found = open_ones.order_by("-opened_at", "-number")[:100]
    return [("", "None"), *((i.ref, f"{i.ref} {i.title}") for i in found)]
