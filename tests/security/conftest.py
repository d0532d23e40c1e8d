"""The Headgate that the end-to-end tests start."""

from tests.end_to_end.conftest import headgate, make_headgate, wait_until

__all__ = ["headgate", "make_headgate", "wait_until"]
