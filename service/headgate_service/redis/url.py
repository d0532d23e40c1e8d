"""The URL of a Redis, checked before anything connects to it."""

from urllib.parse import parse_qsl, urlsplit

_SCHEMES = ("redis", "rediss", "unix")
# What may follow its `?`. Others would change what replies look like, or how long is waited for them.
_ARGUMENTS = frozenset(
    (
        *("db", "username", "password", "client_name", "socket_keepalive"),
        *("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_password"),
        *("ssl_cert_reqs", "ssl_check_hostname", "ssl_min_version", "ssl_ciphers"),
    )
)


def check_redis_url(text: str) -> str:
    """The same. Raises ValueError that says what is wrong, and shows nothing of it but names."""
    if "#" in text:
        raise ValueError("has a part after #: write # in a password as %23")
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError("is not a URL: write redis://:PASSWORD@HOST:PORT/0") from None
    if parts.scheme not in _SCHEMES:
        raise ValueError("must begin with redis://, rediss:// or unix://")
    names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    if unknown := sorted({name for name in names if name not in _ARGUMENTS}):
        known = ", ".join(sorted(_ARGUMENTS))
        raise ValueError(f"has an argument that is not known: {unknown[0][:40]}. Known are {known}")
    if parts.scheme != "rediss" and (tls := [name for name in names if name.startswith("ssl_")]):
        raise ValueError(f"has the argument {tls[0]}, which needs rediss://")
    return text
