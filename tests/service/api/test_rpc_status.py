"""The statuses that calls end with."""

from urllib.parse import quote

import pytest
from headgate_service.api.rpc_status import status_of
from headgate_service.errors import InvalidArgument, ProjectUnknown


@pytest.mark.parametrize("character", ["a", "\u00e9", "\U0001f4a9", "%"])
def test_a_status_that_names_what_was_sent_fits_into_headers(character: str):
    """gRPC takes 16 KiB of them, the message with each byte written as three characters, the details as base64."""
    for error in (ProjectUnknown(f"no project {character * 100_000}"), InvalidArgument("f", character * 100_000)):
        status = status_of(error)
        assert len(quote(status.message)) + len(status.SerializeToString()) * 4 / 3 < 14_000
        assert character * 100 in status.message


def test_a_message_of_usual_length_is_told_whole():
    assert status_of(ProjectUnknown("no project \u00e9")).message == "no project \u00e9"
