"""E-mail addresses as names of people."""

import re

from headgate_service.project_fields import InvalidArgument

MOST_CHARACTERS = 254
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,253}")


def valid_email(text: str) -> str:
    """The address in lower case. Raises InvalidArgument."""
    email = canonical_email(text)
    if not email:
        raise InvalidArgument("email", f"must be an e-mail address of at most {MOST_CHARACTERS} characters")
    return email


def canonical_email(text: str) -> str:
    """The address in lower case; empty where it is none, and so nobody's."""
    email = text.strip().lower()
    return email if len(email) <= MOST_CHARACTERS and _EMAIL.fullmatch(email) and email.isprintable() else ""
