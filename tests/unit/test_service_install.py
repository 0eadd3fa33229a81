"""Installing the service: all is said before it is done, and what is the operator's is never touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from miner.app import credentials
from miner.app.service import Act, Place, Step, carry_out, installing, removing, units
from miner.errors import ConfigError

OPT = Path("/opt/swap-miner/bin/swap-miner")


def place(root: Path, name: str = "", program: Path = OPT, needs: tuple[Path, ...] = ()) -> Place:
    return Place(root, name, program, needs)


def acts(steps: list[Step]) -> dict[str, Act]:
    return {Path(step.what).name: step.act for step in steps}


def test_it_says_what_it_would_do_and_changes_nothing(tmp_path: Path) -> None:
    steps = installing(place(tmp_path))
    assert acts(steps)["swap-miner.service"] is Act.WRITE
    assert acts(steps)["config.toml"] is Act.WRITE
    assert list(tmp_path.iterdir()) == []


def test_done_twice_the_second_time_keeps_everything(tmp_path: Path) -> None:
    assert carry_out(installing(place(tmp_path))) > 0
    steps = installing(place(tmp_path))
    assert set(acts(steps).values()) == {Act.KEEP}
    assert carry_out(steps) == 0


def test_settings_that_are_there_are_never_touched(tmp_path: Path) -> None:
    carry_out(installing(place(tmp_path)))
    settings = place(tmp_path).settings
    settings.write_text("mine")
    carry_out(installing(place(tmp_path)))
    carry_out(removing(place(tmp_path)))
    assert settings.read_text() == "mine"


def test_a_unit_that_was_changed_is_shown_and_replaced(tmp_path: Path) -> None:
    carry_out(installing(place(tmp_path)))
    unit = tmp_path / "etc/systemd/system/swap-miner.service"
    unit.write_text(unit.read_text().replace("RestartSec=5", "RestartSec=50"))
    (step,) = (step for step in installing(place(tmp_path)) if step.act is Act.REPLACE)
    assert "-RestartSec=50" in step.diff
    assert "+RestartSec=5\n" in step.diff
    carry_out([step])
    assert "RestartSec=5\n" in unit.read_text()


def test_the_unit_runs_the_program_that_installs_it(tmp_path: Path) -> None:
    own = Path("/srv/venv/bin/swap-miner")
    carry_out(installing(place(tmp_path, program=own)))
    unit = (tmp_path / "etc/systemd/system/swap-miner.service").read_text()
    assert f"ExecStart={own} run" in unit
    assert "/opt/swap-miner/bin" not in unit


@pytest.mark.parametrize("home", ["/root/.local/share/pipx/venvs/swap-miner", "/home/me/.venv"])
def test_a_program_in_a_home_is_let_in_and_nothing_else_there(tmp_path: Path, home: str) -> None:
    carry_out(installing(place(tmp_path, needs=(Path(home), Path("/usr")))))
    drop_in = tmp_path / "etc/systemd/system/swap-miner.service.d/program.conf"
    assert drop_in.read_text().splitlines()[1:] == [
        "[Service]",
        "ProtectHome=tmpfs",
        f"BindReadOnlyPaths={home}",
    ]


def test_an_instance_has_settings_and_a_state_folder_of_its_own(tmp_path: Path) -> None:
    steps = installing(place(tmp_path, "two"))
    assert "swap-miner@.service" in acts(steps)
    assert "swap-miner.service" not in acts(steps)
    (settings,) = (step for step in steps if step.what.endswith("two.toml"))
    assert 'path = "/var/lib/swap-miner-two"' in settings.text.splitlines()


def test_secrets_get_a_folder_that_only_root_reads(tmp_path: Path) -> None:
    carry_out(installing(place(tmp_path)))
    assert (tmp_path / "etc/swap-miner/credentials").stat().st_mode & 0o777 == 0o700


def test_removing_takes_the_units_and_leaves_what_is_the_operators(tmp_path: Path) -> None:
    there = place(tmp_path, needs=(Path("/root/.local/venv"),))
    carry_out(installing(there))
    mine = tmp_path / "etc/systemd/system/swap-miner.service.d/mine.conf"
    mine.write_text("[Service]\n")
    carry_out(removing(there))
    left = {
        str(path.relative_to(tmp_path / "etc")) for path in (tmp_path / "etc").rglob("*") if path.is_file()
    }
    assert left == {"systemd/system/swap-miner.service.d/mine.conf", "swap-miner/config.toml"}


def test_the_template_stays_while_another_instance_is_enabled(tmp_path: Path) -> None:
    carry_out(installing(place(tmp_path, "one")))
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir()
    (wants / "swap-miner@two.service").touch()
    removed = [Path(step.what) for step in removing(place(tmp_path, "one")) if step.act is Act.REMOVE]
    assert removed == [place(tmp_path, "one").passes], "the template serves the other one"


def test_what_cannot_be_written_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("a file")
    with pytest.raises(ConfigError, match=r"swap-miner\S*: cannot be read \(Not a directory\)"):
        carry_out(installing(place(tmp_path)))


def test_a_checkout_is_not_installed_as_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/somewhere/miner/cli/__main__.py"])
    with pytest.raises(ConfigError, match="not the installed program"):
        Place.here(Path("/"), "")


def test_the_template_is_the_unit_but_for_what_is_its_own() -> None:
    """What says what each line is for stands in one of them."""
    shipped = units()
    one, many = (
        [line for line in shipped[name].splitlines() if line and not line.startswith(("# ", "#\n"))]
        for name in ("swap-miner.service", "swap-miner@.service")
    )
    differ = [(a, b) for a, b in zip(one, many, strict=True) if a != b]
    assert all("%i" in theirs for _, theirs in differ), differ
    assert 0 < len(differ) < 12


def test_what_cannot_be_done_is_told_with_a_remedy() -> None:
    step = Step(Act.WRITE, "/proc/swap-miner.service", "cannot be", text="x")
    with pytest.raises(ConfigError, match="cannot be done"):
        carry_out([step])


# secrets at rest


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with `systemd-creds`; what it does is tested under a real systemd."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "systemd-creds").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "systemd-creds").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings that name two credentials, of which one lies there; and one that nothing names."""
    monkeypatch.setattr("miner.app.service.SETTINGS", tmp_path / "etc/swap-miner")
    monkeypatch.setattr(credentials, "UNITS", tmp_path / "etc/systemd/system")
    folder = tmp_path / "etc/swap-miner/credentials"
    folder.mkdir(parents=True)
    for name in ("hotkey", "unused"):
        (folder / name).write_text(f"canary-{name}")
    text = 'hotkey = { keyfile = "credential:hotkey" }\n#x = "credential:unused"\ny = "credential:missing"\n'
    (tmp_path / "etc/swap-miner/config.toml").write_text(text)
    return folder


