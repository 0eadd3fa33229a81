"""Where secrets are: in files, systemd credentials or the environment; never in the settings themselves."""

from __future__ import annotations

import os
import re
import stat
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from miner.config.problems import BadValue, looks_secret
from miner.errors import ConfigError

base_folder: ContextVar[Path | None] = ContextVar("base_folder", default=None)
"""The folder that relative paths start from while settings are read: the config file's."""

own_credentials: ContextVar[Path | None] = ContextVar("own_credentials", default=None)
"""While settings are read: the folder from which the service's credentials are passed."""

CREDENTIALS = "CREDENTIALS_DIRECTORY"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}", re.ASCII)
_LARGEST = 64 * 1024


class SecretKind(StrEnum):
    """What holds a secret."""

    FILE = "file"
    CREDENTIAL = "credential"
    ENVIRONMENT = "env"


@dataclass(frozen=True, slots=True)
class SecretFile:
    """Where a secret is; the secret itself is read when it is needed, and not kept.

    Attributes:
        kind: What holds it.
        name: Absolute path, name of the systemd credential, or name of the environment variable.
        beside: For a credential: the folder that it is in where systemd passes none, as for a command that
            is run by hand.
    """

    kind: SecretKind
    name: str
    beside: Path | None = None

    def __str__(self) -> str:
        return self.name if self.kind is SecretKind.FILE else f"{self.kind}:{self.name}"

    @property
    def path(self) -> Path | None:
        """The file; None for an environment variable, and for a credential that is nowhere to be found."""
        if self.kind is SecretKind.FILE:
            return Path(self.name)
        if self.kind is SecretKind.ENVIRONMENT:
            return None
        folder = os.environ.get(CREDENTIALS) or self.beside
        return Path(folder) / self.name if folder else None

    @property
    def is_passed(self) -> bool:
        """Whether it comes from systemd, whose access list for the service's user shows as group bits."""
        return self.kind is SecretKind.CREDENTIAL and bool(os.environ.get(CREDENTIALS))

    def read(self, shared_with_group: bool = False) -> str:
        """The secret, without blanks around it; looked up anew at each call.

        Args:
            shared_with_group: As for `check`.

        Raises:
            ConfigError: It is missing, empty, unreadable, or open to others.
        """
        in_environment = self.kind is SecretKind.ENVIRONMENT
        found = os.environ.get(self.name, "") if in_environment else self._read_file(shared_with_group)
        if not found.strip():
            raise self._error("is empty", "Put the secret into it")
        return found.strip()

    def check(self, shared_with_group: bool = False) -> None:
        """Find out whether the secret is there and open to nobody else, without reading it.

        Args:
            shared_with_group: Whether the group may read it (bitcoind's cookie is passed on that way).

        Raises:
            ConfigError: It is not there, or open to others.
        """
        if self.kind is SecretKind.ENVIRONMENT:
            if self.name not in os.environ:
                raise self._error(
                    "is not set", f"Set the environment variable {self.name}, or name a file instead"
                )
            return
        path = self._existing()
        try:
            self._check_mode(path.stat(), shared_with_group)
        except OSError as exc:
            raise self._unreadable(exc) from exc
        if not os.access(path, os.R_OK):
            raise self._error("cannot be read by this user", f"Run as its owner, or: chown $USER {self}")

    def _existing(self) -> Path:
        path = self.path
        if path is None:
            raise self._error(
                f"was not passed to this process (${CREDENTIALS} is not set)",
                f"Add LoadCredential={self.name}:/path/of/the/secret to the service, or put it into the "
                "folder credentials beside the settings and run: swap-miner service install --yes",
            )
        return path

    def _check_mode(self, found: os.stat_result, shared_with_group: bool) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise self._error("is not a regular file", "Name the file that holds the secret")
        lenient = shared_with_group or self.is_passed
        if found.st_mode & (0o027 if lenient else 0o077):
            mode = f"mode {stat.S_IMODE(found.st_mode):04o}"
            raise self._error(
                f"is open to other users ({mode})", f"chmod {'640' if lenient else '600'} {self.path}"
            )

    def _read_file(self, shared_with_group: bool) -> str:
        path = self._existing()
        try:
            with path.open("rb") as file:
                self._check_mode(os.fstat(file.fileno()), shared_with_group)
                return file.read(_LARGEST).decode("utf-8")
        except UnicodeDecodeError as exc:
            raise self._error("is not text", "Name the file that holds the secret as plain text") from exc
        except OSError as exc:
            raise self._unreadable(exc) from exc

    def _unreadable(self, exc: OSError) -> ConfigError:
        problem = f"cannot be read ({exc.strerror or exc})"
        if self.kind is not SecretKind.CREDENTIAL:
            return self._error(problem, "Correct the path, or who may read it")
        if (sealed := Path(f"{self.path}.cred")).exists():
            passing = f"systemd-run --pty --wait -p LoadCredentialEncrypted={self.name}:{sealed} swap-miner …"
            return self._error("is there encrypted to this machine only", f"As systemd reads it: {passing}")
        if isinstance(exc, FileNotFoundError) and not self.is_passed:
            return self._error(f"is not in {self.beside}", f"Put it there: install -m 600 FILE {self.path}")
        passing = "Have the service pass it: swap-miner service install --yes, then restart it"
        return self._error(problem, passing if self.is_passed else "Run this as root")

    def _error(self, problem: str, remedy: str) -> ConfigError:
        return ConfigError(str(self), problem, remedy)


def parse_secret(value: object) -> SecretFile:
    """`credential:NAME`, `env:NAME` or a path, as a `SecretFile`.

    Raises:
        BadValue: It is none of them; also when it looks like the secret itself.
    """
    remedy = (
        'Name where the secret is: a file, "credential:NAME" (systemd) or "env:NAME"; never the secret itself'
    )
    if isinstance(value, SecretFile):
        return value
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise BadValue("{value} is no path", remedy)
    if looks_secret(value):
        raise BadValue("the value looks like the secret itself", remedy)
    kind, colon, name = value.partition(":")
    if colon and kind in (SecretKind.CREDENTIAL, SecretKind.ENVIRONMENT):
        if not _NAME.fullmatch(name) or name in (".", ".."):
            raise BadValue(f"{{value}} names no {kind}", remedy)
        beside = own_credentials.get() if kind == SecretKind.CREDENTIAL else None
        return SecretFile(SecretKind(kind), name, beside)
    return SecretFile(SecretKind.FILE, str(absolute(value)))


def absolute(value: object) -> Path:
    """A path from the settings: `~` is the home folder, a relative one starts at the config file's folder.

    Raises:
        BadValue: It is no path.
    """
    if not isinstance(value, str | Path) or not str(value).strip() or "\0" in str(value):
        raise BadValue("{value} is no path", "Write a path in quotes")
    try:
        path = Path(value).expanduser()
    except RuntimeError:
        raise BadValue("{value}: there is no such home folder", "Write the path in full") from None
    return Path(os.path.abspath((base_folder.get() or Path.cwd()) / path))  # noqa: PTH100 (a link may stay one)
