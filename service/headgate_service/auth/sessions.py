"""Sessions: opaque texts that stand for a person, each a row that ends with it."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from headgate_service.auth.audit import CallOrigin, record
from headgate_service.config import SessionTerms
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import SessionRow, UserRow
from headgate_service.errors import ControlDbUnavailable, CredentialInvalid, SessionUnknown
from headgate_service.model.ids import make_id
from headgate_service.model.key import RandomBytes, is_secret_text, key_hash, make_secret_text
from headgate_service.model.principal import Principal, PrincipalKind


class SecretText(StrEnum):
    """What a text opens; the value is how it begins."""

    SESSION = "hgs_"
    CLI_ACCESS = "hgc_"
    CLI_ONCE = "hgt_"
    INVITATION = "hgi_"

    def make(self, random: RandomBytes) -> str:
        """A new one."""
        return make_secret_text(self.value, random)

    def fits(self, text: str) -> bool:
        """Whether Headgate may have made the text, which nothing was looked up for."""
        return is_secret_text(self.value, text)


TEXTS = {PrincipalKind.SESSION: SecretText.SESSION, PrincipalKind.CLI: SecretText.CLI_ACCESS}


@dataclass(frozen=True, slots=True)
class FreshSession:
    """A session that was just opened, with the only copy of its text. `expires_at`: milliseconds since 1970."""

    id: str
    expires_at: int
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class HeldSession:
    """A session that is good, whose it is, and when it ends at the latest."""

    principal: Principal
    created_at: int
    used_at: int
    expires_at: int


class Sessions:
    """Every call may raise ControlDbUnavailable."""

    def __init__(
        self, database: ControlDb, terms: SessionTerms, *, random: RandomBytes, now_ms: Callable[[], int]
    ) -> None:
        self._database = database
        self._terms = terms
        self._random = random
        self._now_ms = now_ms

    def add(self, session: AsyncSession, user_id: str, kind: PrincipalKind) -> FreshSession:
        """A session opened in a change that is under way."""
        now = self._now_ms()
        lasts = self._terms.cli_ms if kind is PrincipalKind.CLI else self._terms.longest_ms
        fresh = FreshSession(make_id("ses", self._random), now + lasts, TEXTS[kind].make(self._random))
        session.add(
            SessionRow(
                id=fresh.id,
                user_id=user_id,
                kind=kind.value,
                hash=key_hash(fresh.text),
                created_at=now,
                used_at=now,
                expires_at=fresh.expires_at,
            )
        )
        return fresh

    async def find(self, text: str, *, used: bool = True) -> HeldSession:
        """Whose session it is; `used` makes it last on. Raises CredentialInvalid."""
        kind = next((kind for kind, form in TEXTS.items() if form.fits(text)), None)
        if kind is None:
            raise CredentialInvalid("not a session or token that Headgate made")
        now = self._now_ms()
        async with self._database.read() as session:
            found = await session.execute(
                select(SessionRow, UserRow)
                .join(UserRow, UserRow.id == SessionRow.user_id)
                .where(SessionRow.hash == key_hash(text), SessionRow.kind == kind.value)
            )
            row = found.first()
            if row is None or not self._lives(row[0], now) or row[1].disabled_at is not None:
                raise CredentialInvalid("the session has ended: sign in again")
            held = _held(row[0], row[1])
        if used and now - held.used_at > self._terms.note_ms:
            # Where it cannot be noted now, the next use will be.
            with contextlib.suppress(ControlDbUnavailable):
                await self._note(held.principal.credential_id, now)
        return held

    async def of(self, user_id: str) -> Sequence[HeldSession]:
        """A person's sessions and access tokens that are good, the latest first."""
        now = self._now_ms()
        async with self._database.read() as session:
            rows = await session.execute(
                select(SessionRow, UserRow)
                .join(UserRow, UserRow.id == SessionRow.user_id)
                .where(SessionRow.user_id == user_id)
                .order_by(SessionRow.created_at.desc(), SessionRow.id)
            )
            return [_held(row, user) for row, user in rows if self._lives(row, now)]

    async def end_one(self, person: Principal, session_id: str, origin: CallOrigin) -> None:
        """Ends one of a person's sessions. Raises SessionUnknown."""
        own = delete(SessionRow).where(SessionRow.id == session_id, SessionRow.user_id == person.user_id)
        async with self._database.change() as (session, _):
            if (await session.execute(own.returning(SessionRow.id))).first() is None:
                raise SessionUnknown("you have no session of that id")
            record(session, person, "session.end", session_id, origin, now_ms=self._now_ms())

    async def end(self, session: AsyncSession, text: str) -> None:
        """Ends a session in a change that is under way; one that is none is not an error."""
        if any(form.fits(text) for form in TEXTS.values()):
            await session.execute(delete(SessionRow).where(SessionRow.hash == key_hash(text)))

    async def end_of(self, session: AsyncSession, user_id: str, but: str = "") -> None:
        """Ends all of a person's sessions, access tokens too, but for the one of the id `but`."""
        await session.execute(delete(SessionRow).where(SessionRow.user_id == user_id, SessionRow.id != but))

    async def clear(self, session: AsyncSession) -> None:
        """Removes what has expired."""
        now = self._now_ms()
        idle = (SessionRow.kind == PrincipalKind.SESSION) & (SessionRow.used_at <= now - self._terms.idle_ms)
        await session.execute(delete(SessionRow).where((SessionRow.expires_at <= now) | idle))

    def _lives(self, row: SessionRow, now: int) -> bool:
        idle = row.kind == PrincipalKind.SESSION and row.used_at <= now - self._terms.idle_ms
        return row.expires_at > now and not idle

    async def _note(self, session_id: str, now: int) -> None:
        async with self._database.change() as (session, _):
            await session.execute(update(SessionRow).where(SessionRow.id == session_id).values(used_at=now))


def _held(row: SessionRow, user: UserRow) -> HeldSession:
    kind = PrincipalKind(row.kind)
    person = Principal(kind, user.id, user.email, credential_id=row.id, organisation_id=user.organisation_id)
    return HeldSession(person, row.created_at, row.used_at, row.expires_at)
