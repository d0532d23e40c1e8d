"""Who is signed in, as the event path needs it: remembered for a moment, and never asked for by many at once.

What is ended opens nothing once the moment is over, in every process.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from headgate_service import errors
from headgate_service.errors import ControlDbUnavailable, CredentialInvalid, DirectoryUnavailable
from headgate_service.model.key import key_hash
from headgate_service.model.principal import Principal, Role

MEMORY_SECONDS = 2.0
MAX_REMEMBERED = 10_000
# Of those who are only asked for because it might be good to know.
MAX_ASKED = 32


@dataclass(frozen=True, slots=True)
class Known:
    """A person, or who a JWT speaks for, with a person's roles by project's id."""

    principal: Principal
    roles: Mapping[str, Role] = field(default_factory=dict)


class Credentials(Protocol):
    """Where people are looked up: Access outside tests."""

    async def principal_of(self, text: str, *, used: bool) -> Principal:
        """Whose a session, CLI token or JWT is."""

    async def roles(self, principal: Principal) -> Mapping[str, Role]:
        """A person's roles."""


class SessionCache:
    """`clock` gives seconds and never goes back."""

    def __init__(self, credentials: Credentials, clock: Callable[[], float]) -> None:
        self._credentials = credentials
        self._clock = clock
        # By the credential's hash: until when it holds, and who it is; None: nobody.
        self._remembered: OrderedDict[bytes, tuple[float, Known | None]] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Known | None]] = {}

    async def find(self, text: str) -> Known:
        """Whose the credential is. Raises CredentialInvalid, DirectoryUnavailable."""
        hashed = key_hash(text)
        remembered = self._of_memory(hashed)
        try:
            known = remembered[1] if remembered else await asyncio.shield(self._asked(hashed, text))
        except (ControlDbUnavailable, errors.KeysUnavailable) as error:
            raise DirectoryUnavailable(str(error)) from error
        if known is None:
            raise CredentialInvalid("no such session or token, or it has ended")
        return known

    async def soon(self, text: str, seconds: float) -> Known | None:
        """Whose the credential is, where that is known within `seconds`; an answer that comes later is remembered."""
        hashed = key_hash(text)
        if (remembered := self._of_memory(hashed)) is not None:
            return remembered[1]
        if len(self._asking) >= MAX_ASKED and hashed not in self._asking:
            return None
        asking = self._asked(hashed, text)
        await asyncio.wait({asking}, timeout=seconds)
        if not asking.done() or asking.exception() is not None:
            return None
        return asking.result()

    def _of_memory(self, hashed: bytes) -> tuple[float, Known | None] | None:
        remembered = self._remembered.get(hashed)
        return remembered if remembered is not None and self._clock() < remembered[0] else None

    def _asked(self, hashed: bytes, text: str) -> "asyncio.Task[Known | None]":
        asking = self._asking.get(hashed)
        if asking is None:
            asking = self._asking[hashed] = asyncio.create_task(self._ask(hashed, text))
            asking.add_done_callback(lambda done: self._ended(hashed, done))
        return asking

    async def _ask(self, hashed: bytes, text: str) -> Known | None:
        until = self._clock() + MEMORY_SECONDS
        known = None
        try:
            principal = await self._credentials.principal_of(text, used=False)
            known = Known(principal, await self._credentials.roles(principal))
        except errors.CredentialInvalid:
            pass
        self._remembered[hashed] = until, known
        self._remembered.move_to_end(hashed)
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return known

    def _ended(self, hashed: bytes, done: "asyncio.Task[Known | None]") -> None:
        del self._asking[hashed]
        if not done.cancelled():
            # Whoever waited has it; where nobody did, it is not a defect.
            done.exception()
