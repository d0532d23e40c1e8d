"""How a call ends that cannot be done: one table from causes to statuses, which every servicer but ingest's shares.

The status is a google.rpc.Status whose ErrorInfo bears the cause's `reason`, a word that stays the same and is the
`code` of the app API's errors; BadRequest names the fields at fault, RetryInfo says when to ask again.
"""

import functools
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, NoReturn, TypeVar, cast
from urllib.parse import quote

import grpc
from google.protobuf.any_pb2 import Any as AnyDetail
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from headgate.v1 import outcome_pb2
from redis.exceptions import ResponseError

from headgate_service import errors
from headgate_service.errors import (
    ControlDbUnavailable,
    DeadLetterUnknown,
    DirectoryUnavailable,
    InvalidArgument,
    KeyRevoked,
    KeyUnknown,
    LastOwner,
    LogUnreachable,
    MemberUnknown,
    PolicyInvalid,
    ProjectUnknown,
    QueryInvalid,
    QueryOverLimit,
    QueryRefused,
    QueryTimeout,
    RedisUnavailable,
    ReplayUnknown,
    SinkUnknown,
    SlugTaken,
    StoreDown,
    StoreFailed,
    TestUnanswered,
    TooManyQueries,
    TooManyTails,
)
from headgate_service.failure import MAX_TOLD_BYTES, Failure
from headgate_service.ingest.refusal import Refused

DOMAIN = "headgate"
RETRY_SECONDS = 1.0

CAUSES: dict[type[Exception], tuple[int, str]] = {
    InvalidArgument: (code_pb2.INVALID_ARGUMENT, "invalid_argument"),
    errors.MessageInvalid: (code_pb2.INVALID_ARGUMENT, "invalid_message"),
    errors.MessageTooLarge: (code_pb2.INVALID_ARGUMENT, "message_too_large"),
    errors.GatewayTokenInvalid: (code_pb2.PERMISSION_DENIED, "gateway_token_invalid"),
    errors.ContractUnserved: (code_pb2.FAILED_PRECONDITION, "contract_unserved"),
    errors.CredentialMissing: (code_pb2.UNAUTHENTICATED, "credential_missing"),
    errors.CredentialInvalid: (code_pb2.UNAUTHENTICATED, "credential_invalid"),
    errors.LoginFailed: (code_pb2.UNAUTHENTICATED, "login_failed"),
    errors.CliTokenInvalid: (code_pb2.UNAUTHENTICATED, "token_invalid"),
    errors.RoleMissing: (code_pb2.PERMISSION_DENIED, "role_missing"),
    errors.ScopeMissing: (code_pb2.PERMISSION_DENIED, "scope_missing"),
    errors.PersonRequired: (code_pb2.PERMISSION_DENIED, "person_required"),
    errors.SessionRequired: (code_pb2.PERMISSION_DENIED, "session_required"),
    errors.TooManyAttempts: (code_pb2.RESOURCE_EXHAUSTED, "rate_limited"),
    errors.TooManyCalls: (code_pb2.RESOURCE_EXHAUSTED, "rate_limited"),
    errors.LimitReached: (code_pb2.FAILED_PRECONDITION, "limit_reached"),
    errors.HealthNameUnknown: (code_pb2.NOT_FOUND, "health_name_unknown"),
    errors.UserUnknown: (code_pb2.NOT_FOUND, "user_unknown"),
    errors.SessionUnknown: (code_pb2.NOT_FOUND, "session_unknown"),
    errors.EmailTaken: (code_pb2.ALREADY_EXISTS, "email_taken"),
    errors.OrganisationUnknown: (code_pb2.NOT_FOUND, "organisation_unknown"),
    ProjectUnknown: (code_pb2.NOT_FOUND, "project_unknown"),
    SlugTaken: (code_pb2.ALREADY_EXISTS, "slug_taken"),
    KeyUnknown: (code_pb2.NOT_FOUND, "key_unknown"),
    KeyRevoked: (code_pb2.FAILED_PRECONDITION, "key_revoked"),
    PolicyInvalid: (code_pb2.FAILED_PRECONDITION, "config_invalid"),
    errors.DeployUnknown: (code_pb2.NOT_FOUND, "deploy_unknown"),
    errors.SecretKeyMissing: (code_pb2.UNAUTHENTICATED, "secret_key_missing"),
    errors.SecretKeyInvalid: (code_pb2.UNAUTHENTICATED, "secret_key_invalid"),
    errors.SecretKeyForbidden: (code_pb2.PERMISSION_DENIED, "secret_key_forbidden"),
    SinkUnknown: (code_pb2.NOT_FOUND, "sink_unknown"),
    errors.SinkShared: (code_pb2.PERMISSION_DENIED, "sink_shared"),
    DeadLetterUnknown: (code_pb2.NOT_FOUND, "dead_letter_unknown"),
    ReplayUnknown: (code_pb2.NOT_FOUND, "replay_unknown"),
    TestUnanswered: (code_pb2.FAILED_PRECONDITION, "sink_test_unanswered"),
    errors.InvitationUnknown: (code_pb2.NOT_FOUND, "invitation_unknown"),
    errors.SavedQueryUnknown: (code_pb2.NOT_FOUND, "saved_query_unknown"),
    MemberUnknown: (code_pb2.NOT_FOUND, "member_unknown"),
    LastOwner: (code_pb2.FAILED_PRECONDITION, "last_owner"),
    # The two bear words of their own.
    QueryInvalid: (code_pb2.INVALID_ARGUMENT, "invalid_query"),
    QueryOverLimit: (code_pb2.OUT_OF_RANGE, "over_limit"),
    QueryTimeout: (code_pb2.DEADLINE_EXCEEDED, "query_too_slow"),
    TooManyQueries: (code_pb2.RESOURCE_EXHAUSTED, "too_many_queries"),
    StoreDown: (code_pb2.UNAVAILABLE, "store_unavailable"),
    StoreFailed: (code_pb2.UNAVAILABLE, "store_unavailable"),
    TooManyTails: (code_pb2.RESOURCE_EXHAUSTED, "too_many_tails"),
    errors.KeysUnavailable: (code_pb2.UNAVAILABLE, "issuer_unavailable"),
    errors.TooManyStreams: (code_pb2.RESOURCE_EXHAUSTED, "too_many_streams"),
    errors.ConnectionOld: (code_pb2.UNAVAILABLE, "connection_old"),
    errors.ServiceStopping: (code_pb2.UNAVAILABLE, "service_stopping"),
    errors.HashingBusy: (code_pb2.UNAVAILABLE, "busy"),
    ControlDbUnavailable: (code_pb2.UNAVAILABLE, "control_db_unavailable"),
    DirectoryUnavailable: (code_pb2.UNAVAILABLE, "control_db_unavailable"),
    RedisUnavailable: (code_pb2.UNAVAILABLE, "redis_unavailable"),
    ResponseError: (code_pb2.UNAVAILABLE, "redis_unavailable"),
    LogUnreachable: (code_pb2.UNAVAILABLE, "redis_unavailable"),
}
REFUSALS = tuple(CAUSES)

