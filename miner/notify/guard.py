"""Where a message may go: judged by the address that is really connected to, at the moment of connecting.

A name that means another address the next time (DNS rebinding), and an address written out, are judged
alike. Nothing private can be reached: no loopback (unless the target's settings allow it, and then only it
beside public ones), no private, link-local or metadata range, also not in an IPv6 wrapping.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

Address = IPv4Address | IPv6Address
SocketFactory = Callable[[tuple[Any, ...]], socket.socket]
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))


class Forbidden(OSError):
    """The address is none that a message may go to."""


def make_socket(allow_loopback: bool, encrypted: bool) -> SocketFactory:
    """What makes sockets for a connection, and refuses to for an address that is forbidden.

    Args:
        allow_loopback: Whether this machine itself may be reached.
        encrypted: Whether it is https; without, only this machine may be reached.
    """

    def make(info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, address = info
        check(str(address[0]), allow_loopback, encrypted)
        return socket.socket(family, kind, protocol)

    return make


def check(text: str, allow_loopback: bool, encrypted: bool = True) -> None:
    """Refuse an address.

    Raises:
        Forbidden: Says of which kind it is.
    """
    address = unwrapped(ip_address(text.partition("%")[0]))
    if address.is_loopback:
        if not allow_loopback:
            raise Forbidden("the target is this machine itself, and allow_loopback is not set")
        return
    if not encrypted:
        raise Forbidden("without https only this machine itself may be reached")
    if not address.is_global or address.is_multicast or address.is_reserved:
        raise Forbidden("the target is in a private, link-local or reserved range")


def unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(address, IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    if inner is None and any(address in net for net in _NAT64):
        inner = IPv4Address(int(address) & 0xFFFFFFFF)
    return inner or address
