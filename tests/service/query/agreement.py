"""When two answers are the same: integers exactly, floats within 1e-9."""

import math
from typing import Any


def agree(found: Any, expected: Any, path: str = "") -> None:
    if isinstance(expected, dict):
        assert isinstance(found, dict), path
        assert found.keys() == expected.keys(), path
        for name in expected:
            agree(found[name], expected[name], f"{path}.{name}")
    elif isinstance(expected, list):
        assert isinstance(found, list), path
        assert len(found) == len(expected), (path, found, expected)
        for index, (one, other) in enumerate(zip(found, expected, strict=True)):
            agree(one, other, f"{path}[{index}]")
    elif isinstance(expected, float) and not isinstance(found, bool) and isinstance(found, int | float):
        assert math.isclose(found, expected, rel_tol=1e-9), (path, found, expected)
    else:
        assert type(found) is type(expected), (path, found, expected)
        assert found == expected, (path, found, expected)
