"""Mail to a real server that keeps its own ledger: nothing is lost; what may repeat repeats a little."""

from __future__ import annotations

from email.message import Message
from pathlib import Path

import pytest

from actions import hearing, telling
from actions.channels._base import Told
from actions.channels.mail import BadServer, Mail, Server, compose, server_of
from actions.heard import Kind
from actions.outcomes import Applied, Found, Outcome, RetryLater
from actions.tell import CHANNELS
from tests.contracts.inside import Still
from tests.heard.conftest import Heard
from tests.heard.https import papers
from tests.heard.smtp import Ledger, serving

HOME = Server("127.0.0.1", 25, "", "steadyhand@example.test")


def about(still: Still, operation: int, mail: Ledger, who: str = "raj") -> list[Message]:
    """The mails that somebody got about an operation."""
    ref = str(still.value("SELECT ref FROM operation WHERE id = %s", operation))
    return [m for m in mail.mails(f"{who}@example.test") if ref in str(m["Subject"])]


def test_a_mail_says_where_to_look_and_nothing_of_why(
    heard: Heard, still: Still, parked: int, mail: Ledger
) -> None:
    notice = heard.notice(parked, "raj")
    assert heard.tell(notice) == "succeeded"
    (one,) = about(still, parked, mail)
    ref = still.value("SELECT ref FROM operation WHERE id = %s", parked)
    text = one.get_payload()
    assert f"https://console.example.test/operations/{ref}" in text
    assert one["Message-ID"] == f"<notice.{notice}@example.test>"
    assert one["Auto-Submitted"] == "auto-generated"
    assert one["List-Unsubscribe"] == "<https://console.example.test/account/notices>"
    assert one.get_content_type() == "text/plain"
    reason, subject = still.rows(
        "SELECT o.reason, s.name FROM operation o JOIN subject s ON s.id = o.subject_id WHERE o.id = %s",
        parked,
    )[0]
    assert reason not in one.as_string() and subject not in one.as_string()


def test_a_code_goes_to_the_address_and_opens_it(heard: Heard, still: Still, mail: Ledger) -> None:
    with still.acting("web"):
        hearing.give_address(still.caller("sam"), "sam2@example.test")
        with pytest.raises(Exception, match="not the code"):
            hearing.confirm(still.caller("sam"), "")
    notice = still.value(
        "SELECT n.id FROM notice n JOIN happening h ON h.id = n.happening_id"
        " WHERE h.kind = 'address' AND n.person_id = %s ORDER BY h.id DESC LIMIT 1",
        still.caller("sam"),
    )
    assert heard.tell(notice) == "succeeded"
    text = mail.mails("sam2@example.test")[-1].get_payload()
    code = next(line.split()[1] for line in text.splitlines() if line.startswith("Code"))
    with still.acting("web"):
        hearing.confirm(still.caller("sam"), code)
        assert hearing.of(still.caller("sam")).confirmed


def test_a_test_is_sent_once_a_minute(heard: Heard, still: Still, mail: Ledger) -> None:
    with still.acting("web"):
        hearing.test(still.caller("li"))
        # At the turn of a minute, a second one may be let through: the third is not.
        said = []
        for _ in range(2):
            try:
                hearing.test(still.caller("li"))
            except hearing.Refusal as refusal:
                said.append(refusal.code)
        assert "too_soon" in said
        with pytest.raises(hearing.Refusal, match="Confirm an address"):
            hearing.test(still.caller("runbook"))
    notice = still.value(
        "SELECT n.id FROM notice n JOIN happening h ON h.id = n.happening_id"
        " WHERE h.kind = 'test' AND n.person_id = %s ORDER BY h.id LIMIT 1",
        still.caller("li"),
    )
    assert heard.tell(notice) == "succeeded"
    assert "A test" in str(mail.mails("li@example.test")[-1]["Subject"])


# The server's moods.
def test_an_answer_that_is_lost_makes_a_repeat_that_can_be_told_and_three_are_enough(
    heard: Heard, still: Still, parked: int, mail: Ledger
) -> None:
    notice = heard.notice(parked, "raj")
    mail.tell("drop", "drop", "drop")
    assert heard.tell(notice) == "in_doubt"
    before = heard.row(notice)
    assert before["run_at"] - before["began_at"] > telling.timedelta(seconds=25)
    assert heard.tell(notice) == "in_doubt"
    assert heard.tell(notice) == "failed"
    row = heard.row(notice)
    assert (row["calls"], row["doubts"]) == (3, 3)
    assert "It may have arrived" in row["message"]
    mails = about(still, parked, mail)
    assert len(mails) == 3
    assert len({m["Message-ID"] for m in mails}) == 1
    assert len({m["Date"] for m in mails}) == 1
    assert heard.tell(notice) == "failed"
    assert len(about(still, parked, mail)) == 3


