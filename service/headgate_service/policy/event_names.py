"""Which of a config's entries an event's name means."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Generic, TypeVar

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
