"""Which cores what is measured and the load run on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cores:
    """Lists as `taskset -c` takes them."""

    servers: str
    load: str

    def serving(self, command: list[str]) -> list[str]:
        return ["taskset", "-c", self.servers, *command]

    def loading(self, command: list[str]) -> list[str]:
        return ["taskset", "-c", self.load, *command]
