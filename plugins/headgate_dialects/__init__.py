"""The dialect SDK: what a plugin needs to teach Headgate another ingestion API, and the APIs that come with it."""

from headgate_dialects.formats.batch import EventFault, basic_user, faults_of, parse_batch, text_id
from headgate_dialects.formats.document import MAX_EVENTS, keep, name_person, oversize, read
from headgate_dialects.formats.moment import Moment, iso8601, rfc3339, unix
from headgate_dialects.sdk.api import NO_KEYS, ORGANISATION_KEYS, PUBLIC_KEYS, Api, Route
from headgate_dialects.sdk.dialect import Answer, Dialect, Fault, Inbound, Parsed, Unparsable
from headgate_dialects.sdk.hookspecs import ENTRY_POINTS, hookimpl
from headgate_dialects.sdk.refusals import Cause, Refusals, Refused, Row, standard_rows
from headgate_dialects.sdk.rejection import Rejection

__all__ = [
    "ENTRY_POINTS",
    "MAX_EVENTS",
    "NO_KEYS",
    "ORGANISATION_KEYS",
    "PUBLIC_KEYS",
    "Answer",
    "Api",
    "Cause",
    "Dialect",
    "EventFault",
    "Fault",
    "Inbound",
    "Moment",
    "Parsed",
    "Refusals",
    "Refused",
    "Rejection",
    "Route",
    "Row",
    "Unparsable",
    "basic_user",
    "faults_of",
    "hookimpl",
    "iso8601",
    "keep",
    "name_person",
    "oversize",
    "parse_batch",
    "read",
    "rfc3339",
    "standard_rows",
    "text_id",
    "unix",
]
