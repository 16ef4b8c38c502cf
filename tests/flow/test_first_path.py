"""The first whole path: a request becomes an effect on a real list, once."""

from collections.abc import Callable

from tests.console_process import Api


def test_a_ban_reaches_the_list_and_a_lift_takes_it_off(runbook: Api, network: str) -> None:
    made = runbook.ban(network, wait=10).json()
    assert (made["disposition"], made["operation"]["state"]) == ("created", "succeeded")
    assert made["in_force"] == "yes"
    assert network in runbook.listed()

    lifted = runbook.lift(network, wait=10).json()
    assert (lifted["disposition"], lifted["operation"]["generation"]) == ("created", 2)
    assert network not in runbook.listed()


def test_a_short_ban_ends_by_itself(runbook: Api, network: str) -> None:
    from tests.console_process import eventually

    made = runbook.ban(network, "2s", wait=10).json()
    assert network in runbook.listed()
    eventually(lambda: network not in runbook.listed(), what="the ban ends")
    lanes = runbook.get("/subjects", kind="network", name=network).json()["lanes"]
    newest = lanes[0]["operations"][0]
    assert newest["because"] == "end of @1"
    assert made["operation"]["ref"] != newest["ref"]


def test_an_old_key_after_a_lift_says_not_in_force(
    runbook: Api, fresh_network: Callable[[], str]
) -> None:
    name = fresh_network()
    runbook.ban(name, key="k" * 20 + name, wait=10)
    runbook.lift(name, wait=10)
    again = runbook.ban(name, key="k" * 20 + name)
    assert again.status_code == 200
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json()["in_force"] == "no"
    assert again.json()["superseded_by"]["action"] == "lift-ban"
