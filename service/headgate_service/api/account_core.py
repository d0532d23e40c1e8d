"""All that it takes to serve accounts."""

import secrets
import time
from dataclasses import dataclass

from headgate_service.api.accounts import AccountServicer, UserServicer
from headgate_service.auth.accounts import Accounts
from headgate_service.auth.audit import CallOrigins
from headgate_service.auth.cli_tokens import CliTokens
from headgate_service.auth.passwords import Attempts, Passwords
from headgate_service.auth.sessions import Sessions
from headgate_service.auth.users import Users
from headgate_service.config import Config
from headgate_service.control_db.database import ControlDb
from headgate_service.redis.pipeline import RedisPipeline


@dataclass(frozen=True, slots=True)
class AccountCore:
    """Its parts: a servicer for everybody, one for the operator."""

    users: Users
    passwords: Passwords
    servicer: AccountServicer
    operators_servicer: UserServicer

    @classmethod
    def of(cls, config: Config, database: ControlDb, sessions: Sessions, redis: RedisPipeline) -> "AccountCore":
        passwords = Passwords()
        users = Users(database, passwords, sessions, random=secrets.token_bytes, now_ms=_now_ms)
        attempts = Attempts(redis, config.attempts)
        accounts = Accounts(database, users, sessions, passwords, attempts, _now_ms)
        cli_tokens = CliTokens(database, sessions, config.sessions, random=secrets.token_bytes, now_ms=_now_ms)
        servicer = AccountServicer(accounts, sessions, cli_tokens, CallOrigins(config.gateway_token))
        return cls(users, passwords, servicer, UserServicer(users))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
