"""Why a caller may not do what they ask, or an account what is asked of it. No message repeats a secret."""


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
