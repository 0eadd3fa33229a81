"""The film of a terminal session: well-formed, whole, and as long as it takes to read."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.demo.film import COLUMNS, HIGH, MOST_ROWS, Scene, film, times
from tests.demo.session import main

SVG = "{http://www.w3.org/2000/svg}"
RECORDED = [
    Scene("swap-miner status", "swaps: 1 HELD\nnext deadline: block 7 <soon> & \"near\"\n"),
    Scene("swap-miner swaps", "\x1b[1mswap\x1b[0m  \x1b[1mstate\x1b[0m\n────\n3     HELD       3.45 TAO\n"),
    Scene("swap-miner show 1", "\n".join(f"line {number}" for number in range(60))),
    Scene("swap-miner pause", ""),
]  # fmt: skip


def groups(root: ElementTree.Element, kind: str) -> Iterator[ElementTree.Element]:
    """Those of one kind of animation, in order."""
    for element in root.iter(f"{SVG}g"):
        if (element.get("class") or "").startswith(f"{kind} {kind}"):
            yield element


def told(element: ElementTree.Element) -> str:
    """Every text in it, a line for each."""
    return "\n".join(each.text or "" for each in element.iter(f"{SVG}text")).replace(
        "\N{NO-BREAK SPACE}", " "
    )


@pytest.fixture(scope="module")
def drawn() -> ElementTree.Element:
    return ElementTree.fromstring(film(RECORDED, "a <session> & more"))


def test_every_scene_is_in_it_whole(drawn: ElementTree.Element) -> None:
    assert drawn.findtext(f"{SVG}title") == "a <session> & more"
    scenes = list(groups(drawn, "s"))
    assert len(scenes) == len(RECORDED)
    for scene, recorded in zip(scenes, RECORDED, strict=True):
        shown = re.sub(r"\s+", "", told(scene))
        printed = re.sub(r"\x1b\[\d*m|\s+", "", recorded.output)
        assert shown == re.sub(r"\s+", "", f"${recorded.command}{printed}$")


def test_every_animation_that_is_named_has_its_frames() -> None:
    text = film(RECORDED, "x")
    named = set(re.findall(r"animation-name: (\w+)", text))
    assert named == set(re.findall(r"@keyframes (\w+)", text))
    used = {each for kinds in re.findall(r'class="([stou] \w+)"', text) for each in kinds.split()[1:]}
    assert named == used - {"u0", "u1", "u3"}  # these fit, and need not scroll


def test_one_scene_follows_the_other_and_none_is_left_out() -> None:
    plan = times(RECORDED)
    assert plan[0].begin == 0
    for now, following in zip(plan, [*plan[1:], None], strict=True):
        assert now.begin < now.typed < now.told < now.end
        assert following is None or following.begin == now.end
    text = film(RECORDED, "x")
    for number, when in enumerate(plan):
        begin = f"{100 * when.begin / plan[-1].end:.3f}%"
        assert re.search(rf"@keyframes s{number} {{.*{begin} {{ visibility: visible }}", text)


def test_what_does_not_fit_scrolls(drawn: ElementTree.Element) -> None:
    assert RECORDED[2].below == 60 + 2 - MOST_ROWS
    assert f"translateY({-RECORDED[2].below * HIGH}px)" in film(RECORDED, "x")
    assert int((drawn.get("viewBox") or "").split()[3]) < (MOST_ROWS + 6) * HIGH


def test_no_line_is_wider_than_the_screen() -> None:
    wide = Scene("swap-miner show 1", "x" * (2 * COLUMNS + 1))
    assert [len(line) for line in wide.lines] == [COLUMNS, COLUMNS, 1]


def test_it_asks_nobody_and_runs_nothing() -> None:
    text = film(RECORDED, "x")
    assert not re.search(r"<script|href|url\((?!#)|@import|@font-face", text)
    assert "prefers-color-scheme: dark" in text
    assert "prefers-reduced-motion: reduce" in text


def test_a_recording_is_drawn_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs: list[dict[str, Any]] = [{"command": each.command, "output": each.output} for each in RECORDED]
    (tmp_path / "session.json").write_text(json.dumps(pairs), encoding="utf-8")
    main([str(tmp_path / "session.svg"), str(tmp_path / "session.json")])
    assert (tmp_path / "session.svg").read_text(encoding="utf-8").startswith("<svg ")
    assert capsys.readouterr().out == f"{tmp_path / 'session.svg'}\n"


def test_no_scene_is_no_film() -> None:
    with pytest.raises(ValueError, match="needs a scene"):
        film([], "x")
