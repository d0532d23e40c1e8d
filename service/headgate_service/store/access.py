"""Who may do what in the store over TCP: what the engine grants each, and the passwords of those that only read.

Every session of the engine is of its one user, which has nothing of its own but roles. The socket's sessions have them
all; those of TCP take one that may touch no file and no network.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from headgate_sinks.transport.clickhouse import DATABASE, quoted

from headgate_service.store.schema import TABLE

WRITERS = ("default", "headgate")
READER = "reader"
PROJECT_PREFIX = "prj_"

# Settings by which a statement would read files, or would be read in another language than it is checked in.
FIXED_SETTINGS = (
    "format_template_row",
    "format_template_resultset",
    "format_schema",
    "format_schema_source",
    "format_schema_message_name",
    "dialect",
    "allow_introspection_functions",
)
# Of others' statements, files and numbers of rows these say nothing.
_TOLD_TO_PROJECTS = frozenset((
    "columns", "contributors", "data_type_families", "formats", "functions", "keywords", "numbers", "numbers_mt", "one",
    "settings", "time_zones", "zeros",
))  # fmt: skip

_GRANTS = {
    "headgate_all": "GRANT ALL ON *.* WITH GRANT OPTION",
    "headgate_writer": "GRANT SELECT, INSERT, ALTER, CREATE TABLE, CREATE VIEW, DROP TABLE, DROP VIEW, TRUNCATE,"
    " OPTIMIZE, SHOW, CHECK, KILL QUERY ON *.*",
    "headgate_reader": "GRANT SELECT, SHOW ON *.*",
    "headgate_project": f"GRANT SELECT ON {DATABASE}.{TABLE}",
}


@dataclass(frozen=True, slots=True)
class Access:
    """What one client may do. No `role`: everything. `project`: only rows of this one are there."""

    role: str = ""
    reads_only: bool = False
    project: str = ""


TRUSTED = Access()
_WRITER = Access("headgate_writer")
_READER = Access("headgate_reader", reads_only=True)


def access_of(user: str, password: str, key: str) -> Access | None:
    """None: no such user, or another password. `key` is the store's, the password of those that write."""
    if user in WRITERS:
        wanted, access = key, _WRITER
    elif user == READER:
        wanted, access = reader_password(key, user), _READER
    elif user.startswith(PROJECT_PREFIX):
        wanted, access = reader_password(key, user), Access("headgate_project", reads_only=True, project=user)
    else:
        return None
    return access if hmac.compare_digest(password.encode(), wanted.encode()) else None


def reader_password(key: str, user: str) -> str:
    """The password of `reader`, or of a project by its id. With another `store.key` it is another."""
    return hmac.new(key.encode(), f"read:{user}".encode(), hashlib.sha256).hexdigest()


def statements_before(access: Access, system_tables: list[str]) -> list[str]:
    """What a session runs before the client's statement; after it, that cannot be undone by one statement."""
    if not access.role:
        return []
    said = [f"SET ROLE {access.role}"]
    if access.project:
        filters = {f"{DATABASE}.{TABLE}": f"project_id = {quoted(access.project)}"}
        filters |= {f"system.{one}": "0" for one in system_tables if one not in _TOLD_TO_PROJECTS}
        pairs = ", ".join(f"{quoted(name)}: {quoted(condition)}" for name, condition in filters.items())
        said.append(f"SET additional_table_filters = {{{pairs}}}")
    if access.reads_only:
        said.append("SET readonly = 1")
    return said


def write_access_files(folder: Path) -> Mapping[str, str]:
    """Writes the roles where the engine reads them at its start, and returns its start-up arguments for that."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    users, config = folder / "users.xml", folder / "config.xml"
    roles = "".join(f"<{role}><grants><query>{grant}</query></grants></{role}>" for role, grant in _GRANTS.items())
    granted = "".join(f"<query>GRANT {role}</query>" for role in _GRANTS)
    fixed = "".join(f"<{name}><readonly/></{name}>" for name in FIXED_SETTINGS)
    _write(
        users,
        f"<clickhouse><profiles><default><constraints>{fixed}</constraints></default></profiles>"
        f"<quotas><default/></quotas><roles>{roles}</roles>"
        "<users><default><password/><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>"
        f"<grants>{granted}</grants></default></users></clickhouse>\n",
    )
    _write(config, f"<clickhouse><users_config>{users}</users_config></clickhouse>\n")
    return {"config-file": str(config)}


def _write(file: Path, text: str) -> None:
    draft = file.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(file)
