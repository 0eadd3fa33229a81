"""Who may do what: bearer tokens, the socket's owner, and no way in for a page of somebody else's.

Nothing but health is told to whoever bears no token. A process of the daemon's own user that comes over the
Unix socket may read without one, as it may read the store; it needs a token to change anything.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
import struct
from enum import IntEnum
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from miner.config import OpsSettings, SecretFile
from miner.errors import ConfigError
from miner.ops.problems import Problem

log = structlog.get_logger("ops")

SHORTEST_TOKEN = 32
"""Characters; a shorter token lets nobody in."""
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="swap-miner"'}
_UCRED = struct.Struct("3i")
_FORWARDED = ("Forwarded", "X-Forwarded-For", "Via")
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Scope(IntEnum):
    """What a caller may do; each includes those before it."""

    HEALTH = 0
    READ = 1
    OPERATE = 2


class Gate:
    """Judges each request. Tokens are read anew for each, so that a changed file counts at once."""

    def __init__(self, settings: OpsSettings) -> None:
        self._tokens = {Scope.OPERATE: settings.operate_token_file, Scope.READ: settings.read_token_file}
        self._unusable: set[str] = set()

    def check(self, request: web.Request, needed: Scope) -> None:
        """Let a request through.

        Raises:
            Problem: 401 without a token that is known, 403 with one that may not do this, or where the
                request comes from a page of somebody else's.
        """
        refuse_strange_pages(request)
        if needed is Scope.HEALTH:
            return
        has = self._scope(request)
        if has >= needed:
            return
        if has is Scope.HEALTH:
            raise Problem(401, "a bearer token is needed: Authorization: Bearer …", _CHALLENGE)
        raise Problem(403, "this may only be done with the operate token")

    def _scope(self, request: web.Request) -> Scope:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        if kind:
            found = self._of_token(given.strip()) if kind.lower() == "bearer" else Scope.HEALTH
            if found is Scope.HEALTH:
                raise Problem(401, "this token is not known", _CHALLENGE)
            return found
        return Scope.READ if is_own_user(request) else Scope.HEALTH

    def _of_token(self, given: str) -> Scope:
        """Every token is compared, each in constant time."""
        found = Scope.HEALTH
        for scope, source in self._tokens.items():
            token = self._read(source)
            if token is not None and _same(token, given):
                found = max(found, scope)
        return found

    def _read(self, source: SecretFile | None) -> str | None:
        if source is None:
            return None
        try:
            token = source.read()
        except ConfigError as error:
            self._tell(source, error.problem)
            return None
        if len(token) < SHORTEST_TOKEN:
            self._tell(source, f"is shorter than {SHORTEST_TOKEN} characters")
            return None
        self._unusable.discard(str(source))
        return token

    def _tell(self, source: SecretFile, problem: str) -> None:
        if str(source) not in self._unusable:
            self._unusable.add(str(source))
            log.error("ops_key_unusable", source=str(source), problem=problem, remedy="openssl rand -hex 32")


def _same(token: str, given: str) -> bool:
    ours, theirs = (hashlib.sha256(text.encode("utf-8", "replace")).digest() for text in (token, given))
    return hmac.compare_digest(ours, theirs)


def _socket_of(request: web.Request) -> socket.socket | None:
    return None if request.transport is None else request.transport.get_extra_info("socket")


def is_local_socket(request: web.Request) -> bool:
    """Whether it came over the Unix socket."""
    found = _socket_of(request)
    return found is not None and found.family == socket.AF_UNIX


def is_own_user(request: web.Request) -> bool:
    """Whether the other end of the Unix socket is a process of our own user (or root), and no proxy."""
    found = _socket_of(request)
    if found is None or found.family != socket.AF_UNIX or any(name in request.headers for name in _FORWARDED):
        return False
    _pid, uid, _gid = _UCRED.unpack(found.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return uid in (0, os.geteuid())


def refuse_strange_pages(request: web.Request) -> None:
    """Refuse what a browser sends for a page of another site, also where that site's name leads here.

    Raises:
        Problem: 403.
    """
    if not is_local_socket(request) and _name_in(f"//{request.headers.get('Host', '')}") not in _LOCAL_NAMES:
        raise Problem(403, "the Host header names no loopback address")
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{request.headers.get('Host', '')}":
        raise Problem(403, "the Origin header names another site")


def _name_in(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