@pytest.mark.parametrize("word", ["4xx", "rcpt-4xx", "refuse"])
def test_what_is_not_taken_now_is_sent_again_and_arrives_once(
    heard: Heard, still: Still, parked: int, mail: Ledger, word: str
) -> None:
    notice = heard.notice(parked, "raj")
    mail.tell(word, word)
    assert heard.tell(notice) == "ready"
    assert heard.tell(notice) == "ready"
    assert heard.tell(notice) == "succeeded"
    assert len(about(still, parked, mail)) == 1
    assert heard.row(notice)["calls"] == (3 if word == "4xx" else 1)


@pytest.mark.parametrize("word", ["5xx", "rcpt-5xx"])
def test_what_is_refused_for_good_is_given_up_and_shown_to_admins(
    heard: Heard, still: Still, parked: int, mail: Ledger, word: str
) -> None:
    notice = heard.notice(parked, "raj")
    mail.tell(word)
    assert heard.tell(notice) == "failed"
    ref = still.value("SELECT ref FROM operation WHERE id = %s", parked)
    with still.acting("web"):
        (one,) = [lost for lost in hearing.lost() if (lost.ref, lost.to) == (ref, "raj")]
        assert hearing.trouble().lost > 0
    assert one.why.startswith("The mail server refuses the ")
    assert one.channel == "email"


