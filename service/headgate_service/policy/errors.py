"""Why nothing is deployed, beside a config that is not valid."""


class DeployUnknown(Exception):
    """The project has no such version."""


class SecretKeyMissing(Exception):
    """A deploy takes a secret key beside a person, and none was given."""


class SecretKeyInvalid(Exception):
    """The secret key is malformed, unknown or revoked."""


class SecretKeyForbidden(Exception):
    """The key is of another kind, or of another project than the caller or the request means."""
