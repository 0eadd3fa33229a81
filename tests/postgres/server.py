"""PostgreSQL servers of the tests: made, started, copied as standbys, promoted, killed.

They run under a user of their own where the tests run as root, since PostgreSQL refuses root. Their data is
in memory where there is room: then `fsync` stays on, as the store demands, and costs nothing.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode

import psutil
import psycopg

ADMIN = "postgres"
READY_S = 60.0
SHARED_MEMORY = Path("/dev/shm")
ROOM_BYTES = 600 << 20
_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "60",
    "shared_buffers": "16MB",
    "dynamic_shared_memory_type": "mmap",
    "max_wal_size": "64MB",
    "min_wal_size": "32MB",
    "wal_level": "replica",
    "max_wal_senders": "4",
    "wal_keep_size": "32MB",
    "hot_standby": "on",
    "autovacuum": "off",
    "jit": "off",
    "log_min_messages": "warning",
    "timezone": "UTC",
    "wal_receiver_status_interval": "1s",
}

HBA = """
local all all trust
host all secretive 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
local replication all trust
host replication all 127.0.0.1/32 trust
"""


def programs() -> Path | None:
    """The folder of the newest PostgreSQL on this machine; None where there is none."""
    found = [path for place in _PLACES for path in Path("/").glob(place[1:]) if (path / "initdb").exists()]
    on_path = shutil.which("initdb")
    if on_path is not None:
        found.append(Path(on_path).parent)
    return max(found, key=_version, default=None)


def _version(path: Path) -> int:
    return int(next((part for part in path.parts if part.isdigit()), 0))


def _user() -> str | None:
    """Whom to run it as; None: as ourselves."""
    if os.getuid() != 0:
        return None
    with suppress(KeyError):
        return pwd.getpwnam("postgres").pw_name
    return "nobody"


def _as_user() -> list[str]:
    """The words before a command that have it run under that user."""
    user = _user()
    if user is None:
        return ["setpriv"]
    found = pwd.getpwnam(user)
    return ["setpriv", f"--reuid={found.pw_uid}", f"--regid={found.pw_gid}", "--clear-groups"]


def _own(*folders: Path) -> None:
    user = _user()
    for folder in folders:
        folder.chmod(0o700)
        if user is not None:
            shutil.chown(folder, user)


def make_room() -> Path:
    """A new folder for servers: in memory where there is room."""
    base: Path | None = None
    if SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > ROOM_BYTES:
        base = SHARED_MEMORY
    folder = Path(tempfile.mkdtemp(prefix="swm-pg-", dir=base))
    folder.chmod(0o711)
    return folder


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(eq=False)
class Server:
    """One server.

    Attributes:
        folder: Holds its data, its socket and its log.
        port: On 127.0.0.1, and of its socket.
    """

    folder: Path
    port: int
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @classmethod
    def make(cls, room: Path, name: str = "one") -> Self:
        """A fresh cluster, not yet started."""
        server = cls._at(room, name)
        server._run(
            "initdb", "-D", str(server.data), "-U", ADMIN, "-E", "UTF8", "--locale=C.UTF-8",
            "--auth=trust", "--no-sync", "--no-instructions",
        )  # fmt: skip
        (server.data / "pg_hba.conf").write_text(HBA)
        server.configure(**SETTINGS)
        return server

    @classmethod
    def _at(cls, room: Path, name: str) -> Self:
        folder = room / name
        folder.mkdir()
        (folder / "data").mkdir()
        _own(folder / "data", folder)
        folder.chmod(0o711)  # clients reach the socket in it
        return cls(folder, free_port())

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.folder / "data"

    def configure(self, **settings: str) -> None:
        """Write settings that hold from the next start on (or `reload`)."""
        with (self.data / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def start(self) -> Self:
        """Start it, and wait until it answers; it ends with this process whatever happens."""
        command = ["setpriv", "--pdeathsig", "QUIT", *_as_user()[1:]]
        arguments = ["-D", str(self.data), "-k", str(self.folder), "-p", str(self.port)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, str(_programs() / "postgres"), *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
            )  # fmt: skip
        self._wait()
        return self

    def _wait(self) -> None:
        end = time.monotonic() + READY_S
        while True:
            try:
                self.connect().close()
                return
            except psycopg.OperationalError:
                if self._process is None or self._process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def connect(self, database: str = ADMIN, **options: Any) -> psycopg.Connection[Any]:
        """A connection of the administrator over the socket; every statement commits by itself."""
        return psycopg.connect(
            host=str(self.folder), port=self.port, user=ADMIN, dbname=database, autocommit=True, **options
        )

    def run(self, *statements: str, database: str = ADMIN) -> list[tuple[Any, ...]]:
        """Run statements; the rows of the last one."""
        with self.connect(database) as conn:
            rows: list[tuple[Any, ...]] = []
            for statement in statements:
                cursor = conn.execute(statement.encode())
                rows = cursor.fetchall() if cursor.description else []
            return rows

    def url(
        self, database: str = ADMIN, *, socket: bool = False, port: int | None = None, **query: str
    ) -> str:
        """A URL for the store."""
        host = quote(str(self.folder), safe="") if socket else "127.0.0.1"
        text = f"postgresql://{ADMIN}@{host}:{port or self.port}/{database}"
        return f"{text}?{urlencode(query, quote_via=quote)}" if query else text

    def own(self) -> None:
        """Give every file of the data directory to the server's user again."""
        user = _user()
        for path in (self.data, *self.data.rglob("*")):
            if user is not None:
                shutil.chown(path, user)

    def standby(self, name: str) -> Server:
        """A copy of it that follows it by streaming, asynchronously; not yet started."""
        other = type(self)._at(self.folder.parent, name)
        self._run(
            "pg_basebackup", "-h", str(self.folder), "-p", str(self.port), "-U", ADMIN,
            "-D", str(other.data), "-R", "-X", "stream", "-c", "fast", "--no-sync",
        )  # fmt: skip
        return other

    def promote(self) -> None:
        """Make a standby the primary."""
        self.run("SELECT pg_promote(true, 60)")

    def kill(self) -> None:
        """SIGKILL to the postmaster and all it started, as a power cut would."""
        if self._process is None:
            return
        children = self._children()
        self._process.kill()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._process.wait()
        self._process = None
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """An ordered, fast shutdown."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def _children(self) -> list[int]:
        assert self._process is not None
        return [child.pid for child in psutil.Process(self._process.pid).children()]

    def pause(self) -> None:
        """SIGSTOP to the postmaster and all it started."""
        self._signal_all(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT to them."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        assert self._process is not None
        children = self._children()
        for pid in [self._process.pid, *children]:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def log(self, lines: int = 20) -> str:
        """The last lines of its log."""
        return "\n".join((self.folder / "log").read_text(errors="replace").splitlines()[-lines:])

    @staticmethod
    def _run(program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*_as_user(), str(_programs() / program), *arguments],
            cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{done.stdout}{done.stderr}")


def _programs() -> Path:
    found = programs()
    if found is None:
        raise RuntimeError("PostgreSQL is not installed: run `make setup`, or install the package postgresql")
    return found