def test_a_server_that_hangs_is_left_in_time(
    heard: Heard, still: Still, parked: int, mail: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actions.channels.mail.CALL_SECONDS", 2.0)
    notice = heard.notice(parked, "raj")
    mail.tell("hang")
    assert heard.tell(notice) == "in_doubt"
    assert "gave no answer" in heard.row(notice)["message"]
    assert heard.tell(notice) == "succeeded"
    assert len({m["Message-ID"] for m in about(still, parked, mail)}) == 1


def test_while_the_server_is_away_nothing_is_lost_and_admins_see_it(
    heard: Heard, still: Still, parked: int, mail: Ledger
) -> None:
    port, notice = mail.port, heard.notice(parked, "raj")
    mail.stop()
    try:
        for _ in range(5):
            assert heard.tell(notice) == "ready"
        row = heard.row(notice)
        assert (row["tries"], row["calls"]) == (5, 0)
        assert "ConnectionRefusedError" in row["message"]
        with still.database() as at:
            guard = "notice_content_never_changes"
            at.execute(f"ALTER TABLE notice DISABLE TRIGGER {guard}")
            at.execute(
                "UPDATE notice SET made_at = now() - interval '11 minutes' WHERE id = %s", [notice]
            )
            at.execute(f"ALTER TABLE notice ENABLE ALWAYS TRIGGER {guard}")
        with still.acting("web"):
            assert hearing.trouble().late >= 1
            assert "ConnectionRefusedError" in {w.channel: w.why for w in hearing.late()}["email"]
    finally:
        mail.start(port)
    assert heard.tell(notice) == "succeeded"
    assert len(about(still, parked, mail)) == 1


def test_what_is_not_taken_for_a_day_is_given_up(
    heard: Heard, still: Still, parked: int, mail: Ledger
) -> None:
    notice = heard.notice(parked, "raj")
    with still.database() as at:
        guard = "notice_content_never_changes"
        at.execute(f"ALTER TABLE notice DISABLE TRIGGER {guard}")
        at.execute("UPDATE notice SET made_at = now() - interval '25 h' WHERE id = %s", [notice])
        at.execute(f"ALTER TABLE notice ENABLE ALWAYS TRIGGER {guard}")
    mail.tell("4xx")
    assert heard.tell(notice) == "failed"
    assert heard.row(notice)["message"].endswith("Given up after a day.")


# Processes die.
@pytest.mark.parametrize(
    ("point", "came_to", "mails"),
    [("tell.claimed", "ready", 1), ("tell.begun", "in_doubt", 1), ("tell.sent", "in_doubt", 2)],
)
def test_a_process_that_is_killed_midway_loses_no_notice(
    heard: Heard, still: Still, parked: int, mail: Ledger, point: str, came_to: str, mails: int
) -> None:
    notice = heard.notice(parked, "raj")
    env = {"EMAIL_URL": mail.url, "EMAIL_FROM": "steadyhand@example.test"}
    assert heard.tell_in_a_process(notice, CRASH_AT=point, **env) == -9
    assert heard.state(notice) == "executing"
    assert heard.end_lease(notice) == came_to
    assert heard.tell_in_a_process(notice, **env) == 0
    assert heard.state(notice) == "succeeded"
    # Killed after the server took it, the mail comes twice: the same, by its Message-ID.
    got = about(still, parked, mail)
    assert len(got) == mails
    assert len({m["Message-ID"] for m in got}) == 1


def test_two_keepers_do_not_tell_it_both(
    heard: Heard, still: Still, parked: int, mail: Ledger
) -> None:
    notice = heard.notice(parked, "raj")
    heard.hurry(notice)
    with still.acting("worker"):
        held = telling.claim(notice)
        assert held is not None
        assert telling.claim(notice) is None
        assert notice not in {one.id for one in telling.due(1000, 1000)}
    assert heard.end_lease(notice) == "ready"
    with still.acting("worker"):
        # The first comes back late: it neither sends, nor says anything about what another holds now.
        with pytest.raises(telling.NotHeld):
            telling.begin(held)
        heard.hurry(notice)
        other = telling.claim(notice)
        assert other is not None
        assert not telling.settle(held, RetryLater("late"), CHANNELS["email"])
        with pytest.raises(telling.NotHeld):
            telling.begin(held)
        telling.begin(other)
    assert heard.state(notice) == "executing"


def test_a_late_word_that_it_was_taken_ends_the_doubt(
    heard: Heard, still: Still, parked: int
) -> None:
    notice = heard.notice(parked, "raj")
    heard.hurry(notice)
    with still.acting("worker"):
        held = telling.claim(notice)
        assert held is not None
        telling.begin(held)
    assert heard.end_lease(notice) == "in_doubt"
    with still.acting("worker"):
        assert not telling.settle(held, RetryLater("late"), CHANNELS["email"])
        assert heard.state(notice) == "in_doubt"
        assert telling.settle(held, Applied(Found.CHANGED), CHANNELS["email"])
    assert heard.state(notice) == "succeeded"


# What cannot be smuggled in.
@pytest.mark.parametrize(
    "change",
    [{"heading": "x\r\nBcc: eve@example.test"}, {"heading": "x\nBcc: eve@example.test"},
     {"settings_url": "https://x/>\r\nBcc: eve@example.test"}],
)  # fmt: skip
def test_a_line_end_in_a_header_is_refused(still: Still, change: dict[str, str]) -> None:
    given = {"id": "1", "kind": Kind.PARKED, "heading": "x", "text": "x", "url": "x", **change}
    told = Told(at=still.value("SELECT now()"), **given)
    with pytest.raises(ValueError):
        compose(told, "ana@example.test", HOME)
    with pytest.raises(ValueError):
        compose(
            Told(at=told.at, **{**given, "heading": "x"}), "ana@example.test\r\nBcc: e@x.y", HOME
        )


@pytest.mark.parametrize(
    ("url", "sender", "file", "why"),
    [
        ("smtp://mail.example.test", "a@example.test", "", "in the clear"),
        ("smtps://u:secret@mail.example.test", "a@example.test", "x", "holds a password"),
        ("smtps://u@mail.example.test", "a@example.test", "", "go together"),
        ("smtps://mail.example.test", "", "", "EMAIL_FROM"),
        ("smtps://mail.example.test", "a@example.test>\n", "", "EMAIL_FROM"),
        ("https://mail.example.test", "a@example.test", "", "EMAIL_URL is"),
    ],
)
def test_a_mail_server_that_nobody_should_use_is_refused(
    url: str, sender: str, file: str, why: str
) -> None:
    with pytest.raises(BadServer, match=why) as told:
        server_of(url, sender, file, "")
    assert "secret" not in str(told.value)


def test_a_mail_server_is_named_by_its_url() -> None:
    said = server_of("smtp+starttls://ana%40x@mail.example.test", "a@example.test", "/run/p", "")
    assert (said.port, said.tls, said.user) == (587, "starttls", "ana@x")
    assert server_of("smtps://mail.example.test:4650", "a@example.test", "", "").port == 4650


# In private, to a server that is who it says.
@pytest.mark.parametrize("tls", ["smtps", "starttls"])
def test_a_mail_goes_in_private_after_signing_in_to_the_server_that_it_is_for(
    tmp_path: Path, still: Still, tls: str
) -> None:
    made, password = papers(tmp_path, "localhost"), tmp_path / "password"
    env = {"SMTP_TLS": tls, "SMTP_CERT": str(made.server), "SMTP_PASSWORD": "right"}
    told = Told("1", Kind.TEST, still.value("SELECT now()"), "A test", "A test.", "https://x/")
    begun: list[int] = []
    with serving(**env) as ledger:
        scheme = {"starttls": "smtp+starttls"}.get(tls, tls)
        url, sender = f"{scheme}://ana@localhost:{ledger.port}", "steadyhand@example.test"

        def send(ca: str) -> Outcome:
            server = server_of(url, sender, str(password), ca)
            return Mail(server, "raj@example.test").send(told, lambda: begun.append(1))

        password.write_text("wrong\n")
        said = send(str(made.ca))
        assert isinstance(said, RetryLater) and "refuses our login" in said.message
        password.write_text("right\n")
        assert "SSLCertVerificationError" in getattr(send(""), "message", "")
        assert (begun, ledger.taken()) == ([], [])
        assert isinstance(send(str(made.ca)), Applied)
        assert (len(begun), len(ledger.mails("raj@example.test"))) == (1, 1)


def test_a_server_that_offers_no_privacy_where_it_is_asked_for_gets_no_mail(
    mail: Ledger, still: Still
) -> None:
    server = server_of(f"smtp+starttls://127.0.0.1:{mail.port}", "a@example.test", "", "")
    told = Told("1", Kind.TEST, still.value("SELECT now()"), "A test", "A test.", "https://x/")
    said = Mail(server, "private@example.test").send(told, lambda: None)
    assert isinstance(said, RetryLater)
    assert mail.mails("private@example.test") == []
