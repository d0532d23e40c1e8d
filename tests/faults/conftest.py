"""How much is run. `tox -e faults` asks for more by these variables; a failure is repeated by its seed.

HEADGATE_TEST_FAULT_SEED     the first seed (default 1)
HEADGATE_TEST_FAULT_RUNS     how many seeds, each with a data directory of its own (default 1)
HEADGATE_TEST_FAULT_ROUNDS   how many faults a run suffers (default: a few, which fit in the default run of the tests)
HEADGATE_TEST_FAULT_REPORT   a file to which each run that held appends a line of JSON
"""

import os
import sys
from collections.abc import Callable

import pytest

FIRST = int(os.environ.get("HEADGATE_TEST_FAULT_SEED", "1"))
RUNS = int(os.environ.get("HEADGATE_TEST_FAULT_RUNS", "1"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(FIRST, FIRST + RUNS))


@pytest.fixture(autouse=True)
def _on_linux() -> None:
    if sys.platform != "linux":
        pytest.skip("the faults are made with /proc and signals of Linux")


@pytest.fixture
def rounds() -> Callable[[int], int]:
    """How many faults to suffer, where so many are the default."""
    asked = os.environ.get("HEADGATE_TEST_FAULT_ROUNDS")
    return lambda default: int(asked) if asked else default
