"""What a sink may answer."""

import pytest
from headgate_sinks import Retry


def test_a_retry_names_each_event_once_in_their_order():
    assert Retry(events=(3, 1, 3)).events == (1, 3)
    assert Retry("all").events is None


def test_a_retry_of_no_events_is_a_mistake():
    with pytest.raises(ValueError, match="Result"):
        Retry(events=())
