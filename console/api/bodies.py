"""What the API reads: the bodies of requests, strictly."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from actions.errors import ParamsRefused, Refusal
from console.api import strict

Generation = Annotated[int, Field(ge=0, le=2**31 - 1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SubjectIn(_Strict):
    kind: str
    # Anything: what is no name is refused in words by actions.subjects, not as a type error.
    name: Any


class OperationIn(_Strict):
    """What may be asked for: an action on a subject, or a draft."""

    action: str | None = None
    subject: SubjectIn | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    reason: str | None = Field(default=None, max_length=2000)
    incident: str | None = Field(default=None, max_length=20)
    seen: Generation | None = None
    again: bool = False
    draft: str | None = Field(default=None, max_length=64)
    confirm: str = Field(default="", max_length=80)


class NothingIn(_Strict):
    """Nothing: the address says it all."""


class UndoIn(_Strict):
    """Why it is undone, and what to do where nobody knows whether we changed anything."""

    reason: str | None = Field(default=None, max_length=2000)
    incident: str | None = Field(default=None, max_length=20)
    not_known: Literal["include", "leave"] | None = None
    confirm: str = Field(default="", max_length=80)


class KeepIn(_Strict):
    """The last link of the chain that GET hands out, which shows that this came by a new connection."""

    proof: str = Field(default="", max_length=400)


class DecisionIn(_Strict):
    """What a person found: it is in place, it is not, or it is to be tried again; and why."""

    to: Literal["succeeded", "failed", "ready"]
    reason: str | None = Field(default=None, max_length=2000)


class ApprovalIn(_Strict):
    """Why, and the digest of the plan that was looked at."""

    reason: str | None = Field(default=None, max_length=2000)
    digest: str | None = Field(default=None, max_length=64)


def read[M: BaseModel](request: HttpRequest, model: type[M]) -> M:
    """The body as `model`. Raises BadJSON, ParamsRefused `bad_body`, Refusal `bad_content_type`."""
    if request.content_type != "application/json":
        raise Refusal(
            "bad_content_type",
            "Send the body as application/json. Nothing changed.",
            {"status": 415},
        )
    try:
        return model.model_validate(strict.loads(_body(request)))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part)[:40] for part in first["loc"]) or "the body"
        raise ParamsRefused(
            "bad_body", f"{field}: {first['msg']}. Nothing changed.", {"field": field}
        ) from None


def _body(request: HttpRequest) -> bytes:
    try:
        return request.body
    except RequestDataTooBig:
        raise strict.too_large() from None
