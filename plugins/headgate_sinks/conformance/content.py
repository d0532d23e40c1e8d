"""Properties that are easily lost on the way."""

from typing import Any

UNICODE: list[dict[str, Any]] = [
    {"scripts": "Zürich Ελλάδα 東京 مرحبا שלום ไทย हिन्दी", "ключ": "значение"},
    {"planes": "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001d518\U0001d52b \U0001f1e8\U0001f1ed"},
    {"marks": "e\u0301 \u00e9 \u200d \ufeff \u202e \u2028 \u2029 \u0085 \ufffd \uffff"},
    {"controls": 'tab\t newline\n return\r quote" backslash\\ escape\x1b delete\x7f'},
    {"looks_like_syntax": "'; DROP TABLE events; -- ${x} %s {0} <b> &amp; \\N \\u0041 NULL"},
]
INTEGERS: list[dict[str, Any]] = [
    {"integers": [0, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1]},
    {"numbers": [0.1, -1.5e-7, 1e300, 5e-324, True, False, None]},
]


def _deep(levels: int) -> Any:
    value: Any = "bottom"
    for level in range(levels):
        value = {"in": value} if level % 2 else [value]
    return value


# As deep as an event may be, less what holds it.
DEEP: list[dict[str, Any]] = [{"deep": _deep(30)}, {"empty": [{}, [], "", [[]], {"": {}}]}]
NUL = {"nul": "before\0after"}