GRPC_STATUS: dict[outcome_pb2.Cause, grpc.StatusCode] = {
    outcome_pb2.CAUSE_CREDENTIAL_MISSING: grpc.StatusCode.UNAUTHENTICATED,
    outcome_pb2.CAUSE_CREDENTIAL_INVALID: grpc.StatusCode.UNAUTHENTICATED,
    outcome_pb2.CAUSE_CREDENTIAL_KIND: grpc.StatusCode.PERMISSION_DENIED,
    outcome_pb2.CAUSE_SCOPE_MISSING: grpc.StatusCode.PERMISSION_DENIED,
    outcome_pb2.CAUSE_PROJECT_FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    outcome_pb2.CAUSE_PROJECT_GONE: grpc.StatusCode.NOT_FOUND,
    outcome_pb2.CAUSE_ORIGIN_FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    outcome_pb2.CAUSE_INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    # RESOURCE_EXHAUSTED is for limits that time lifts; a request that is too large stays so.
    outcome_pb2.CAUSE_TOO_LARGE: grpc.StatusCode.INVALID_ARGUMENT,
    outcome_pb2.CAUSE_IDEMPOTENCY_MISMATCH: grpc.StatusCode.FAILED_PRECONDITION,
    outcome_pb2.CAUSE_RATE_LIMITED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    outcome_pb2.CAUSE_QUOTA_EXCEEDED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    outcome_pb2.CAUSE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}

_QUOTA_SUBJECT = {
    outcome_pb2.CAUSE_RATE_LIMITED: "requests",
    outcome_pb2.CAUSE_QUOTA_EXCEEDED: "events this month",
}

# Of the 16 KiB that all headers together may take; a character takes up to 12 of them.
_MAX_ENCODED, _ENCODED_CHARACTER = 4_800, 12

_MAX_PUSHBACK_MS = 3_600_000

_Context = grpc.aio.ServicerContext[Any, Any]
_Call = TypeVar("_Call", bound=Callable[..., Any])


def answered(call: _Call) -> _Call:
    """Makes a method of a servicer, unary or streaming, end with the status of a cause that it raises."""
    if inspect.isasyncgenfunction(call):

        @functools.wraps(call)
        async def streamed(servicer: Any, request: Any, context: _Context) -> Any:
            try:
                refuse_nulls(request)
                async for response in call(servicer, request, context):
                    yield response
            except REFUSALS as error:
                await abort(context, error)

        return cast(_Call, streamed)

    @functools.wraps(call)
    async def called(servicer: Any, request: Any, context: _Context) -> Any:
        try:
            refuse_nulls(request)
            return await call(servicer, request, context)
        except REFUSALS as error:
            await abort(context, error)

    return cast(_Call, called)


def refuse_nulls(message: Message) -> None:
    """Refuses a null character in any text of a request: PostgreSQL holds none. Raises InvalidArgument."""
    for field, value in message.ListFields():
        values = value if field.is_repeated and not _is_map(field) else (value,)
        for one in values:
            if isinstance(one, str) and "\0" in one:
                raise InvalidArgument(field.name, "must be text without null characters")
            if isinstance(one, Message):
                refuse_nulls(one)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


