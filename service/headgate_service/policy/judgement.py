"""What a policy says of one event."""

from dataclasses import dataclass

from headgate.v1 import outcome_pb2


@dataclass(frozen=True, slots=True)
class Kept:
    """It goes on, as the policy changed it. `warnings`: what does not fit its schema, for the sender to read."""

    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dropped:
    """It ends here, and its sender hears of success."""

    reason: outcome_pb2.Reason


@dataclass(frozen=True, slots=True)
class Refused:
    """It does not fit its schema. `field` is a path such as `properties.amount`."""

    field: str
    message: str
    reason: outcome_pb2.Reason = outcome_pb2.REASON_SCHEMA


Judgement = Kept | Dropped | Refused

KEPT = Kept()
SAMPLED = Dropped(outcome_pb2.REASON_SAMPLED)
SWITCHED_OFF = Dropped(outcome_pb2.REASON_SWITCHED_OFF)
IGNORED_ENVIRONMENT = Dropped(outcome_pb2.REASON_IGNORED_ENVIRONMENT)
