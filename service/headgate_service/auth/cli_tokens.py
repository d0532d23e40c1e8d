"""One-time tokens, by which a person's command line gets an access token of its own."""

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import delete, select, update

from headgate_service.auth.audit import CallOrigin, record
from headgate_service.auth.sessions import FreshSession, SecretText, Sessions
from headgate_service.auth.users import User
from headgate_service.config import SessionTerms
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import CliTokenRow, UserRow
from headgate_service.errors import CliTokenInvalid
from headgate_service.model.ids import make_id
from headgate_service.model.key import RandomBytes, key_hash
from headgate_service.model.principal import Principal, PrincipalKind


@dataclass(frozen=True, slots=True)
class FreshCliToken:
    """A one-time token that was just made, with the only copy of its text. `expires_at`: milliseconds since 1970."""

    id: str
    expires_at: int
    text: str = field(repr=False)


class CliTokens:
    """Every call may raise ControlDbUnavailable."""

    def __init__(
        self,
        database: ControlDb,
        sessions: Sessions,
        terms: SessionTerms,
        *,
        random: RandomBytes,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._terms = terms
        self._random = random
        self._now_ms = now_ms

    async def create(self, person: Principal, origin: CallOrigin) -> FreshCliToken:
        """A one-time token of a person."""
        now = self._now_ms()
        fresh = FreshCliToken(
            make_id("clt", self._random), now + self._terms.once_ms, SecretText.CLI_ONCE.make(self._random)
        )
        async with self._database.change() as (session, _):
            await session.execute(delete(CliTokenRow).where(CliTokenRow.expires_at <= now))
            session.add(
                CliTokenRow(
                    id=fresh.id,
                    user_id=person.user_id,
                    hash=key_hash(fresh.text),
                    created_at=now,
                    expires_at=fresh.expires_at,
                )
            )
            record(session, person, "cli-token.create", fresh.id, origin, now_ms=now)
        return fresh

    async def redeem(self, text: str, origin: CallOrigin) -> tuple[User, FreshSession]:
        """An access token for a one-time token, which is used up by it. Raises CliTokenInvalid."""
        if not SecretText.CLI_ONCE.fits(text):
            raise CliTokenInvalid(_INVALID)
        now = self._now_ms()
        # One statement decides, so that of many who come at the same time one wins.
        used = (
            update(CliTokenRow)
            .where(CliTokenRow.hash == key_hash(text), CliTokenRow.used_at.is_(None), CliTokenRow.expires_at > now)
            .values(used_at=now)
            .returning(CliTokenRow.id, CliTokenRow.user_id)
        )
        async with self._database.change() as (session, _):
            won = (await session.execute(used)).first()
            if won is None:
                raise CliTokenInvalid(_INVALID)
            row = await session.scalar(select(UserRow).where(UserRow.id == won.user_id))
            if row is None or row.disabled_at is not None:
                raise CliTokenInvalid(_INVALID)
            fresh = self._sessions.add(session, row.id, PrincipalKind.CLI)
            who = Principal(PrincipalKind.CLI, row.id, row.email, credential_id=fresh.id)
            record(session, who, "cli-token.redeem", won.id, origin, now_ms=now)
            return User.of(row), fresh


_INVALID = "the token is unknown, was used, or expired: make another one"
