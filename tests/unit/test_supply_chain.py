"""The list of what is installed; and the judgement on an audit: what is known to be vulnerable fails."""

from __future__ import annotations

import json
import re
from email.message import Message
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from tests.unit.loading import loaded

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
AUDITOR: Any = import_module("pip_audit._service.interface")
FORMATTER: Any = import_module("pip_audit._format.json").JsonFormat(False, True)


@pytest.fixture(scope="module")
def script() -> Any:
    return loaded("supply-chain")


def answered(*found: tuple[Any, list[Any]]) -> str:
    """What pip-audit prints, by its own formatter."""
    return str(FORMATTER.format(dict(found), []))


ADVISORY = AUDITOR.VulnerabilityResult.create(
    ids=["PYSEC-2026-1", "CVE-2026-12345"],
    description="it may do harm",
    fix_versions=[Version("2.0.1")],
    published=None,
)
GOOD: tuple[Any, list[Any]] = (AUDITOR.ResolvedDependency("good", Version("1.0")), [])
BAD = (AUDITOR.ResolvedDependency("bad", Version("2.0")), [ADVISORY])
UNKNOWN: tuple[Any, list[Any]] = (AUDITOR.SkippedDependency("new", "Dependency not found on PyPI"), [])


# the judgement


def test_pins_without_a_known_vulnerability_pass(script: Any) -> None:
    found = script.judge(0, answered(GOOD), "No known vulnerabilities found")
    assert found.good
    assert found.lines == ("audit: 1 of 1 pins looked up, 0 known vulnerabilities",)


def test_a_pin_that_is_known_to_be_vulnerable_fails_and_names_the_remedy(script: Any) -> None:
    found = script.judge(1, answered(GOOD, BAD, UNKNOWN), "Found 1 known vulnerability in 1 package")
    assert not found.good
    assert found.lines[0] == "audit: bad 2.0: PYSEC-2026-1, CVE-2026-12345; mended in: 2.0.1"
    assert found.lines[1] == "audit: 2 of 3 pins looked up, 1 known vulnerabilities"


def test_a_pin_that_the_service_does_not_know_is_told(script: Any) -> None:
    found = script.judge(0, answered(GOOD, UNKNOWN), "")
    assert found.good
    assert found.lines[-1] == "audit: unknown to the service: new"


def test_a_service_that_knows_nothing_has_not_audited_anything(script: Any) -> None:
    """As a mirror of packages alone answered, on 2026-11-21."""
    found = script.judge(0, (GOLDEN / "audit-unknown.json").read_text(encoding="utf-8"), "")
    assert found.good
    (line,) = found.lines
    assert line.startswith("audit: NOT MADE")
    assert "none of the 3 pins" in line


@pytest.mark.parametrize(
    "err",
    [
        "Traceback …\nrequests.exceptions.ProxyError: HTTPSConnectionPool(host='pypi.org', port=443): Max",
        "ERROR:pip_audit._cli:pip_audit._service.interface.ConnectionError: Could not connect",
        "requests.exceptions.ReadTimeout: Read timed out.",
        "Timeout: no answer in 11 s",
    ],
)
def test_a_service_out_of_reach_is_one_line_and_no_failure(script: Any, err: str) -> None:
    found = script.judge(1, "", err)
    assert found.good
    (line,) = found.lines
    assert line.startswith("audit: NOT MADE, the public vulnerability service did not answer")


@pytest.mark.parametrize(
    ("out", "err"),
    [
        ("", "ERROR:pip_audit._cli:invalid requirement at line 7"),
        ("", ""),
        ("nonsense", "No module named pip_audit"),
        ("{}", "something new"),
    ],
)
def test_an_audit_that_is_broken_fails(script: Any, out: str, err: str) -> None:
    found = script.judge(2, out, err)
    assert not found.good
    assert found.lines[0].startswith("audit: pip-audit failed with exit code 2: ")


def test_the_real_audit_without_a_network_fails_nothing(
    script: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr(script, "AUDIT_S", 100)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    lock = tmp_path / "lock.txt"
    lock.write_text("never-published-by-anybody==1.0 --hash=sha256:" + "0" * 64 + "\n", encoding="utf-8")
    found = script.audit(lock)
    assert found.good
    (line,) = found.lines
    assert "did not answer" in line


# the list


def test_the_list_holds_every_pin_with_its_licence_and_is_the_same_each_time(
    script: Any, tmp_path: Path
) -> None:
    told = script.make_sbom(script.LOCK, tmp_path / "one")
    assert script.make_sbom(script.LOCK, tmp_path / "two") == told.replace("/one,", "/two,")
    text = (tmp_path / "one").read_text(encoding="utf-8")
    assert text == (tmp_path / "two").read_text(encoding="utf-8")
    sbom = json.loads(text)
    pins = set(re.findall(r"^([\w.-]+)==(\S+)", script.LOCK.read_text(encoding="utf-8"), re.MULTILINE))
    assert {(each["name"], each["version"]) for each in sbom["components"]} == pins
    assert sbom["metadata"]["component"]["name"] == "swap-miner"
    licences = {each["name"]: each["licenses"][0]["license"]["name"] for each in sbom["components"]}
    assert licences["aiohttp"].startswith("Apache-2.0")
    assert f"{len(pins)} components" in told


def test_a_list_that_the_schema_refuses_is_not_written(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(sbom: dict[str, Any]) -> None:
        sbom["components"][0]["type"] = "nonsense"

    monkeypatch.setattr(script, "with_licences", spoil)
    with pytest.raises(ValueError, match="not what CycloneDX"):
        script.make_sbom(script.LOCK, tmp_path / "sbom.json")
    assert not (tmp_path / "sbom.json").exists()


def test_a_lock_that_is_not_there_is_told(script: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.txt|No such file"):
        script.make_sbom(tmp_path / "none.txt", tmp_path / "sbom.json")


@pytest.mark.parametrize(
    ("headers", "licence"),
    [
        ({"License-Expression": "MIT", "License": "other"}, "MIT"),
        ({"License": "BSD"}, "BSD"),
        (
            {"License": "a text\nof many lines", "Classifier": "License :: OSI Approved :: ISC License"},
            "ISC License",
        ),
        ({}, "not told"),
    ],
)
def test_what_a_package_tells_of_its_licence(script: Any, headers: dict[str, str], licence: str) -> None:
    about = Message()
    for name, value in headers.items():
        about.add_header(name, value)
    assert script.licence_of(about) == licence