async def abort(context: _Context, error: Exception) -> NoReturn:
    """Ends a call with the status of a cause."""
    await context.abort_with_status(call_status(status_of(error)))
    raise AssertionError("abort raises")


def call_status(status: Status) -> grpc.Status:
    """How a call ends with a status. RetryInfo is told a second time, to the retries that gRPC libraries make."""
    ended: Any = rpc_status.to_status(status)
    if (pushback := _pushback_ms(status)) is not None:
        trailing = (*ended.trailing_metadata, ("grpc-retry-pushback-ms", str(pushback)))
        ended = ended._replace(trailing_metadata=trailing)
    return cast(grpc.Status, ended)


def _pushback_ms(status: Status) -> int | None:
    retry = error_details_pb2.RetryInfo()
    if not any(detail.Unpack(retry) for detail in status.details):
        return None
    ms = math.ceil(retry.retry_delay.ToTimedelta() / timedelta(milliseconds=1))
    # Negative: no retry. Nobody's call waits for the next month.
    return ms if ms <= _MAX_PUSHBACK_MS else -1


def status_of(error: Exception) -> Status:
    """The status of a cause, which must be in the table or descend from one that is."""
    code, reason = next(CAUSES[kind] for kind in type(error).__mro__ if kind in CAUSES)
    if isinstance(error, QueryRefused):
        reason = error.reason
    status = Status(code=code, message=bearable(str(error)))
    violations = [_violation(bearable(field), bearable(message)) for field, message in _faults(error)]
    numbers = _left_out(violations, len(error.faults) if isinstance(error, PolicyInvalid) else len(violations))
    _add(status, error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=numbers))
    if violations:
        _add(status, error_details_pb2.BadRequest(field_violations=violations))
    seconds = error.retry_after if isinstance(error, Failure) else RETRY_SECONDS
    if seconds is not None:
        _add(status, error_details_pb2.RetryInfo(retry_delay=timedelta(seconds=seconds)))
    return status


def refusal_status(refused: Refused) -> Status:
    """The status of a refused request: ErrorInfo always; BadRequest, QuotaFailure and RetryInfo where they apply."""
    refusal = refused.refusal
    limited = _QUOTA_SUBJECT.get(refusal.cause)
    numbers = {"limit": str(refusal.limit), "used": str(refusal.used)} if limited else {}
    status = Status(code=GRPC_STATUS[refusal.cause].value[0], message=refusal.message)
    violations = list(_violations(refusal.faults))
    numbers |= _left_out(violations, refusal.faults_left_out + len(refusal.faults))
    _add(status, error_details_pb2.ErrorInfo(reason=refused.reason, domain=DOMAIN, metadata=numbers))
    if violations:
        _add(status, error_details_pb2.BadRequest(field_violations=violations))
    if limited:
        violation = error_details_pb2.QuotaFailure.Violation(subject=limited, description=refusal.message)
        _add(status, error_details_pb2.QuotaFailure(violations=[violation]))
    if refusal.HasField("retry_after"):
        _add(status, error_details_pb2.RetryInfo(retry_delay=refusal.retry_after))
    return status


def _violations(
    faults: Sequence[outcome_pb2.EventFault],
) -> Iterator[error_details_pb2.BadRequest.FieldViolation]:
    """The first faults, as many as a status can bear, which travels in HTTP headers."""
    left = MAX_TOLD_BYTES
    for number, fault in enumerate(faults):
        violation = _violation(_path(fault), fault.message)
        left -= violation.ByteSize() + 4
        if number and left < 0:
            return
        yield violation


def _left_out(violations: list[error_details_pb2.BadRequest.FieldViolation], faults: int) -> dict[str, str]:
    """Says after the violations how many of the faults they do not name, and in what ErrorInfo bears."""
    left_out = faults - len(violations)
    if not left_out:
        return {}
    violations.append(_violation("", f"and {left_out} more, which are not named"))
    return {"faults_left_out": str(left_out)}


def _violation(field: str, description: str) -> error_details_pb2.BadRequest.FieldViolation:
    return error_details_pb2.BadRequest.FieldViolation(field=field, description=description)


def _path(fault: outcome_pb2.EventFault) -> str:
    if not fault.HasField("index"):
        return fault.field
    return f"events[{fault.index}].{fault.field}" if fault.field else f"events[{fault.index}]"


def bearable(text: str) -> str:
    """What of a text a status can bear, which travels in HTTP headers: it may name what the caller sent."""
    return text if len(quote(text)) <= _MAX_ENCODED else f"{text[: _MAX_ENCODED // _ENCODED_CHARACTER]}..."


def _faults(error: Exception) -> list[tuple[str, str]]:
    if isinstance(error, InvalidArgument):
        return [(error.field, error.message)]
    if isinstance(error, PolicyInvalid) or (isinstance(error, QueryRefused) and error.field):
        return [(fault.path, fault.message) for fault in error.told]
    return []


def _add(status: Status, message: Message) -> None:
    detail = AnyDetail()
    detail.Pack(message)
    status.details.append(detail)
