"""What follows from a request key alone: pure, and judged before anything else (contract §4)."""

from __future__ import annotations

from datetime import timedelta

from actions import keys
from actions.ask import Ask, Decision, done_by
from actions.errors import ParamsRefused
from actions.standing import Facts, KeySeen, Standing, intent_of

KEY_CLOSES_AFTER = timedelta(hours=24)


def by_key(ask: Ask, seen: Standing, fingerprint: bytes) -> Decision | None:
    """What follows from the request key alone, before what was asked is even read again."""
    key, told = seen.key, seen.keyed
    if key is None:
        return None
    if key.rules != keys.RULES or key.fingerprint != fingerprint:
        return _key_reused(told)
    if told is not None:
        exact = _exact_under(ask, seen, key, told)
        by = done_by(told)
        return Decision("existing", "same_key", by, 200, told, exact=exact, replayed=True)
    if seen.now - key.first_seen_at < KEY_CLOSES_AFTER:
        return None
    return Decision(
        "stale",
        "key_closed",
        "This key was first used more than 24 hours ago and led to nothing. "
        "Nothing changed. Ask again under a new key.",
        412,
    )


def _exact_under(ask: Ask, seen: Standing, key: KeySeen, told: Facts) -> bool:
    """Whether what the key led to has the very end that was asked for when the key first came."""
    asked_at = ask.draft.created_at if ask.draft else key.first_seen_at
    own = told.get("requested_by_id") == str(seen.caller_id)
    try:
        asked, stands = ask.action.resolve(ask.params, asked_at), intent_of(told)
    except ParamsRefused:  # it was judged later than it first came, and made sense then
        return own
    if asked.until == stands.until:
        return True
    # A length was made an end a moment before the key was written down, by whoever made it.
    return own and asked.span is not None and asked.span == stands.span


def _key_reused(told: Facts | None) -> Decision:
    what = f" It made {told['ref']}." if told else ""
    return Decision(
        "key_reused",
        "key_reused",
        f"This key was used before, for something else.{what} Nothing changed. "
        "Send what you want now under a new key.",
        422,
        told,
    )
