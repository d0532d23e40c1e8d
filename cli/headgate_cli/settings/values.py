"""Values of headgate.toml that are written as text: rates, times, addresses, paths."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from headgate_cli.settings.section import Rate

# What to connect to in place of a wildcard address.
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104


@dataclass(frozen=True)
class Address:
    """A host (name, IPv4 or IPv6 address, without brackets) and a port; port 0 stands for any free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read "HOST:PORT" or "[IPV6]:PORT". Raises ValueError with what to write instead."""
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError(f"{text!r} is not an address: write an IPv6 host in brackets, for example [::1]:8080")
        if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{text!r} is not an address: write HOST:PORT, for example 127.0.0.1:8080")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def reachable(self) -> "Address":
        """The same, with a wildcard host replaced by one that can be connected to."""
        return Address(LOOPBACK.get(self.host, self.host), self.port)


SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_rate(value: object) -> object:
    """Read "1000/60s" as 1000 requests in a window of 60 seconds."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*([smhd])\s*", value)
    if match is None or not int(match[1]) or not int(match[2]):
        raise ValueError('write requests and window, both above 0, as "1000/60s"')
    return {"requests": int(match[1]), "window_seconds": int(match[2]) * SECONDS[match[3]]}


def parse_seconds(value: object) -> object:
    """Read "24h" as 86400; a bare integer is seconds."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+)\s*([smhd])\s*", value)
    if match is None:
        raise ValueError('write a number and its unit, s, m, h or d, as "24h"')
    return int(match[1]) * SECONDS[match[2]]


def check_address(text: str) -> str:
    """Check that the text is HOST:PORT."""
    return str(Address.parse(text))


def check_network(text: str) -> str:
    """Check that the text is an address range."""
    return str(ipaddress.ip_network(text, strict=False))


def resolve_path(path: Path, info: ValidationInfo) -> Path:
    """Resolve a relative path against the folder of headgate.toml."""
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / path


def check_secrets_key(text: str) -> str:
    """Check the keys, without showing them."""
    from headgate_service.control_db.secret_box import SecretsKeyInvalid, read_keys

    try:
        read_keys(text)
    except SecretsKeyInvalid as error:
        raise ValueError(str(error)) from None
    return text


RateSetting = Annotated[Rate, BeforeValidator(parse_rate)]
SecondsSetting = Annotated[int, BeforeValidator(parse_seconds), Field(gt=0)]
AddressSetting = Annotated[str, AfterValidator(check_address)]
PathSetting = Annotated[Path, AfterValidator(resolve_path)]
SecretsKeySetting = Annotated[str, AfterValidator(check_secrets_key)]
NetworkSetting = Annotated[str, AfterValidator(check_network)]