def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The machine itself, its settings in a folder of the test's."""
    settings = folder.parent / "config.toml"
    monkeypatch.setattr(Place, "settings", property(lambda _place: settings))
    return place(Path("/"))


@pytest.mark.usefixtures("tool")
def test_what_the_settings_name_is_encrypted_and_the_unit_told(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, write = credentials.encrypting(here(secrets, monkeypatch))
    assert (run.act, run.what) == (
        Act.RUN,
        f"systemd-creds encrypt --name=hotkey {secrets}/hotkey {secrets}/hotkey.cred",
    )
    assert write.what.endswith("etc/systemd/system/swap-miner.service.d/zz-credentials.conf")
    assert f"\nLoadCredentialEncrypted=hotkey:{secrets}/hotkey.cred\n" in write.text
    assert "unused" not in write.text
    assert "missing" not in write.text
    assert "canary" not in f"{run}{write}"


@pytest.mark.usefixtures("tool")
def test_what_is_encrypted_stays_loaded_when_the_plain_file_is_gone(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (secrets / "hotkey.cred").write_text("sealed")
    there = here(secrets, monkeypatch)
    assert [step.act for step in credentials.encrypting(there)] == [Act.KEEP, Act.WRITE]
    (secrets / "hotkey").unlink()
    (step,) = credentials.encrypting(there)
    assert "hotkey.cred" in step.text
    carry_out([step])
    assert [left.act for left in credentials.left_over(there)] == [Act.REMOVE]


@pytest.mark.usefixtures("tool")
def test_a_secret_that_was_changed_is_encrypted_anew(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = secrets / "hotkey.cred"
    sealed.write_text("sealed")
    os.utime(sealed, (1, 1))
    assert credentials.encrypting(here(secrets, monkeypatch))[0].act is Act.RUN


def test_without_the_tool_it_is_refused_and_said(
    secrets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match="LoadCredential="):
        credentials.encrypting(here(secrets, monkeypatch))
    with pytest.raises(ConfigError, match="needs the machine itself"):
        credentials.encrypting(place(tmp_path))


@pytest.mark.usefixtures("tool")
def test_an_instance_has_secrets_of_its_own(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = secrets / "one"
    own.mkdir()
    (own / "hotkey").write_text("canary-of-one")
    there = here(secrets, monkeypatch)
    run, write = credentials.encrypting(place(there.root, name="one"))
    assert run.what.endswith(f"{own}/hotkey {own}/hotkey.cred")
    assert write.what.endswith("swap-miner@one.service.d/zz-credentials.conf")
