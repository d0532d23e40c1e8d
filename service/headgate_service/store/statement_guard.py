"""What a statement that came over TCP may say, beyond what the engine's grants see to.

It is looked at as the engine itself writes it: with one kind of quotes, no comment, and no other way to spell a name.
"""

import re
from collections.abc import Iterable

from headgate_service.store.access import Access
from headgate_service.store.statement import words_and_calls

TABLE_FUNCTIONS = frozenset((
    "format", "generate_series", "generaterandom", "generateseries", "input", "merge", "null", "numbers", "numbers_mt",
    "primes", "values", "view", "viewifpermitted", "zeros", "zeros_mt",
))  # fmt: skip
"""Those that make rows of nothing, or of tables that the client may read."""

TABLE_ENGINES = frozenset((
    "aggregatingmergetree", "coalescingmergetree", "collapsingmergetree", "join", "log", "materializedview", "memory",
    "mergetree", "null", "replacingmergetree", "set", "stripelog", "summingmergetree", "tinylog",
    "versionedcollapsingmergetree", "view",
))  # fmt: skip
"""Those that keep what they hold in the store's own folder, or in memory."""

# They read files, ask the network or tell of the server, whoever may call them. `disk` makes one, in any folder.
FUNCTIONS = frozenset((
    "catboostevaluate", "disk", "file", "getmacro", "getserversetting", "reversednsquery",
))  # fmt: skip
_FUNCTIONS = re.compile(r"ai[A-Z_]\w*|AI\w+")
_READING = frozenset(("DESC", "DESCRIBE", "EXISTS", "EXPLAIN", "FROM", "SELECT", "SET", "SHOW", "USE", "WITH"))
_WRITING = _READING | {
    "ALTER", "CHECK", "CREATE", "DELETE", "DROP", "INSERT", "KILL", "OPTIMIZE", "RENAME", "TRUNCATE", "UPDATE",
}  # fmt: skip


class StatementGuard:
    """`table_functions` are the engine's, all of them. A project's reader may not `merge` either."""

    def __init__(self, table_functions: Iterable[str]) -> None:
        self._refused = frozenset(name.lower() for name in table_functions) - TABLE_FUNCTIONS

    def fault(self, formatted: str, access: Access) -> str:
        """What the statement, as the engine formats it, must not say; empty where there is nothing."""
        words = list(words_and_calls(formatted.encode()))
        verb = next((word.name.upper() for word in words if not word.quoted), "")
        if verb not in (_READING if access.reads_only else _WRITING):
            return f"{verb or 'this'} is not for clients over TCP"
        engine = False
        for before, word in zip([None, *words], words, strict=False):
            name, after = word.name.lower(), before.name.upper() if before and not before.quoted else ""
            if after in ("OUTFILE", "INFILE") or (not word.quoted and word.name.upper() in ("OUTFILE", "INFILE")):
                return "files are neither read nor written for a client"
            if engine and name not in TABLE_ENGINES:
                return f"the table engine {word.name} is not for clients over TCP"
            engine = not word.quoted and word.name.upper() == "ENGINE" and word.assigned
            if (word.called or after == "APPLY") and self._is_refused(word.name, access):
                return f"the function {word.name} is not for clients over TCP"
        return ""

    def _is_refused(self, name: str, access: Access) -> bool:
        small = name.lower()
        return (
            small in self._refused
            or small in FUNCTIONS
            or _FUNCTIONS.fullmatch(name) is not None
            or (bool(access.project) and small == "merge")
        )
