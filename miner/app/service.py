"""The system service: what installing or removing it would do, and doing it. Settings and state stay."""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path

from miner.app import passing
from miner.config import CheckLine, example
from miner.durable import supersede
from miner.errors import ConfigError

PROGRAM = "swap-miner"
SHIPPED_PROGRAM = "/opt/swap-miner/bin/swap-miner"
"""The program, as the shipped units name it."""
SETTINGS = Path("etc/swap-miner")
UNITS = Path("etc/systemd/system")
STATE = Path("/var/lib")
HOMES = (Path("/home"), Path("/root"))
"""What the units hide from the service."""


class Act(StrEnum):
    """What a step does."""

    MAKE = "make"
    WRITE = "write"
    REPLACE = "replace"
    KEEP = "keep"
    REMOVE = "remove"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        act: What it does.
        what: The file, the folder, or the command.
        why: For people.
        mode: Of the file or folder.
        text: What the file is to hold.
        diff: How that differs from what it holds, as a unified diff; empty where it is new.
    """

    act: Act
    what: str
    why: str
    mode: int = 0o644
    text: str = ""
    diff: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is installed.

    Attributes:
        root: `/`, or a folder that stands for it: then no command is run.
        name: Of the instance; empty for the one service of a machine.
        program: The program that the service runs.
        needs: Folders that the program cannot do without.
    """

    root: Path
    name: str
    program: Path
    needs: tuple[Path, ...]

    @classmethod
    def here(cls, root: Path, name: str) -> Place:
        """For the program that runs now.

        Raises:
            ConfigError: It was not started as an installed program.
        """
        program = Path(sys.argv[0]).resolve()
        if program.name != PROGRAM or not os.access(program, os.X_OK):
            raise ConfigError(
                str(program),
                "is not the installed program",
                "Install the wheel (a virtual environment in /opt/swap-miner, pipx or uv tool), then run the "
                "swap-miner of that",
            )
        needs = {program.parent.parent, Path(sys.prefix), Path(sys.base_prefix)}
        return cls(root, name, program, tuple(sorted(needs)))

    @property
    def unit(self) -> str:
        """The unit's file."""
        return f"{PROGRAM}@.service" if self.name else f"{PROGRAM}.service"

    @property
    def service(self) -> str:
        """What systemctl calls it."""
        return self.unit.replace("@", f"@{self.name}")

    @property
    def settings(self) -> Path:
        """The settings file."""
        return self.root / SETTINGS / f"{self.name or 'config'}.toml"

    @property
    def command(self) -> str:
        """What installs it."""
        return " ".join([PROGRAM, "service install", *(["--name", self.name] if self.name else []), "--yes"])

    @property
    def secrets(self) -> Path:
        """The folder of its secrets; each of several services has its own."""
        return self.root / SETTINGS / "credentials" / self.name

    @property
    def passes(self) -> Path:
        """The drop-in that has systemd pass them."""
        return self.root / UNITS / f"{self.service}.d" / passing.DROP_IN

    @property
    def state(self) -> Path:
        """The state folder, as the service sees it."""
        return STATE / (f"{PROGRAM}-{self.name}" if self.name else PROGRAM)


def units() -> dict[str, str]:
    """The units that are shipped, by file name."""
    packaged = files("miner").joinpath("units")
    folder = packaged if packaged.is_dir() else Path(__file__).parents[2] / "systemd"
    return {each.name: each.read_text(encoding="utf-8") for each in folder.iterdir() if each.is_file()}


def installing(place: Place, encrypted: Sequence[Step] = ()) -> list[Step]:
    """What installing it would do, in order.

    Args:
        place: Where.
        encrypted: What encrypting its secrets would do; see `miner.app.credentials`.
    """
    folder = place.root / SETTINGS
    secrets = dict.fromkeys((folder / "credentials", place.secrets))
    steps = [
        _folder(folder, 0o755, "settings"),
        *(_folder(each, 0o700, "secrets that units pass, readable by root alone") for each in secrets),
        _settings(place),
        *_unit_files(place),
        *_passing(place),
        *encrypted,
    ]
    return [*steps, *_commands(place, ("daemon-reload",))]


def removing(place: Place, encrypted: Sequence[Step] = ()) -> list[Step]:
    """What removing it would do, in order; settings, secrets and state stay.

    Args:
        place: Where.
        encrypted: What goes of its encrypted secrets: how the unit is told of them.
    """
    written = [Path(step.what) for step in _unit_files(place)]
    if place.name and list((place.root / UNITS).glob(f"*.wants/{PROGRAM}@*.service")):
        written = []  # the template serves others
    there = [path for path in (*written, place.passes) if path.exists()]
    removed = [Step(Act.REMOVE, str(path), "a unit's file") for path in there]
    stopped = _commands(place, ("disable", "--now", place.service))
    return [*stopped, *removed, *encrypted, *_commands(place, ("daemon-reload",))]


