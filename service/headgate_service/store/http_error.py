"""The HTTP status of each of ClickHouse's errors, as ClickHouse itself has it in its HTTPHandler.cpp."""

UNKNOWN_FORMAT = 73
TOO_BIG_BODY = 307
NOT_IMPLEMENTED = 48
READONLY = 164
TOO_MANY_AT_ONCE = 202
AUTHENTICATION_FAILED = 516
SYNTAX_ERROR = 62

_STATUS: dict[int, int] = {
    **dict.fromkeys((AUTHENTICATION_FAILED, 192, 193, 194, 497), 403),
    **dict.fromkeys((
        6, 26, 27, 28, 29, 38, 41, 43, 44, 53, 57, 59, 62, 69, 70, 72, 77, 117, 131, 349, 376, 377, 379, 407, 441,
        456, 457, 467, 469,
    ), 400),
    **dict.fromkeys((36, 46, 47, 50, 56, 60, 63, 65, UNKNOWN_FORMAT, 81, 82, 115, 1000), 404),
    **dict.fromkeys((229, TOO_BIG_BODY, 382), 413),
    NOT_IMPLEMENTED: 501,
    159: 408,
    **dict.fromkeys((TOO_MANY_AT_ONCE, 209, 210, 242, 439), 503),
}  # fmt: skip


def status_of(code: int) -> int:
    return _STATUS.get(code, 500)


class Refused(Exception):
    """A request that never reaches the engine, for a reason that ClickHouse has a number and a name for."""

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {message}. ({name})")
        self.code = code
