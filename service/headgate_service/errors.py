"""Why something was not done, for every layer of the service. No message repeats a secret."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

RETRY_SECONDS = 1.0
MAX_FAULTS = 100
MAX_SHOWN = 3
MAX_SHOWN_CHARACTERS = 300
MAX_TOLD_BYTES = 4_000


class DirectoryUnavailable(Exception):
    """It cannot be told now whether the key is good, or what its project is: retry after `retry_seconds`."""

    def __init__(self, message: str, retry_seconds: float = RETRY_SECONDS) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class ProjectForbidden(Exception):
    """There is no such project, or the credential may not write to it."""


class ProjectGone(Exception):
    """The project or its organisation was deleted."""


class SlugTaken(Exception):
    """Another project, perhaps a deleted one, has the slug."""


class KeyUnknown(Exception):
    """No key, or none of the project, has that id."""

    SAID = "no key has that id: give the id (key_...), not the key itself"


class KeyRevoked(Exception):
    """The key was ended, so that nothing can take its place."""


class ProjectUnknown(Exception):
    """No project has that id or slug, or it was deleted."""


class InvalidArgument(Exception):
    """A field that holds what it may not; `field` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class MemberUnknown(Exception):
    """That person is no member of the project."""


class LastOwner(Exception):
    """The project would be left without an owner."""


class DeadLetterUnknown(Exception):
    """The project has no dead letter of that id."""


class ReplayUnknown(Exception):
    """There is no replay of that id."""


class TestUnanswered(Exception):
    """No forwarder said what came of the test."""

    __test__ = False


class SinkUnknown(Exception):
    """No sink of the configuration has that name."""


class TooManyQueries(Exception):
    """As many queries of the project as may run do: retry after `retry_seconds`."""

    retry_seconds = 1.0


class QueryTimeout(Exception):
    """The query took longer than it may."""


class StoreDown(Exception):
    """The store does not answer."""


class StoreFailed(Exception):
    """The store has no answer."""


class LogUnreachable(Exception):
    """Redis did not answer, or not in time."""


class TooManyTails(Exception):
    """As many watch events as this service admits."""


class ControlDbUnavailable(Exception):
    """The control DB did not answer, or not in time. Nothing was changed, but for a commit whose answer was lost."""


class RedisUnavailable(Exception):
    """Redis did not answer. What the command was to do may or may not have been done."""


@dataclass(frozen=True, slots=True)
class ConfigFault:
    """One thing that is wrong: `path` is a JSON Pointer into the config, empty for all of it."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path or 'the config'}: {self.message}"


class PolicyInvalid(Exception):
    """A config with faults, at least one and at most 100 of them; its message names the first few."""

    def __init__(self, faults: Iterable[ConfigFault]) -> None:
        self.faults = tuple(faults)[:MAX_FAULTS]
        shown = "; ".join(str(fault)[:MAX_SHOWN_CHARACTERS] for fault in self.faults[:MAX_SHOWN])
        more = len(self.faults) - MAX_SHOWN
        super().__init__(f"{shown}; and {more} more" if more > 0 else shown)

    @property
    def told(self) -> Sequence[ConfigFault]:
        """As many of the faults, in order, as the status of a call can bear, which travels in HTTP headers."""
        told: list[ConfigFault] = []
        left = MAX_TOLD_BYTES
        for fault in self.faults:
            short = ConfigFault(fault.path[:MAX_SHOWN_CHARACTERS], fault.message[:MAX_SHOWN_CHARACTERS])
            left -= len(short.path.encode()) + len(short.message.encode()) + 8
            if told and left < 0:
                break
            told.append(short)
        return told


class DeployUnknown(Exception):
    """The project has no such version."""


class SecretKeyMissing(Exception):
    """A deploy takes a secret key beside a person, and none was given."""


class SecretKeyInvalid(Exception):
    """The secret key is malformed, unknown or revoked."""


class SecretKeyForbidden(Exception):
    """The key is of another kind, or of another project than the caller or the request means."""


class QueryRefused(Exception):
    """`code` is the API's, `field` the path of what is wrong in the request, such as `filter.and[0].op`."""

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.field = field


class QueryInvalid(QueryRefused):
    """The request is not one that the grammar knows."""


class QueryOverLimit(QueryRefused):
    """The request asks for more than one answer may hold or one query may read."""


def invalid(field: str, message: str, code: str = "invalid_query") -> QueryInvalid:
    """A fault of one field; its path is named in the message too, for those who see nothing else."""
    return QueryInvalid(code, f"{field}: {message}" if field else message, field or None)


class CredentialMissing(Exception):
    """No credential was given where one is needed."""


class CredentialInvalid(Exception):
    """The credential is malformed, unknown, ended or expired."""


class RoleMissing(Exception):
    """The caller is a member, with a role that does not suffice."""


class ScopeMissing(Exception):
    """The credential lacks the scope that the call needs."""


class PersonRequired(Exception):
    """Only people do this: the caller is a token without a person behind it."""


class SessionRequired(Exception):
    """Only who signed in with a password does this."""


class LoginFailed(Exception):
    """E-mail address and password do not belong together, or the account is disabled; which, is not said."""


class CliTokenInvalid(Exception):
    """The one-time token is unknown, was used, or expired; which, is not said."""


class UserUnknown(Exception):
    """Nobody has that e-mail address or id."""


class SessionUnknown(Exception):
    """The caller has no session of that id."""


class EmailTaken(Exception):
    """Somebody has that e-mail address already."""


class OrganisationUnknown(Exception):
    """No organisation has that slug."""


class TooManyAttempts(Exception):
    """Too many passwords were tried for the account or from the address: retry after `retry_seconds`."""

    def __init__(self, message: str, retry_seconds: float) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class HashingBusy(Exception):
    """As many passwords as may wait are being checked already: retry in a moment."""


class KeysUnavailable(Exception):
    """The keys of a token's issuer cannot be fetched, so that it cannot be told whether the token is good: retry."""
