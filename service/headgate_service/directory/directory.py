"""Who may come in: keys and projects in memory, kept as fresh as the control DB lets it.

The directory asks the control DB each second whether its change counter moved, and loads what did. A well-formed key
that it does not know yet makes it ask at once: one question for all who wait, and no more of them than a token bucket
gives, so that guessing cannot wear out the database. Beyond that such a key is neither good nor bad until a look
that began after it first came has answered; until then the caller hears DirectoryUnavailable and should retry. Nobody
can present a key before it was made, so a look that does not find one settles it for good.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from headgate_service.directory.project import Project
from headgate_service.directory.snapshot import Changes, Credential, KnownKey, Snapshot
from headgate_service.errors import (
    ControlDbUnavailable,
    CredentialInvalid,
    DirectoryUnavailable,
    ProjectForbidden,
    ProjectGone,
)
from headgate_service.model.key import KeyMalformed, key_hash, parse_key


class TokenBucket:
    """`per_second` tokens a second, at most `burst` of them saved. `clock` gives seconds and never goes back."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float]) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._filled = clock()

    def take(self) -> bool:
        """Takes a token; False where there is none."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._per_second)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


REFRESH_SECONDS = 1.0
LOOK_SECONDS = 2.0
# How long what is known holds while the control DB is down.
TRUST_SECONDS = 15 * 60.0
LOOKS_PER_SECOND = 10.0
LOOKS_BURST = 20
MAX_UNKNOWN_KEYS = 10_000


_log = structlog.get_logger(__name__)


class ChangesSource(Protocol):
    """Where the directory learns of changes: ControlChanges outside tests."""

    async def load(self, since: int) -> Changes:
        """What is newer than the counter's value `since`. Raises ControlDbUnavailable."""


