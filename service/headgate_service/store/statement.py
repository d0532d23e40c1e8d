"""One statement as it came over HTTP: whether it carries rows and where they begin, and the format of its answer."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    rb"""
    (?P<gap> \s+ | --[^\n]* | \#[!\ ][^\n]* | /\*.*?\*/ )
  | (?P<quoted> '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" | `(?:[^`\\]|\\.|``)*` )
  | (?P<word> [A-Za-z_][A-Za-z0-9_]* )
  | (?P<open> [(\[{] )
  | (?P<close> [)\]}] )
  | (?P<other> . )
    """,
    re.DOTALL | re.VERBOSE,
)
# Where the rows begin: after the line of the statement, or after blanks where they stand on it.
_ROWS = re.compile(rb"[ \t\f]*\r?\n?")
_STREAMED = frozenset((b"SELECT", b"WITH", b"FROM"))


@dataclass(frozen=True, slots=True)
class Statement:
    """`text` is what the engine is given. `rows` is the place in the source where an insert's rows begin and `form`
    the format they are in, or that of the answer; None where the statement does not say. `rest` is what an insert says
    after its columns. `selects`: it only reads rows. `on_files`: it names files, which no client may.
    """

    text: bytes
    rest: bytes = b""
    inserts: bool = False
    selects: bool = False
    form: str | None = None
    rows: int | None = None
    on_files: bool = False


def read_statement(source: bytes) -> Statement:
    """What `source` says. What is not a statement at all is left to the engine, which says so best."""
    words = _words(source)
    verb = next(words, None)
    if verb is None:
        return Statement(source)
    if verb[0] == b"INSERT":
        return _read_insert(source, words)
    form, on_files = None, False
    for word, _, end in words:
        on_files = on_files or word == b"OUTFILE"
        # There is a function of that name, too.
        if word == b"FORMAT" and source[end:].lstrip()[:1] != b"(" and (name := next(words, None)) is not None:
            form = source[name[1] : name[2]].decode("ascii")
    return Statement(source, selects=verb[0] in _STREAMED, form=form, on_files=on_files)


def _read_insert(source: bytes, words: Iterator[tuple[bytes, int, int]]) -> Statement:
    rest: int | None = None
    for word, start, end in words:
        split = start if rest is None else rest
        match word:
            case b"SETTINGS" if rest is None:
                rest = start
            case b"VALUES":
                text, said = source[:split], source[split:start]
                return Statement(text, said, inserts=True, form="Values", rows=_rows(source, end))
            case b"FORMAT" if (name := next(words, None)) is not None:
                form = source[name[1] : name[2]].decode("ascii")
                text, said = source[:split], source[split:start]
                return Statement(text, said, inserts=True, form=form, rows=_rows(source, name[2]))
            case b"SELECT" | b"WITH":
                return Statement(source)
            case b"INFILE":
                return Statement(source, on_files=True)
    split = len(source) if rest is None else rest
    return Statement(source[:split], source[split:], inserts=True, rows=len(source))


def _rows(source: bytes, after: int) -> int:
    found = _ROWS.match(source, after)
    return found.end() if found else after


def _words(source: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The words outside of quotes, comments and brackets, in capitals, with where they start and end."""
    depth = 0
    for token in _TOKEN.finditer(source):
        match token.lastgroup:
            case "open":
                depth += 1
            case "close":
                depth -= 1
            case "word" if depth == 0:
                yield token[0].upper(), token.start(), token.end()


@dataclass(frozen=True, slots=True)
class Word:
    """A word or a quoted name. `called`: a bracket follows. `assigned`: an equals sign follows."""

    name: str
    quoted: bool
    called: bool
    assigned: bool


_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def words_and_calls(source: bytes) -> Iterator[Word]:
    """All words and quoted names of a statement as the engine writes it, in brackets too, but no texts."""
    tokens = [token for token in _TOKEN.finditer(source) if token.lastgroup != "gap"]
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        text = token[0].decode(errors="replace")
        quoted = token.lastgroup == "quoted"
        if token.lastgroup != "word" and (not quoted or text[0] == "'"):
            continue
        then = following[0] if following is not None else b""
        yield Word(_ESCAPED.sub(r"\1", text[1:-1]) if quoted else text, quoted, then == b"(", then == b"=")
