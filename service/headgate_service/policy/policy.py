"""A project's policy: a compiled config, ready to judge events by."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Generic, TypeVar

import orjson
from headgate.v1 import event_pb2, outcome_pb2

from headgate_service.errors import PolicyInvalid
from headgate_service.failure import Fault
from headgate_service.model.event_rules import complete_user
from headgate_service.policy.compiled_config import CompiledConfig, EventRule, OriginPattern
from headgate_service.policy.config_faults import pointer
from headgate_service.policy.paths import PROPERTIES, CanonicalField, holds_more, url_of, values
from headgate_service.policy.pii import Pii, PiiRule, hash_key_of
from headgate_service.policy.property_schema import PropertySchema, patterns_in
from headgate_service.policy.schema_cost import SchemaInvalid

_WHOLE = 2**64


def kept(event: event_pb2.Event, project_id: str, rate: float) -> bool:
    """Whether an event is among the share `rate` (0 to 1) of its project, name and user.

    A user who is kept at one rate is kept at every higher one. An event without a user is told by its id, and one
    without an id by all it says.
    """
    who = event.distinct_id or event.event_id
    told = who.encode() if who else event.SerializeToString(deterministic=True)
    drawn = blake2b(b"%b\0%b\0%b" % (project_id.encode(), event.name.encode(), told), digest_size=8).digest()
    return int.from_bytes(drawn, "big") < rate * _WHOLE


Rule = TypeVar("Rule")
# An attacker can make names up without end; what is remembered of them must end.
MAX_REMEMBERED = 1000
MAX_REMEMBERED_CHARACTERS = 200
# Each is looked for in every name that is not remembered.
MAX_GLOBS = 100
# Of a longer name, globs are looked for in the first and the last half of so many characters.
MAX_LOOKED_AT = 1_000


class EventNames(Generic[Rule]):
    """Finds the rule of a name: its own entry, else the glob with the most characters beside its `*`, else `default`.

    `*` stands for any characters, none too. Of equally long globs the first by alphabet is meant.
    """

    def __init__(self, rules: Mapping[str, Rule], default: Rule) -> None:
        self._named = {name: rule for name, rule in rules.items() if "*" not in name}
        globs = sorted((name for name in rules if "*" in name), key=lambda glob: (-len(glob.replace("*", "")), glob))
        self._globs = [(glob.split("*"), rules[glob]) for glob in globs]
        self._default = default
        self._remembered: OrderedDict[str, Rule] = OrderedDict()

    def rule_of(self, name: str) -> Rule:
        rule = self._named.get(name)
        if rule is not None:
            return rule
        if not self._globs:
            return self._default
        rule = self._remembered.get(name)
        if rule is None:
            looked_at = name
            if len(name) > MAX_LOOKED_AT:
                looked_at = f"{name[: MAX_LOOKED_AT // 2]}\0{name[-MAX_LOOKED_AT // 2 :]}"
            rule = next((found for parts, found in self._globs if _matches(looked_at, parts)), self._default)
            if len(name) > MAX_REMEMBERED_CHARACTERS:
                return rule
            self._remembered[name] = rule
            if len(self._remembered) > MAX_REMEMBERED:
                self._remembered.popitem(last=False)
        return rule


def _matches(name: str, parts: list[str]) -> bool:
    """Whether the parts between stars come in a name one after another; in time linear in each part's search."""
    first, *middle, last = parts
    if len(name) < len(first) + len(last) or not name.startswith(first) or not name.endswith(last):
        return False
    at, end = len(first), len(name) - len(last)
    for part in middle:
        at = name.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


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


# Origins are the clients' to make up.
_ORIGINS_REMEMBERED = 1_000
_ORIGIN_CHARACTERS = 300
MAX_STARRED = 10
# Each reads an address anew, of 32 KiB for 2 ms.
MAX_PARTS_OF_ADDRESSES = 30
# Steps of all paths into the properties times elements of an event's arrays: up to which these are gone through.
MAX_LOOKED_FOR = 250_000


