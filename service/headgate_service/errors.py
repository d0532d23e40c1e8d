"""Why something was not done, for every layer of the service. No message repeats a secret."""

from collections.abc import Iterable, Sequence

from headgate_service.failure import MAX_FAULTS, MAX_SHOWN, MAX_SHOWN_CHARACTERS, RETRY_SECONDS, Code, Failure, Fault

# What the caller sent is wrong.


class InvalidArgument(Failure):
    """A field has a value that is not allowed; `field` names it."""

    code, reason = Code.INVALID_ARGUMENT, "invalid_argument"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}", faults=[Fault(field, message)])
        self.field = field
        self.message = message


class MessageInvalid(Failure):
    """The message of a call cannot be decoded."""

    code, reason = Code.INVALID_ARGUMENT, "invalid_message"


class MessageTooLarge(Failure):
    """The message of a call is larger than a message may be."""

    code, reason = Code.INVALID_ARGUMENT, "message_too_large"


class GatewayTokenInvalid(Failure):
    """The call is for Headgate's own gateways."""

    code, reason = Code.PERMISSION_DENIED, "gateway_token_invalid"


class ContractUnserved(Failure):
    """The gateway and the service are of revisions that do not understand each other."""

    code, reason = Code.FAILED_PRECONDITION, "contract_unserved"


class PolicyInvalid(Failure):
    """A config with 1 to 100 faults; its message names the first few."""

    code, reason = Code.FAILED_PRECONDITION, "config_invalid"

    def __init__(self, faults: Iterable[Fault]) -> None:
        kept = tuple(faults)[:MAX_FAULTS]
        shown = "; ".join(str(fault)[:MAX_SHOWN_CHARACTERS] for fault in kept[:MAX_SHOWN])
        more = len(kept) - MAX_SHOWN
        super().__init__(f"{shown}; and {more} more" if more > 0 else shown, faults=kept)


class QueryRefused(Failure):
    """`reason` is the API's code, `field` the path of what is wrong in the request, such as `filter.and[0].op`, of the
    first of its faults. The message names that field too, for those who see nothing else."""

    def __init__(self, reason: str, message: str, field: str | None = None, faults: Sequence[Fault] = ()) -> None:
        super().__init__(f"{field}: {message}" if field else message, faults=faults or [Fault(field or "", message)])
        self.reason = reason
        self.field = field

    def with_faults(self, faults: Iterable[Fault]) -> "QueryRefused":
        """The same, of a request with all these faults."""
        first = self.faults[0]
        return type(self)(self.reason, first.message, self.field, tuple(faults)[:MAX_FAULTS])


class QueryInvalid(QueryRefused):
    """The request does not follow the grammar of queries."""

    code = Code.INVALID_ARGUMENT


class QueryOverLimit(QueryRefused):
    """The request asks for more than one answer may hold or one query may read."""

    code = Code.OUT_OF_RANGE


def invalid(field: str, message: str, reason: str = "invalid_query") -> QueryInvalid:
    """A fault of one field."""
    return QueryInvalid(reason, message, field or None)


# Who the caller is, and what they may do.


class CredentialMissing(Failure):
    """The call needs a credential."""

    code, reason = Code.UNAUTHENTICATED, "credential_missing"


class CredentialInvalid(Failure):
    """The credential is malformed, unknown, revoked or expired."""

    code, reason = Code.UNAUTHENTICATED, "credential_invalid"


class LoginFailed(Failure):
    """E-mail address and password do not match, or the account is disabled. The message does not say which."""

    code, reason = Code.UNAUTHENTICATED, "login_failed"


class CliTokenInvalid(Failure):
    """The one-time token is unknown, used or expired. The message does not say which."""

    code, reason = Code.UNAUTHENTICATED, "token_invalid"


class SecretKeyMissing(Failure):
    """A person who deploys must give a secret key, too."""

    code, reason = Code.UNAUTHENTICATED, "secret_key_missing"


class SecretKeyInvalid(Failure):
    """The secret key is malformed, unknown or revoked."""

    code, reason = Code.UNAUTHENTICATED, "secret_key_invalid"


class SecretKeyForbidden(Failure):
    """The key is of another kind, or of another project than the caller or the request names."""

    code, reason = Code.PERMISSION_DENIED, "secret_key_forbidden"


class RoleMissing(Failure):
    """The caller is a member of the project, but their role does not allow this."""

    code, reason = Code.PERMISSION_DENIED, "role_missing"


class ScopeMissing(Failure):
    """The credential lacks the scope that the call needs."""

    code, reason = Code.PERMISSION_DENIED, "scope_missing"


class PersonRequired(Failure):
    """Only people may do this, and the credential belongs to no person."""

    code, reason = Code.PERMISSION_DENIED, "person_required"


class SessionRequired(Failure):
    """Only callers who signed in with a password may do this."""

    code, reason = Code.PERMISSION_DENIED, "session_required"


class ProjectForbidden(Failure):
    """The project does not exist, or the credential may not write to it."""

    code, reason = Code.PERMISSION_DENIED, "project_forbidden"


# What does not exist, or is in the way.


class ProjectGone(Failure):
    """The project or its organisation was deleted."""

    code, reason = Code.NOT_FOUND, "project_gone"


class ProjectUnknown(Failure):
    code, reason = Code.NOT_FOUND, "project_unknown"


