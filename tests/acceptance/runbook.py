"""An operator who has RUNBOOK.md and nothing else: its entries' commands, run as they stand there."""

from __future__ import annotations

import asyncio
import itertools
import re
import shlex
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.acceptance.daemon import Daemon
from tests.acceptance.harness import ROOT, Stage
from tests.conformance.ops_house import free_port
from tests.conformance.test_ops_server import samples

TOKEN = "r" * 40
BLOCK_S = 1.5
RUNBOOK = (ROOT / "RUNBOOK.md").read_text(encoding="utf-8")
Metrics = dict[str, dict[tuple[str, ...], float]]


def commands(incident: str) -> list[str]:
    """What the entry of an incident has to be typed, in order."""
    entry = RUNBOOK.partition(f"\n### {incident}\n")[2].partition("\n### ")[0]
    found = re.findall(r"^ *```\n(.*?)^ *```", entry, re.MULTILINE | re.DOTALL)
    lines = [line.strip() for block in found for line in block.splitlines() if line.strip()]
    assert lines, f"RUNBOOK has no incident {incident!r} with commands"
    return lines


class Operator:
    """Types what an entry says, beside a daemon that systemd would run.

    Attributes:
        daemon: The one that runs; the last one where it was stopped.
        blanks: What stands for SWAP, ID, ACCOUNT and AMOUNT: taken from what was printed.
        codes: Exit codes by command, where they are not 0; each as often as the command comes.
        hands: What stands for the rest of the machine: an editor, another wallet, a journal.
        said: What each command printed, each time.
    """

    def __init__(self, stage: Stage, config: Path, port: int) -> None:
        self.stage = stage
        self.blanks: dict[str, str] = {}
        self.codes: dict[str, list[int]] = {}
        self.hands: dict[str, Callable[[str], Awaitable[str]]] = {
            "systemctl stop swap-miner": self._stop,
            "systemctl start swap-miner": self._start,
            "systemctl restart swap-miner": self._restart,
        }
        self.said: dict[str, list[str]] = defaultdict(list)
        self._config = config
        self._port = port
        self._daemon: Daemon | None = None

    @classmethod
    def beside(cls, stage: Stage, **options: Any) -> Self:
        """With settings as for `Stage.config`, and a port for the metrics, as for Prometheus."""
        token, port = stage.folder / "read-token", free_port()
        token.write_text(TOKEN)
        token.chmod(0o600)
        ops = f'[ops]\nlisten = "127.0.0.1:{port}"\nread_token_file = "{token}"\n'
        return cls(stage, stage.config(extra=ops, **options), port)

    @property
    def daemon(self) -> Daemon:
        """The daemon."""
        assert self._daemon is not None, "it was not started"
        return self._daemon

    async def __aenter__(self) -> Self:
        await self._start("")
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.daemon.kill()

    async def _start(self, _line: str) -> str:
        self._daemon = await Daemon.start(self._config)
        await self._daemon.ready()
        return ""

    async def _stop(self, _line: str) -> str:
        await self.daemon.stop()
        return ""

    async def _restart(self, line: str) -> str:
        return await self._stop(line) + await self._start(line)

    # what Prometheus sees

    async def metrics(self) -> Metrics:
        """The daemon's metrics, over the port."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.get(f"http://127.0.0.1:{self._port}/metrics") as answer,
        ):
            assert answer.status == 200
            return samples(await answer.text())

    async def alert(self, condition: Callable[[Metrics], bool], blocks: int = 30) -> None:
        """Blocks until the condition of an alert shows in the metrics."""
        found: Metrics = {}
        for _ in range(blocks):
            found = await self.metrics()
            if condition(found):
                return
            await self.stage.step()
            await asyncio.sleep(0.3)
        raise AssertionError(f"the alert would not fire: {found}\n{self.daemon.tail()}")

    # what is typed

    def edits(self, old: str, new: str) -> None:
        """What the operator will change in the settings, when the entry says so."""

        async def edit(_line: str) -> str:
            text = self._config.read_text()
            assert old in text
            self._config.write_text(text.replace(old, new, 1))
            return ""

        self.hands["editor /etc/swap-miner/config.toml"] = edit

    async def follow(self, incident: str) -> None:
        """Type the entry's commands, one after the other, while the chains go on."""
        for line in commands(incident):
            for blank in sorted(set(re.findall(r"\b(?:SWAP|ID|ACCOUNT|AMOUNT)\b", line))):
                assert blank in self.blanks, f"nothing before has printed {blank}: {line}"
            filled = re.sub(r"\b(?:SWAP|ID|ACCOUNT|AMOUNT)\b", lambda m: self.blanks[m[0]], line)
            work = asyncio.create_task(self._type(line, filled))
            while not work.done():
                await asyncio.wait({work}, timeout=BLOCK_S)
                if not work.done():
                    await self.stage.step()
            self.said[line].append(await work)
            self._read(line, self.said[line][-1])

    async def _type(self, line: str, filled: str) -> str:
        for hand, do in self.hands.items():
            if line.startswith(hand):
                return await do(filled)
        command, _, into = filled.partition(" > ")
        program, *words = shlex.split(command)
        assert program == "swap-miner", f"there is no hand for this here: {line}"
        code, said = await self.stage.said(*words)
        due = self.codes.get(line, [])
        assert code == (due.pop(0) if due else 0), f"{line}: exit code {code}\n{said}\n{self.daemon.tail()}"
        if into:
            (self.stage.folder / into).write_text(said)
        return said

    def _read(self, line: str, said: str) -> None:
        """What the next commands need of what this one printed: of the first row of its table."""
        if line.startswith(("swap-miner swaps", "swap-miner recovery list")):
            for name, cell in next(iter(rows(said)), {}).items():
                if name in ("id", "swap"):
                    self.blanks[name.upper()] = cell
        elif line == "swap-miner wallet":
            for row in rows(said):
                if short := re.search(r"(\S+) (?:TAO|BTC) missing for what is open", row[""]):
                    self.blanks |= {"ACCOUNT": row["account"], "AMOUNT": short[1]}


def rows(said: str) -> list[dict[str, str]]:
    """Rows of a table as commands print it, by its headings; the whole line is under the empty one."""
    head, rule, *lines = [*said.splitlines(), "", ""][:-1]
    if not rule.startswith("──"):
        return []
    starts = [match.start() for match in re.finditer(r"\S+(?: \S+)*", head)]
    names = [head[start:].split("  ")[0].strip() for start in starts]
    found = []
    for line in itertools.takewhile(lambda line: "  " in line, lines):
        cells = [line[a:b].strip() for a, b in itertools.pairwise([*starts, len(line) + len(head)])]
        found.append(dict(zip(names, cells, strict=True)) | {"": line})
    return found
