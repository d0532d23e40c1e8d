"""The tables of the control DB.

Times are integers, milliseconds since 1970 UTC: they mean the same in every database. `change` is the value that the
counter in `changes` had when the row was last written, so that a reader loads only what is newer than it knows.
"""

from sqlalchemy import JSON, BigInteger, Boolean, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Model(DeclarativeBase):
    """A table; constraints get names that every database can alter them by."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class ChangeCounter(Model):
    """One row, whose value grows by one with each change and in its transaction."""

    __tablename__ = "changes"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    value: Mapped[int] = mapped_column(BigInteger)


class OrganisationRow(Model):
    """Who projects belong to."""

    __tablename__ = "organisations"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    slug: Mapped[str] = mapped_column(String(63), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[int] = mapped_column(BigInteger)
    deleted_at: Mapped[int | None] = mapped_column(BigInteger)
    change: Mapped[int] = mapped_column(BigInteger, index=True)


class ProjectRow(Model):
    """What events belong to. `shard` (0..63) is chosen at creation and stays; a deleted project keeps its slug."""

    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    slug: Mapped[str] = mapped_column(String(63), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    organisation_id: Mapped[str] = mapped_column(ForeignKey(OrganisationRow.id))
    shard: Mapped[int] = mapped_column(Integer)
    monthly_limit: Mapped[int | None] = mapped_column(BigInteger)
    rate_requests: Mapped[int | None] = mapped_column(BigInteger)
    rate_window_ms: Mapped[int | None] = mapped_column(BigInteger)
    time_zone: Mapped[str] = mapped_column(String(64), server_default="UTC")
    created_at: Mapped[int] = mapped_column(BigInteger)
    deleted_at: Mapped[int | None] = mapped_column(BigInteger)
    deploy_version: Mapped[int] = mapped_column(BigInteger, default=0)
    change: Mapped[int] = mapped_column(BigInteger, index=True)

    __table_args__ = (Index(None, "organisation_id"),)


class DeployRow(Model):
    """A version of a project's config, which never changes; `config` is the compiled one as JSON, with every default
    in it. The active one is the project's `deploy_version`, 0 where it has none."""

    __tablename__ = "deploys"

    project_id: Mapped[str] = mapped_column(ForeignKey(ProjectRow.id), primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    config: Mapped[str] = mapped_column(Text)
    changed: Mapped[list[str]] = mapped_column(JSON)
    created_by: Mapped[str] = mapped_column(String(320))
    created_at: Mapped[int] = mapped_column(BigInteger)


class KeyRow(Model):
    """A key, of which only the hash is known. `lookup` is the hash's first 8 bytes.

    `all_projects`: an organisation key opens every project of its organisation, and not only its own. None: it does, as
    it was made before keys were bound to a project and nobody has decided.
    """

    __tablename__ = "keys"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey(ProjectRow.id))
    organisation_id: Mapped[str] = mapped_column(ForeignKey(OrganisationRow.id))
    kind: Mapped[str] = mapped_column(String(16))
    hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    lookup: Mapped[bytes] = mapped_column(LargeBinary(8), index=True)
    scopes: Mapped[list[str]] = mapped_column(JSON)
    all_projects: Mapped[bool | None] = mapped_column(Boolean)
    created_at: Mapped[int] = mapped_column(BigInteger)
    revoked_at: Mapped[int | None] = mapped_column(BigInteger)
    change: Mapped[int] = mapped_column(BigInteger, index=True)

    __table_args__ = (Index(None, "project_id"),)


