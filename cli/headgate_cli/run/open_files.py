"""How many files and connections a process may have open: the soft limit is raised as far as it goes."""

import resource

from headgate_cli.settings.reader import SettingsInvalid

MIN_OPEN_FILES = 512
_ENOUGH = 65_536
_RESERVED = 256


def raise_open_files() -> int:
    """Raise the limit to what the hard limit allows, and return it. Raises SettingsInvalid where that is too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft == resource.RLIM_INFINITY:
        return _ENOUGH
    if soft < MIN_OPEN_FILES:
        raise SettingsInvalid(
            f"open files: the limit of this process is {soft}, and Headgate needs at least {MIN_OPEN_FILES}: raise it "
            "with `ulimit -Hn 65536`, or `LimitNOFILE=65536` in a systemd unit"
        )
    return soft


def most_connections(open_files: int) -> int:
    """How many of so many open files may be clients' connections."""
    return open_files - _RESERVED
