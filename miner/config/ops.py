"""Settings of the ops server."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import Field, PlainValidator

from miner.config.fields import FilePath, Part, Secret
from miner.config.problems import BadValue

SOCKET = "ops.sock"
"""Name of the Unix socket in the state folder."""


def _listen(value: object) -> str:
    remedy = 'Write it as "127.0.0.1:9464"; for other machines put a proxy with TLS before it'
    if not isinstance(value, str):
        raise BadValue("{value} is no address", remedy)
    host, _, port = value.rpartition(":")
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        number = int(port) if port.isascii() and port.isdigit() else -1
    except ValueError:
        raise BadValue("{value} is no address and port", remedy) from None
    if not 0 < number < 65_536:
        raise BadValue("{value} names no port", remedy)
    if not address.is_loopback:
        raise BadValue("{value} is open to other machines", remedy)
    return value


Listen = Annotated[str, PlainValidator(_listen)]


class OpsSettings(Part):
    """The ops server: health, metrics and an API, on this machine alone."""

    enabled: bool = Field(True, description="Whether the daemon serves health, metrics and its API")
    socket: FilePath | None = Field(
        None,
        description="The Unix socket, open to the daemon's user alone; none: ops.sock in the state folder",
    )
    listen: Listen | None = Field(
        None, description="A loopback address and port to serve on as well; none: the socket alone"
    )
    read_token_file: Secret | None = Field(
        None, description="Where the token is that lets its bearer read; read again when it changes"
    )
    operate_token_file: Secret | None = Field(
        None,
        description="Where the token is that lets its bearer read and operate; read again when it changes",
    )

    def socket_in(self, state: Path) -> Path:
        """The socket, for a state folder."""
        return self.socket or state / SOCKET

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port of `listen`."""
        if self.listen is None:
            return None
        host, _, port = self.listen.rpartition(":")
        return host.removeprefix("[").removesuffix("]"), int(port)