class OrganisationUnknown(Failure):
    code, reason = Code.NOT_FOUND, "organisation_unknown"


class KeyUnknown(Failure):
    code, reason = Code.NOT_FOUND, "key_unknown"
    SAID = "no key has that id: give the id (key_...), not the key itself"


class HealthNameUnknown(Failure):
    code, reason = Code.NOT_FOUND, "health_name_unknown"


class UserUnknown(Failure):
    code, reason = Code.NOT_FOUND, "user_unknown"


class InvitationUnknown(Failure):
    code, reason = Code.NOT_FOUND, "invitation_unknown"


class SavedQueryUnknown(Failure):
    code, reason = Code.NOT_FOUND, "saved_query_unknown"


class MemberUnknown(Failure):
    code, reason = Code.NOT_FOUND, "member_unknown"


class SessionUnknown(Failure):
    code, reason = Code.NOT_FOUND, "session_unknown"


class DeployUnknown(Failure):
    code, reason = Code.NOT_FOUND, "deploy_unknown"


class SinkUnknown(Failure):
    code, reason = Code.NOT_FOUND, "sink_unknown"


class SinkShared(Failure):
    """The sink serves other projects too, and only the operator may do this to it."""

    code, reason = Code.PERMISSION_DENIED, "sink_shared"


class DeadLetterUnknown(Failure):
    code, reason = Code.NOT_FOUND, "dead_letter_unknown"


class ReplayUnknown(Failure):
    code, reason = Code.NOT_FOUND, "replay_unknown"


class SlugTaken(Failure):
    """Another project has the slug. A deleted project keeps its slug."""

    code, reason = Code.ALREADY_EXISTS, "slug_taken"


class EmailTaken(Failure):
    code, reason = Code.ALREADY_EXISTS, "email_taken"


class KeyRevoked(Failure):
    """The key was revoked, so it cannot be rotated."""

    code, reason = Code.FAILED_PRECONDITION, "key_revoked"


class LastOwner(Failure):
    """The project would be left without an owner."""

    code, reason = Code.FAILED_PRECONDITION, "last_owner"


class TestUnanswered(Failure):
    """No forwarder reported the result of the test."""

    __test__ = False
    code, reason = Code.FAILED_PRECONDITION, "sink_test_unanswered"


# What a limit stops.


class TooManyAttempts(Failure):
    """Too many passwords were tried for the account or from the address."""

    code, reason = Code.RESOURCE_EXHAUSTED, "rate_limited"

    def __init__(self, message: str, retry_after: float, limit: str = "") -> None:
        super().__init__(message, retry_after=retry_after)
        self.limit = limit


class TooManyCalls(Failure):
    """The caller, or their organisation, has called as often as they may for now."""

    code, reason = Code.RESOURCE_EXHAUSTED, "rate_limited"


class LimitReached(Failure):
    """There are as many of something as the operator allows; the message names the setting."""

    code, reason = Code.FAILED_PRECONDITION, "limit_reached"


class TooManyQueries(Failure):
    """The project already runs as many queries as it may."""

    code, reason, retry_after = Code.RESOURCE_EXHAUSTED, "too_many_queries", 1.0


class TooManyStreams(Failure):
    """The key has as many streams open as it may."""

    code, reason, retry_after = Code.RESOURCE_EXHAUSTED, "too_many_streams", RETRY_SECONDS


class TooManyTails(Failure):
    """As many callers watch events as this service allows."""

    code, reason = Code.RESOURCE_EXHAUSTED, "too_many_tails"


class QueryTimeout(Failure):
    """The query took longer than allowed."""

    code, reason = Code.DEADLINE_EXCEEDED, "query_too_slow"


# What does not answer now: a retry may succeed.


class Unavailable(Failure):
    code, retry_after = Code.UNAVAILABLE, RETRY_SECONDS


class ControlDbUnavailable(Unavailable):
    """The control DB did not answer in time. Nothing was changed, except by a commit if only its answer was lost."""

    reason = "control_db_unavailable"


class DirectoryUnavailable(Unavailable):
    """The service cannot tell at the moment whether the key is valid, or what its project is."""

    reason = "control_db_unavailable"


class RedisUnavailable(Unavailable):
    """Redis did not answer. The command may or may not have been carried out."""

    reason = "redis_unavailable"


class LogUnreachable(Unavailable):
    """Redis did not answer a read of the log in time."""

    reason = "redis_unavailable"


class LogUnavailable(Unavailable):
    """Redis did not confirm an append: the events may or may not be in the log."""

    reason = "redis_unavailable"


class CountersLost(LogUnavailable):
    """Redis has lost the counters of the shard, and they are not restored yet. Nothing was appended."""


class StoreDown(Unavailable):
    """The store does not answer."""

    reason = "store_unavailable"


class StoreFailed(Unavailable):
    """The store answered with an error."""

    reason = "store_unavailable"


class KeysUnavailable(Unavailable):
    """The keys of a token's issuer cannot be fetched, so the token cannot be checked."""

    reason = "issuer_unavailable"


class ServiceStopping(Unavailable):
    """The service stops: another one, or the next, takes the call."""

    reason = "service_stopping"


class ConnectionOld(Unavailable):
    """The connection came of age: the call goes on by another."""

    reason = "connection_old"


class HashingBusy(Unavailable):
    """Too many passwords are waiting to be checked."""

    reason = "busy"