def carry_out(steps: Sequence[Step]) -> int:
    """Do it; returns how many things changed.

    Raises:
        ConfigError: A file or folder cannot be written, or a command fails: what came before it is done.
    """
    return sum(_do(step) for step in steps)


def _folder(path: Path, mode: int, why: str) -> Step:
    return Step(Act.KEEP if path.is_dir() else Act.MAKE, str(path), why, mode)


def _settings(place: Place) -> Step:
    path = place.settings
    if path.exists():
        return Step(Act.KEEP, str(path), "the settings are yours")
    return Step(Act.WRITE, str(path), "the settings, explained: edit them", text=_first_settings(place))


def _first_settings(place: Place) -> str:
    return example().replace(f'#path = "{STATE / PROGRAM}"', f'path = "{place.state}"', 1)


def _passing(place: Place) -> Iterator[Step]:
    """The secrets that the settings name, as they are or as they will be written."""
    path = place.settings
    names = passing.named(_read(path) if path.exists() else _first_settings(place))
    if not names and not place.passes.exists():
        return
    why = f"passes the secrets that the settings name: {', '.join(names) or 'none'}"
    lacking = passing.missing(names, place.secrets)
    seen_as = Path("/") / place.secrets.relative_to(place.root)
    text = passing.drop_in(names, place.secrets, seen_as)
    yield file_step(place.passes, text, f"{why}; not there yet: {', '.join(lacking)}" if lacking else why)


def service_line(settings: Path) -> CheckLine | None:
    """What `check` says of the service with these settings; None where no service would have them.

    Args:
        settings: The settings file.
    """
    path = settings.absolute()
    if path.parent != Path("/") / SETTINGS:
        return None
    place = Place(Path("/"), "" if path.stem == "config" else path.stem, Path(SHIPPED_PROGRAM), ())
    names = passing.named(_read(path))
    return passing.service_line(names, place.root / UNITS / place.unit, place.service, place.command)


def _unit_files(place: Place) -> Iterator[Step]:
    folder = place.root / UNITS
    for name, text in sorted(units().items()):
        if ("@" in name) == bool(place.name):
            text = text.replace(SHIPPED_PROGRAM, str(place.program))
            yield file_step(folder / name, text, "a unit of systemd")
    homes = [each for each in place.needs if any(each.is_relative_to(home) for home in HOMES)]
    if homes:
        lines = ["[Service]", "ProtectHome=tmpfs", *(f"BindReadOnlyPaths={each}" for each in homes)]
        yield file_step(
            folder / f"{place.unit}.d" / "program.conf",
            "# The program is in a home, which the unit hides otherwise.\n" + "\n".join(lines) + "\n",
            "lets the service read the program, which is in a home, and nothing else there",
        )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as exc:
        cause = exc.strerror if isinstance(exc, OSError) else exc
        raise ConfigError(str(path), f"cannot be read ({cause})", "Look at it, or move it away") from exc


def file_step(path: Path, text: str, why: str) -> Step:
    """What writing a file would do: nothing, where it holds that already.

    Raises:
        ConfigError: What is there cannot be read.
    """
    try:
        before = _read(path)
    except FileNotFoundError:
        return Step(Act.WRITE, str(path), why, text=text)
    if before == text:
        return Step(Act.KEEP, str(path), why)
    lines = difflib.unified_diff(before.splitlines(True), text.splitlines(True), "there", "shipped")
    return Step(Act.REPLACE, str(path), f"{why}; it differs", text=text, diff="".join(lines))


def _commands(place: Place, arguments: tuple[str, ...]) -> list[Step]:
    if place.root != Path("/"):
        return []
    return [Step(Act.RUN, " ".join(("systemctl", *arguments)), "tells systemd")]


def _do(step: Step) -> int:
    if step.act is Act.KEEP:
        return 0
    try:
        if step.act is Act.RUN:
            subprocess.run(step.what.split(), check=True, capture_output=True, text=True)  # noqa: S603 (ours)
        elif step.act is Act.MAKE:
            Path(step.what).mkdir(parents=True, mode=step.mode)
        elif step.act is Act.REMOVE:
            Path(step.what).unlink()
            if step.what.endswith(".conf"):
                with suppress(OSError):  # it holds drop-ins of the operator's
                    Path(step.what).parent.rmdir()
        else:
            _write(Path(step.what), step.text, step.mode)
    except subprocess.CalledProcessError as exc:
        raise ConfigError(step.what, f"failed: {exc.stderr.strip()}", "Look at: journalctl -xe") from exc
    except OSError as exc:
        remedy = "Run it as root" if isinstance(exc, PermissionError) else "Mend that, and run it again"
        raise ConfigError(step.what, f"cannot be done ({exc.strerror or exc})", remedy) from exc
    return 1


def _write(path: Path, text: str, mode: int) -> None:
    """The file is whole and synced before it has its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(mode)
    supersede(draft, path)
