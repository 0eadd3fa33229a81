"""A real systemd as the first process of namespaces of its own, with the program installed as on a machine.

Processes, mounts, host name and control groups are its own; `/etc` and `/usr/local/bin` are overlays; `/opt`,
`/run`, `/var/lib` and `/var/log` are empty. The network is the machine's, so that the service reaches the
local chains.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.devnet import guard

ROOT = Path(__file__).parents[2]
SYSTEMD = Path("/lib/systemd/systemd")
TARGETS = ("sysinit", "basic", "network", "network-online", "time-sync", "shutdown", "umount", "final",
           "multi-user", "timers")  # fmt: skip
NAMESPACES = ("--fork", "--pid", "--mount", "--mount-proc", "--cgroup", "--ipc", "--uts")
ENTER = ("-m", "-p", "-C", "-i", "-u")
BOOT = """
set -e
mount --make-rprivate /
awk '$3 == "cgroup" { print $2 }' /proc/self/mounts | sort -r | while read -r place; do umount "$place"; done
umount /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for place in /run /opt /var/lib /var/log; do mount -t tmpfs tmpfs "$place"; done
for place in /etc /usr/local/bin; do
    over="/run/over$place"
    mkdir -p "$over/upper" "$over/work"
    mount -t overlay overlay -o "lowerdir=$place,upperdir=$over/upper,workdir=$over/work" "$place"
done
if [ -n "$PROGRAM" ]; then
    mkdir -p /etc/swap-miner /opt/swap-miner
    mount --bind "$FOLDER/etc" /etc/swap-miner
    mount --bind "$PROGRAM" /opt/swap-miner
fi
mount --make-rshared /
export container=unshare SYSTEMD_UNIT_PATH="/etc/systemd/system:$FOLDER/units:/run/systemd/system"
exec "$SYSTEMD" --system --unit=multi-user.target --log-target=console --log-level=info --show-status=no
"""
INSTALLED = "/opt/swap-miner"
START_S = 30.0


def is_possible() -> bool:
    """Whether this machine lets a test have a systemd of its own: root, Linux, and systemd's package."""
    return (
        sys.platform == "linux" and os.geteuid() == 0 and SYSTEMD.exists() and bool(shutil.which("unshare"))
    )


async def boots(folder: Path) -> bool:
    """Whether a systemd comes up here at all, with no service: not every container lets one."""
    (folder / "program").mkdir()
    try:
        async with Machine(folder, folder / "program"):
            return True
    except (AssertionError, TimeoutError, OSError):
        return False


def install_program(folder: Path) -> Path:
    """Install the project's wheel into a virtual environment, as on a user's machine; returns its folder.

    The packages that it needs are those of the project's own environment.
    """
    wheels, program = folder / "wheels", folder / "program"
    run = [sys.executable, "-m"]
    subprocess.run([*run, "hatchling", "build", "--target", "wheel", "--directory", str(wheels)],
                   cwd=ROOT, check=True, capture_output=True)  # fmt: skip
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(program)], check=True)
    (wheel,) = wheels.glob("*.whl")
    into = [*run, "pip", "--python", str(program / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*into, "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)], check=True)
    (packages,) = program.glob("lib/*/site-packages")
    theirs = next(place for place in sys.path if place.endswith("site-packages"))
    script = program / "bin" / "swap-miner"
    script.write_text(script.read_text().replace(str(program), INSTALLED))
    (packages / "needed.pth").write_text(f"{theirs}\n")
    return program


class Machine:
    """A booted systemd.

    Attributes:
        folder: Its `etc` is `/etc/swap-miner` there, its `units` the units that it knows.
    """

    def __init__(self, folder: Path, program: Path | None) -> None:
        """A machine that is not booted yet.

        Args:
            folder: Empty, of its own.
            program: The program, installed; None: a fresh machine, where nothing is installed or set up.
        """
        self.folder = folder
        self._program = program
        self._process: asyncio.subprocess.Process | None = None
        self._pid = 0
        for name in ("etc", "units"):
            (folder / name).mkdir()
        for name in TARGETS:
            (folder / "units" / f"{name}.target").write_text(f"[Unit]\nDescription={name}\n")

    def install(self, unit: str, drop_in: str = "") -> None:
        """Let it know one of the project's units, and what this machine says beside it."""
        shutil.copy(ROOT / "systemd" / unit, self.folder / "units" / unit)
        self.drop_in(unit, drop_in)

    def drop_in(self, unit: str, text: str = "") -> None:
        """Say beside a unit what this machine is."""
        places = self.folder / "units" / f"{unit}.d"
        places.mkdir()
        (places / "machine.conf").write_text(f"[Service]\n{reachable()}\n{text}\n")

    async def __aenter__(self) -> Self:
        places = {"FOLDER": str(self.folder), "PROGRAM": str(self._program or ""), "SYSTEMD": str(SYSTEMD)}
        with (self.folder / "systemd.log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, guard.__file__, str(os.getpid()),
                "unshare", *NAMESPACES, "--kill-child=SIGKILL", "/bin/bash", "-c", BOOT,
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **places},
            )  # fmt: skip
        try:
            async with asyncio.timeout(START_S):
                while not await self._is_up():
                    assert self._process.returncode is None, self.said()
                    await asyncio.sleep(0.1)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def _is_up(self) -> bool:
        assert self._process is not None
        pid = self._process.pid
        children = _children(pid)
        if not children:
            return False
        self._pid = int(children[0])
        answer = await self.ctl("is-system-running", check=False)
        return answer in ("running", "degraded")

    async def __aexit__(self, *_exc: object) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.kill(self._pid or self._process.pid, signal.SIGKILL)
        await self._process.wait()

    def said(self) -> str:
        """What booting it said."""
        return (self.folder / "systemd.log").read_text(errors="replace")

    async def run(self, *command: str, check: bool = True, typed: str = "") -> str:
        """Run a command on that machine, which reads what is typed; what it printed."""
        process = await asyncio.create_subprocess_exec(
            "nsenter", "-t", str(self._pid), *ENTER, *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await process.communicate(typed.encode())
        text = out.decode(errors="replace").strip()
        assert not check or process.returncode == 0, (
            f"{' '.join(command)}: {process.returncode}\n{text}\n{self.said()}"
        )
        return text

    def path(self, place: str) -> Path:
        """A file or folder there, as it is seen from here."""
        return Path(f"/proc/{self._pid}/root{place}")

    async def ctl(self, *arguments: str, check: bool = True) -> str:
        """`systemctl`."""
        return await self.run("systemctl", "--no-pager", *arguments, check=check)

    async def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return await self.ctl("show", "--value", "--property", name, unit)


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def reachable() -> str:
    """What the program needs here and the sandbox hides: interpreter and packages in a home or below /tmp."""
    places = {sys.base_prefix, *(place for place in sys.path if place.endswith("site-packages"))}
    hidden = sorted(place for place in places if place.startswith(("/root/", "/home/", "/tmp/", "/var/tmp/")))
    return "\n".join(["ProtectHome=tmpfs", *(f"BindReadOnlyPaths={place}" for place in hidden)])
