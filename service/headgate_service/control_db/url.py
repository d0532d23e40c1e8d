"""Which database a control DB's URL names, and by which driver it is reached."""

from importlib.util import find_spec

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

# By the name that a URL may begin with: the driver, and the package to install for it where Headgate has no need of it.
_DRIVERS = {
    "sqlite": ("sqlite+aiosqlite", "aiosqlite", "headgate"),
    "postgresql": ("postgresql+asyncpg", "asyncpg", "headgate[postgres]"),
    "postgres": ("postgresql+asyncpg", "asyncpg", "headgate[postgres]"),
}


class DatabaseUrlInvalid(Exception):
    """No control DB can be had by this URL. The message says why, and shows nothing of the URL."""


def driven(text: str) -> str:
    """The URL with its driver: `postgresql://...` means asyncpg. Raises DatabaseUrlInvalid."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise DatabaseUrlInvalid("this is no URL: write postgresql://USER:PASSWORD@HOST/DATABASE") from None
    backend, _, driver = url.drivername.partition("+")
    if backend not in _DRIVERS:
        raise DatabaseUrlInvalid(f"{backend} is no database that Headgate knows: use PostgreSQL or SQLite")
    name, module, package = _DRIVERS[backend]
    if driver and f"+{driver}" != name[name.index("+") :]:
        raise DatabaseUrlInvalid(f"the driver {driver} is not used here: begin the URL with {name}://")
    if find_spec(module) is None:
        raise DatabaseUrlInvalid(f"its driver is not installed: pip install '{package}'")
    if backend == "sqlite" and url.database in (None, "", ":memory:"):
        raise DatabaseUrlInvalid("SQLite needs a file: write sqlite:////absolute/path/control.db")
    return url.set(drivername=name).render_as_string(hide_password=False)
