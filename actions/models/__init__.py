"""The tables, one file per noun."""

from actions.models.blocklist import BlocklistEntry, Pull
from actions.models.caller import Caller
from actions.models.draft import Draft
from actions.models.effect import Attempt, Effect
from actions.models.entry import CatalogueEntry, EntryGroupGrant, EntryUserGrant
from actions.models.incident import Incident
from actions.models.keeper import EndsHold, Heartbeat
from actions.models.log import LogEvent
from actions.models.operation import Operation, OperationIncident
from actions.models.reading import Reading
from actions.models.realm import (
    Realm,
    RealmGroupGrant,
    RealmSecret,
    RealmUserGrant,
    RealmVersion,
)
from actions.models.request import Arrival, Request
from actions.models.subject import Subject, SubjectLabel
from actions.models.timeline import Timeline
from actions.models.token import ApiToken
from actions.models.value import MadeValue

__all__ = [
    "ApiToken",
    "Arrival",
    "Attempt",
    "BlocklistEntry",
    "Caller",
    "CatalogueEntry",
    "Draft",
    "Effect",
    "EndsHold",
    "EntryGroupGrant",
    "EntryUserGrant",
    "Heartbeat",
    "Incident",
    "LogEvent",
    "MadeValue",
    "Operation",
    "OperationIncident",
    "Pull",
    "Reading",
    "Realm",
    "RealmGroupGrant",
    "RealmSecret",
    "RealmUserGrant",
    "RealmVersion",
    "Request",
    "Subject",
    "SubjectLabel",
    "Timeline",
]
