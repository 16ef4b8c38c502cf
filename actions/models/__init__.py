"""The tables, one file per noun."""

from actions.models.approval import Approval, ApprovalRule, BreakGlass
from actions.models.blocklist import BlocklistEntry, Pull
from actions.models.caller import Caller
from actions.models.draft import Draft
from actions.models.effect import Attempt, Effect
from actions.models.entry import CatalogueEntry, EntryGroupGrant, EntryUserGrant
from actions.models.health import RealmHealth
from actions.models.incident import Incident, IncidentEntry, IncidentMember
from actions.models.keeper import EndsHold, Heartbeat
from actions.models.limits import LimitCount, LimitRule, ProtectedSubject, RateCount, Seat
from actions.models.log import LogEvent
from actions.models.notice import (
    Endpoint,
    EndpointSecret,
    Happening,
    Notice,
    NoticeAddress,
    NoticeChoice,
    NoticeMark,
)
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
    "Approval",
    "ApprovalRule",
    "Arrival",
    "Attempt",
    "BlocklistEntry",
    "BreakGlass",
    "Caller",
    "CatalogueEntry",
    "Draft",
    "Effect",
    "Endpoint",
    "EndpointSecret",
    "EndsHold",
    "EntryGroupGrant",
    "EntryUserGrant",
    "Happening",
    "Heartbeat",
    "Incident",
    "IncidentEntry",
    "IncidentMember",
    "LimitCount",
    "LimitRule",
    "LogEvent",
    "MadeValue",
    "Notice",
    "NoticeAddress",
    "NoticeChoice",
    "NoticeMark",
    "Operation",
    "OperationIncident",
    "ProtectedSubject",
    "Pull",
    "RateCount",
    "Reading",
    "Realm",
    "RealmGroupGrant",
    "RealmHealth",
    "RealmSecret",
    "RealmUserGrant",
    "RealmVersion",
    "Request",
    "Seat",
    "Subject",
    "SubjectLabel",
    "Timeline",
]
