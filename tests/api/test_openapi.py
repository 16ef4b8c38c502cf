"""The API as its description tells it: a change of it is seen, and made on purpose.

After a change on purpose: `UPDATE_SNAPSHOT=1 .venv/bin/python -m pytest tests/api/test_openapi.py`.
"""

import json
import os
from pathlib import Path

import httpx2 as httpx

from tests.console_process import Api, Console

SNAPSHOT = Path(__file__).with_name("openapi.json")


def test_the_description_is_the_one_that_was_agreed_on(console: Console) -> None:
    told = httpx.get(f"{console.url}/api/v1/openapi.json").json()
    if os.environ.get("UPDATE_SNAPSHOT"):
        SNAPSHOT.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")
    assert told == json.loads(SNAPSHOT.read_text())


def test_the_calls_of_the_contract_are_there(console: Console) -> None:
    paths = httpx.get(f"{console.url}/api/v1/openapi.json").json()["paths"]
    calls = {
        (method, path.removeprefix("/api/v1")) for path, ops in paths.items() for method in ops
    }
    assert {
        ("get", "/actions"),
        ("get", "/actions/{action}"),
        ("post", "/drafts"),
        ("post", "/operations"),
        ("get", "/operations"),
        ("get", "/operations/{ref}"),
        ("get", "/requests/{key}"),
        ("get", "/subjects"),
        ("post", "/incidents"),
        ("get", "/incidents"),
        ("get", "/lists/{name}.txt"),
    } <= calls


def test_a_draft_over_the_api_is_confirmed_under_its_own_id(runbook: Api, network: str) -> None:
    body = {
        "action": "ban-network",
        "subject": {"kind": "network", "name": network},
        "params": {"for": "24h"},
        "reason": "playbook",
    }
    draft = runbook.http.post("/api/v1/drafts", json=body).json()
    assert draft["would_be"] == "created"
    assert draft["changed"] is False
    assert runbook.get("/subjects", kind="network", name=network).json()["lanes"] == []
    made = runbook.http.post(
        "/api/v1/operations",
        json={"draft": draft["draft"]},
        headers={"Idempotency-Key": draft["draft"]},
    )
    assert (made.status_code, made.json()["disposition"]) == (201, "created")