class UserRow(Model):
    """A person. `email` is in lower case; `password` is an Argon2id hash with its parameters."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    password: Mapped[str] = mapped_column(String(255))
    organisation_id: Mapped[str] = mapped_column(ForeignKey(OrganisationRow.id))
    created_at: Mapped[int] = mapped_column(BigInteger)
    disabled_at: Mapped[int | None] = mapped_column(BigInteger)


class MemberRow(Model):
    """What a person may do in a project."""

    __tablename__ = "memberships"

    user_id: Mapped[str] = mapped_column(ForeignKey(UserRow.id), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey(ProjectRow.id), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index(None, "project_id"),)


class InvitationRow(Model):
    """An invitation that is open, of which only the SHA-256 of the text is known; it ends with its row. `user_id` is
    who made it, None: the operator."""

    __tablename__ = "invitations"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey(ProjectRow.id))
    email: Mapped[str] = mapped_column(String(254))
    role: Mapped[str] = mapped_column(String(16))
    hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    user_id: Mapped[str | None] = mapped_column(ForeignKey(UserRow.id))
    created_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)

    __table_args__ = (Index(None, "project_id"),)


class SavedQueryRow(Model):
    """A query that somebody saved: the request, as JSON text. `user_id` is who, None: the operator."""

    __tablename__ = "saved_queries"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey(ProjectRow.id))
    name: Mapped[str] = mapped_column(String(200))
    query: Mapped[str] = mapped_column(Text)
    user_id: Mapped[str | None] = mapped_column(ForeignKey(UserRow.id))
    created_at: Mapped[int] = mapped_column(BigInteger)
    updated_at: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index(None, "project_id"),)


class SessionRow(Model):
    """A person who is signed in, by browser or (kind `cli`) by access token; its row ends with it. The text is known
    by its SHA-256 only."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey(UserRow.id))
    kind: Mapped[str] = mapped_column(String(16))
    hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    created_at: Mapped[int] = mapped_column(BigInteger)
    used_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)

    __table_args__ = (Index(None, "user_id"),)


class CliTokenRow(Model):
    """A token that becomes a CLI's access token, once. It is known by its SHA-256 only."""

    __tablename__ = "cli_tokens"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey(UserRow.id))
    hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    created_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)
    used_at: Mapped[int | None] = mapped_column(BigInteger)


class AuditRow(Model):
    """One thing that somebody did. It outlives whom and what it tells of."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[int] = mapped_column(BigInteger, index=True)
    project_id: Mapped[str | None] = mapped_column(String(32))
    actor: Mapped[str] = mapped_column(String(320))
    user_id: Mapped[str | None] = mapped_column(String(32))
    credential: Mapped[str] = mapped_column(String(16))
    credential_id: Mapped[str] = mapped_column(String(320))
    action: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(320))
    address: Mapped[str] = mapped_column(String(64))
    request_id: Mapped[str] = mapped_column(String(64))

    __table_args__ = (Index(None, "project_id", "id"),)


class SecretRow(Model):
    """Bytes that are made once and then stay, such as the one that signs receipts."""

    __tablename__ = "secrets"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[bytes] = mapped_column(LargeBinary)


class ProjectSecretRow(Model):
    """A secret of a project's own sinks, encrypted; `hash` is what configs name it by. It stays as long as a version
    that names it might be activated again."""

    __tablename__ = "tenant_secrets"

    project_id: Mapped[str] = mapped_column(ForeignKey(ProjectRow.id), primary_key=True)
    hash: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[int] = mapped_column(BigInteger)


class EpochRow(Model):
    """The data that a shard (0..63) is to hold in Redis, by its name. `lost_at`: when the data before it was found to
    be lost; None where there was none."""

    __tablename__ = "epochs"

    shard: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(32))
    lost_at: Mapped[int | None] = mapped_column(BigInteger)


class CountersRow(Model):
    """A project's counters as they were last copied from Redis.

    `seq` and `bytes` count its accepted events and their payload bytes, `trimmed_*` those that have left the log by
    then. `sinks` holds the fields that say how far each sink was.
    """

    __tablename__ = "counters"

    project_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    shard: Mapped[int] = mapped_column(Integer, index=True)
    seq: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int] = mapped_column(BigInteger)
    trimmed_seq: Mapped[int] = mapped_column(BigInteger)
    trimmed_bytes: Mapped[int] = mapped_column(BigInteger)
    sinks: Mapped[dict[str, str]] = mapped_column(JSON)
    copied_at: Mapped[int] = mapped_column(BigInteger)


class MonthRow(Model):
    """How many events of a project count in a UTC month, such as 202611."""

    __tablename__ = "months"

    project_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    month: Mapped[int] = mapped_column(Integer, primary_key=True)
    events: Mapped[int] = mapped_column(BigInteger)


class HourRow(Model):
    """A line of a project's ledger: how many events had an outcome (`accepted`, `duplicate`, `dropped:<reason>`,
    `refused:<reason>`) in an hour, counted from 1970."""

    __tablename__ = "hours"

    project_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    hour: Mapped[int] = mapped_column(Integer, primary_key=True, index=True)
    outcome: Mapped[str] = mapped_column(String(64), primary_key=True)
    events: Mapped[int] = mapped_column(BigInteger)