@dataclass(frozen=True, slots=True)
class _Rule:
    enabled: bool
    sample: float
    schema: PropertySchema | None
    enforced: bool


@dataclass(frozen=True, slots=True)
class _IgnoredField:
    """`field` is None for a path into the properties."""

    field: CanonicalField | None
    path: tuple[str, ...]
    ignored: frozenset[tuple[bool, Any]]

    def holds(self, event: event_pb2.Event, properties: Mapping[str, Any]) -> bool:
        if self.field is not None:
            return (False, self.field.get(event)) in self.ignored
        return any(_scalar(value) in self.ignored for found in values(properties, self.path) for value in _each(found))


class Policy:
    """Judges events. Nothing in it changes after `parse`, so that it may be shared."""

    def __init__(
        self,
        project_id: str,
        config: CompiledConfig,
        names: EventNames[_Rule],
        pii: Pii,
        ignored: Sequence[_IgnoredField],
    ) -> None:
        self.readable = True
        self.config = config
        self._project_id = project_id
        self._names = names
        self._pii = pii
        self._ignored = ignored
        self._reads_ignored = any(field.field is None for field in ignored)
        steps = pii.steps + sum(len(field.path) for field in ignored)
        self._most_elements = MAX_LOOKED_FOR // steps if steps else None
        allowed = _matcher(config.origins, otherwise=True)
        self._from_ignored = _remembered(_matcher(config.ignored_environments.origins, otherwise=False))
        # Who is to be ignored in silence is not to be told of a fault.
        self._allowed = _remembered(lambda origin: allowed(origin) or self._from_ignored(origin))

    @classmethod
    def parse(cls, compiled: Any, *, project_id: str, secret: bytes) -> "Policy":
        """Reads a compiled config, a JSON value, for a project. `secret` is what hashes are keyed with.

        Raises PolicyInvalid.
        """
        config = CompiledConfig.read(compiled)
        faults: list[Fault] = []
        patterns = patterns_in(rule.json_schema for rule in (config.default, *config.events.values()))
        rules = {name: _rule(rule, faults, ("events", name), patterns) for name, rule in config.events.items()}
        default = _rule(config.default, faults, ("default",), patterns)
        if sum("*" in name for name in config.events) > MAX_GLOBS:
            faults.append(Fault("/events", f"has more than {MAX_GLOBS} names with a star"))
        faults += _pii_faults([setting.path for setting in config.pii])
        if faults:
            raise PolicyInvalid(faults)
        pii = Pii(
            [PiiRule(setting.path, setting.action) for setting in config.pii],
            config.ip,
            hash_key_of(secret, project_id),
        )
        ignored = [_ignored_field(path, given) for path, given in config.ignored_environments.fields.items()]
        return cls(project_id, config, EventNames(rules, default), pii, ignored)

    @classmethod
    def unreadable(cls, project_id: str) -> "Policy":
        """Stands for a policy that cannot be told: nothing is taken under it."""
        policy = cls.parse({"formatVersion": 1}, project_id=project_id, secret=b"")
        policy.readable = False
        return policy

    def allows(self, origin: str) -> bool:
        """Whether browsers may send from an origin, which is the value of their Origin header."""
        return self._allowed(origin)

    def judge(self, event: event_pb2.Event, origin: str = "") -> Judgement:
        """What becomes of an event that is acceptable by its API's rules. Of one that is kept, personal data is
        changed, in place, and its weight set; its schema sees it as the client sent it."""
        complete_user(event)
        rule = self._names.rule_of(event.name)
        properties: dict[str, Any] | None = None
        if rule.schema is not None or self._reads_ignored or self._pii.reads_properties:
            properties = orjson.loads(event.properties_json) if event.properties_json else {}
        # An element is at least a character and a comma.
        if (
            self._most_elements is not None
            and len(event.properties_json) > 2 * self._most_elements
            and holds_more(properties, self._most_elements)
        ):
            message = f"must hold at most {self._most_elements} elements of arrays to be judged by this project's paths"
            return Refused("properties", message)
        if (origin and self._from_ignored(origin)) or any(
            field.holds(event, properties or {}) for field in self._ignored
        ):
            return IGNORED_ENVIRONMENT
        if not rule.enabled:
            return SWITCHED_OFF
        if rule.sample < 1.0:
            if not kept(event, self._project_id, rule.sample):
                return SAMPLED
            event.sample_weight = 1.0 / rule.sample
        judgement: Judgement = KEPT
        if rule.schema is not None and (faults := rule.schema.faults(properties or {}, len(event.properties_json))):
            if rule.enforced:
                return Refused(faults[0].field, "; ".join(_told(fault, faults[0].field) for fault in faults))
            judgement = Kept(tuple(f"{fault.field}: {fault.message}" for fault in faults))
        self._pii.apply(event, properties)
        return judgement

    @property
    def hides(self) -> bool:
        """Whether it changes personal data of events at all."""
        return not self._pii.idle

    def redact(self, event: event_pb2.Event) -> None:
        """Changes an event's personal data, in place, whatever becomes of the event."""
        properties = orjson.loads(event.properties_json) if event.properties_json else {}
        self._pii.apply(event, properties)

    def experiments(self, ids: Collection[str], *, test: bool) -> list[dict[str, Any]]:
        """The experiments of these ids (none: all), as they were deployed; those marked `test` only where asked."""
        return [
            experiment.model_dump(mode="json", exclude_defaults=True)
            for experiment in self.config.experiments
            if (not ids or experiment.id in ids) and (test or not experiment.test)
        ]


