"""The names in Redis by which forwarders, and those who control them, tell each other things."""

# Sorted set of the forwarders that run, by owner; the score is when an entry is no longer believed, in milliseconds.
FORWARDERS = "headgate:forwarders"

# Hash of the sinks that an operator paused: since when, in milliseconds since 1970.
PAUSED_SINKS = "headgate:sinks:paused"

# Counter, raised when there are dead letters to send again or a replay was started or cancelled.
ERRANDS = "headgate:errands"

# Hash of the tests that are asked for: id of the event -> when, in milliseconds since 1970, a space, and the sink.
SINK_TESTS = "headgate:sink-tests"

# Hash of replays by id: StoredReplay.
REPLAYS = "headgate:replays"


def sink_test_answer(event_id: str) -> str:
    """List of one: what came of a test, empty where it was delivered."""
    return f"headgate:sink-test:{event_id}"


def replay_sink(replay_id: str) -> str:
    """What a replay is called where the name of a sink is asked for; no sink is called so."""
    return f"replay.{replay_id}"


def replay_of(sink: str) -> str:
    """The id of the replay that is called so; empty where it is a sink."""
    return sink.removeprefix("replay.") if sink.startswith("replay.") else ""


def sink_status(sink: str) -> str:
    """Hash: state, last_error, since (milliseconds since 1970)."""
    return f"headgate:sink:{sink}:status"
