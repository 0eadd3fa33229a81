"""The real process dies at every boundary between writing and acting, and is judged from the chains."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from miner.app.crash import VARIABLE
from tests.acceptance.crashes.life import Life
from tests.acceptance.crashes.matrix import Case, cases, cases_on_a_server, in_make_test, troupe_of
from tests.acceptance.crashes.troupe import Troupe
from tests.acceptance.crashes.verdict import Outcome, judge
from tests.acceptance.daemon import Daemon
from tests.acceptance.harness import ROOT, Stage
from tests.acceptance.nursery import Nursery
from tests.demo.evidence import Auditor
from tests.devnet.world import Devnet
from tests.postgres.house import real_schema, the_server

pytestmark = pytest.mark.asyncio(loop_scope="session")

PLAY_S = 1800
"""For a troupe of twelve daemons, on a machine that is busy with other things as well."""


class Plays:
    """Plays cases as they are asked for, together with the next ones that can share a troupe."""

    def __init__(self, devnet: Devnet, nursery: Nursery, folder: Path, wanted: list[Case]) -> None:
        self._devnet = devnet
        self._nursery = nursery
        self._numbers = itertools.count()
        self._folder = folder
        self._wanted = wanted
        self._outcomes: dict[Case, Outcome] = {}

    async def outcome(self, case: Case) -> Outcome:
        """What a case showed."""
        if case not in self._outcomes:
            left = [case, *(each for each in self._wanted if each not in self._outcomes and each != case)]
            alike = [each for each in left if case.together(each)]
            await self._play(troupe_of(alike, len(self._devnet.miners)))
        return self._outcomes[case]

    def _new_folder(self) -> Path:
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        return folder

    async def _play(self, played: list[Case]) -> None:
        await self._devnet.reset()
        auditor = await Auditor.begin(self._devnet)
        miners = itertools.count()
        lives = {
            case: Life(
                Stage(self._devnet, self._new_folder(), auditor, _server() if case.server else None),
                self._nursery,
                [next(miners) for _ in range(case.swaps)],
                case.deaths,
                in_commands=case.play.in_commands,
            )
            for case in played
        }
        troupe = Troupe(self._devnet, list(lives.values()), played[0].rail)
        try:
            await played[0].play.play(troupe)
        finally:
            await troupe.close()
        for case, life in lives.items():
            self._outcomes[case] = await judge(life, case.play.end)


def _marks(case: Case) -> list[pytest.MarkDecorator]:
    ran_on = "Chopsticks, bitcoind, PostgreSQL" if case.server else "Chopsticks, bitcoind"
    row = pytest.mark.matrix("Crash points", ran_on)
    return [row] if in_make_test(case) else [row, pytest.mark.proof]


def _server() -> str:
    """An empty database of a store."""
    return real_schema(the_server(), port=the_server().port)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def plays(stage_session: Devnet, request: pytest.FixtureRequest) -> AsyncIterator[Plays]:
    """The cases of this session, on the suite's devnet.

    State is kept in memory where that is possible: a kill loses nothing that a process has written, and the
    syncs of a dozen daemons would only hold each other up. What a power cut loses is tested elsewhere.
    """
    chosen = [getattr(item, "callspec", None) for item in request.session.items]
    wanted = [each.params["case"] for each in chosen if each is not None and "case" in each.params]
    wanted = [case for case in wanted if isinstance(case, Case)]
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="swap-miner-crashes-", dir=memory) as folder:
        nursery = await Nursery.start(ROOT)
        yield Plays(stage_session, nursery, Path(folder), wanted)
        await nursery.close()


@pytest.mark.timeout(PLAY_S)
@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.id, marks=_marks(case)) for case in (*cases(), *cases_on_a_server())],
)
async def test_a_daemon_that_died_there_pays_once_and_comes_to_the_right_end(
    case: Case, plays: Plays, record_property: Callable[[str, object], None]
) -> None:
    found = await plays.outcome(case)
    record_property("end", case.play.end.state.value)
    for name in ("deaths", "swaps", "payouts", "double_payouts", "lost_swaps", "missed"):
        record_property(name, getattr(found, name))
    assert not found.failure, found.failure
    assert (found.deaths, found.swaps) == (len(case.deaths), case.swaps)


@pytest.mark.parametrize(
    ("old", "new", "point", "said"),
    [
        ("", "", "after:store.opened", "Did you mean after:store.open"),
        ("ws://127.0.0.1", "ws://10.1.2.3", "after:store.open", "is not on this machine"),
    ],
    ids=["unknown point", "a node elsewhere"],
)
async def test_a_crash_that_is_asked_for_wrongly_ends_the_start_before_a_store_is_made(
    stage: Stage, old: str, new: str, point: str, said: str
) -> None:
    config = stage.config()
    config.write_text(config.read_text().replace(old, new, 1))
    async with await Daemon.start(config, environment={VARIABLE: point}) as daemon:
        assert await daemon.process.wait() == 2, daemon.tail()
        await daemon.event("process_ended")
        assert said in daemon.tail()
    assert not (stage.folder / "state").exists()