def _told(fault: Any, first: str) -> str:
    return fault.message if fault.field == first else f"{fault.field} {fault.message}"


def _pii_faults(paths: Sequence[str]) -> list[Fault]:
    """Rules that are one too many: each is looked for in every event."""
    faults = [
        Fault(pointer("pii", place, "path"), "is ruled already, by a rule before")
        for place, path in enumerate(paths)
        if path in paths[:place]
    ]
    if sum("*" in path for path in paths) > MAX_STARRED:
        faults.append(Fault("/pii", f"has more than {MAX_STARRED} paths with a star"))
    if sum(bool(url_of(path)) for path in paths) > MAX_PARTS_OF_ADDRESSES:
        faults.append(Fault("/pii", f"has more than {MAX_PARTS_OF_ADDRESSES} parts of addresses"))
    return faults


def _rule(rule: EventRule, faults: list[Fault], place: tuple[str, ...], patterns: int) -> _Rule:
    schema = None
    if rule.json_schema is not None:
        try:
            schema = PropertySchema(rule.json_schema, patterns)
        except SchemaInvalid as error:
            inside = pointer(*place, "schema")
            faults.extend(Fault(f"{inside}{fault.path}", fault.message) for fault in error.faults)
    return _Rule(rule.enabled, rule.sample, schema, rule.schema_mode == "enforce")


def _ignored_field(path: str, given: Sequence[Any]) -> _IgnoredField:
    head, *rest = path.split(".")
    inside = head == PROPERTIES
    ignored = frozenset(map(_scalar, given))
    return _IgnoredField(None if inside else CanonicalField.of(path), tuple(rest) if inside else (), ignored)


def _scalar(value: Any) -> tuple[bool, Any]:
    """A value such that true is not 1."""
    return isinstance(value, bool), value if isinstance(value, str | int | float | None) else repr(value)


def _each(found: Any) -> Sequence[Any]:
    return found if isinstance(found, list) else (found,)


def _matcher(texts: Sequence[str], *, otherwise: bool) -> Callable[[str], bool]:
    patterns = [OriginPattern.parse(text) for text in texts]
    if not patterns:
        return lambda _: otherwise
    return lambda origin: any(pattern.matches(origin) for pattern in patterns)


def _remembered(matches: Callable[[str], bool]) -> Callable[[str], bool]:
    remembered = lru_cache(_ORIGINS_REMEMBERED)(matches)
    # A header may be 64 KiB, and a thousand of them are too many to keep.
    return lambda origin: remembered(origin) if len(origin) <= _ORIGIN_CHARACTERS else matches(origin)