class Directory:
    """Finds credentials and projects without asking the control DB.

    `clock` gives seconds and never goes back. `run` must be running for anything to stay fresh.
    """

    def __init__(
        self,
        source: ChangesSource,
        *,
        clock: Callable[[], float],
        refresh_seconds: float = REFRESH_SECONDS,
        look_seconds: float = LOOK_SECONDS,
        trust_seconds: float = TRUST_SECONDS,
        looks: TokenBucket | None = None,
    ) -> None:
        self._source = source
        self._clock = clock
        self._refresh_seconds = refresh_seconds
        self._look_seconds = look_seconds
        self._trust_seconds = trust_seconds
        self._looks = looks or TokenBucket(LOOKS_PER_SECOND, LOOKS_BURST, clock)
        self._snapshot = Snapshot()
        self._look: asyncio.Task[None] | None = None
        # Looks are numbered as they begin; `_answered` is the latest that succeeded.
        self._begun = 0
        self._answered = 0
        self._fresh_at: float | None = None
        self._healthy = False
        # Hashes of keys that were not found, with the number of the last look begun when each first came.
        self._unknown: OrderedDict[bytes, int] = OrderedDict()

    @property
    def healthy(self) -> bool:
        """Whether the control DB answered when last asked: the health of `control-db`."""
        return self._healthy

    async def run(self) -> None:
        """Keeps the directory fresh until cancelled."""
        try:
            while True:
                if not await self._look_again(self._begun):
                    self._healthy = False
                await asyncio.sleep(self._refresh_seconds)
        finally:
            if self._look is not None and not self._look.done():
                # Let it end, so that it closes its connection.
                await asyncio.wait({self._look}, timeout=self._look_seconds)
                self._look.cancel()

    async def refresh(self) -> None:
        """Asks the control DB now. Raises DirectoryUnavailable."""
        if not await self._look_again(self._begun):
            raise DirectoryUnavailable("the control DB does not answer")

    async def find(self, key: str) -> Credential:
        """The credential of a key. Raises CredentialInvalid, DirectoryUnavailable; waits at most `look_seconds`."""
        hashed = key_hash(key)
        known = self._snapshot.key(hashed)
        if known is None:
            # One that is known is well-formed.
            try:
                parse_key(key)
            except KeyMalformed as error:
                raise CredentialInvalid(str(error)) from None
        self._require_trust()
        if known is None:
            known = await self._find_new(hashed)
        if known is None or known.credential is None:
            raise CredentialInvalid("no such key, or it was revoked")
        return known.credential

    def project(self, id_or_slug: str) -> Project | None:
        """A project; None where there is none or it was deleted. Raises DirectoryUnavailable."""
        self._require_trust()
        project = self._snapshot.project(id_or_slug)
        return None if project is None or self._snapshot.gone(project) else project

    def deleted(self) -> Sequence[Project]:
        """The projects that were deleted. Raises DirectoryUnavailable."""
        self._require_trust()
        return tuple(self._snapshot.deleted())

    def remembered(self, id_or_slug: str) -> Project | None:
        """A project, deleted or not. Raises DirectoryUnavailable."""
        self._require_trust()
        return self._snapshot.project(id_or_slug)

    def project_for(self, credential: Credential, named: str = "") -> Project:
        """The project a request means: the one it names by id or slug, else the credential's own.

        Only a key of all projects may name another than its own, of its organisation; and no key opens anything once
        its own project is gone. Raises ProjectForbidden, ProjectGone, DirectoryUnavailable.
        """
        self._require_trust()
        own = self._snapshot.project(credential.project_id)
        if own is None or self._snapshot.gone(own):
            raise ProjectGone("the project, or its organisation, was deleted")
        project = self._snapshot.project(named) if named else own
        if project is None or not credential.opens(project):
            raise ProjectForbidden("the credential may not write to this project, or there is none of that name")
        if self._snapshot.gone(project):
            raise ProjectGone("the project, or its organisation, was deleted")
        return project

    def projects(self) -> Sequence[Project]:
        """All projects that were not deleted. Raises DirectoryUnavailable."""
        self._require_trust()
        return tuple(self._snapshot.projects())

    async def _find_new(self, hashed: bytes) -> KnownKey | None:
        """A key made since the last look; None where a look that began after the key first came did not find it."""
        first_came = self._unknown.setdefault(hashed, self._begun)
        if len(self._unknown) > MAX_UNKNOWN_KEYS:
            self._unknown.popitem(last=False)
        if self._answered <= first_came and (
            not self._healthy or not await self._look_again(first_came, self._looks.take)
        ):
            raise DirectoryUnavailable(
                "whether the key is good cannot be told now: the control DB was not asked in time"
            )
        return self._snapshot.key(hashed)

    async def _look_again(self, after: int, may_look: Callable[[], bool] = lambda: True) -> bool:
        """Waits until a look that began after the look number `after` has succeeded; False where none does in time.

        A look is never cancelled for being late, which would leave its thread behind: at most one runs, and who
        waits for it stops waiting.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self._look_seconds
        while self._answered <= after:
            if self._look is None or self._look.done():
                failed = self._answered < self._begun and self._begun > after
                if failed or not may_look():
                    return False
                self._look = asyncio.create_task(self._load())
            look = self._look
            await asyncio.wait({look}, timeout=max(until - loop.time(), 0))
            if not look.done():
                return False
            look.result()
        return True

    async def _load(self) -> None:
        # Only now, when the task runs: who came while it waited for its turn may rely on it.
        self._begun += 1
        number, began_at = self._begun, self._clock()
        try:
            changes = await self._source.load(self._snapshot.change)
        except ControlDbUnavailable as error:
            if self._healthy:
                _log.warning("control-db-down", error=str(error))
            self._healthy = False
            return
        self._snapshot.apply(changes)
        self._answered, self._fresh_at, self._healthy = number, began_at, True

    def _require_trust(self) -> None:
        if self._fresh_at is None or self._clock() - self._fresh_at > self._trust_seconds:
            raise DirectoryUnavailable("the control DB has not answered for too long to trust what is known of keys")
