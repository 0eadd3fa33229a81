"""Moving over from the miner in the field: its sent cache is a hint, and never leads to a second payment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.daemon import Daemon
from tests.acceptance.harness import Stage
from tests.devnet import players
from tests.devnet.terms import ChainName

pytestmark = pytest.mark.asyncio(loop_scope="session")


def sent_cache(folder: Path, entries: dict[int, list[object]]) -> Path:
    """A sent cache as that miner writes it."""
    path = folder / "sent.json"
    path.write_text(json.dumps({str(swap): entry for swap, entry in entries.items()}))
    return path


@pytest.mark.parametrize("source", [ChainName.BTC, ChainName.TAO])
async def test_a_payout_that_is_found_is_adopted_and_marked(stage: Stage, source: ChainName) -> None:
    (opened,) = await stage.open(stage.plan(0, source))
    payment = await players.pay_user(stage.devnet, stage.devnet.miners[0], opened.id)
    stage.config()
    cache = sent_cache(stage.folder, {opened.id: [payment.tx_hash, payment.block + 2, False, 0]})
    said = await stage.cli("import-sent", str(cache))
    assert "looked at 1 entries" in said
    async with await Daemon.start(stage.folder / "swap-miner.toml") as daemon:
        await stage.completed(daemon, [opened])
        seen = await stage.evidence(opened)
        assert (seen.payouts, seen.status) == (1, "Completed")
        assert seen.marked_id == payment.tx_hash


async def test_what_cannot_be_located_is_maybe_paid_and_never_a_first_send(stage: Stage) -> None:
    (opened,) = await stage.open(stage.plan(0))
    stage.config()
    cache = sent_cache(stage.folder, {opened.id: ["tao_transfer", 3]})
    await stage.cli("import-sent", str(cache))
    async with await Daemon.start(stage.folder / "swap-miner.toml") as daemon:
        await daemon.ready()
        await stage.step(daemon, blocks=14)
        assert stage.states() == {opened.id: "HELD"}
        assert (await stage.evidence(opened)).payouts == 0
        assert [e["cause"] for e in stage.recovery()] == ["imported_maybe_paid"]


async def test_a_literal_instead_of_an_id_is_located_by_its_effect(stage: Stage) -> None:
    """`tao_transfer` and a guessed block: the transfer itself, of the right amount, is evidence."""
    (opened,) = await stage.open(stage.plan(0))
    payment = await players.pay_user(stage.devnet, stage.devnet.miners[0], opened.id)
    stage.config()
    cache = sent_cache(stage.folder, {opened.id: ["tao_transfer", payment.block + 1]})
    await stage.cli("import-sent", str(cache))
    async with await Daemon.start(stage.folder / "swap-miner.toml") as daemon:
        await stage.completed(daemon, [opened])
        assert (await stage.evidence(opened)).payouts == 1


async def test_an_import_that_comes_after_the_first_start_still_counts(stage: Stage) -> None:
    config = stage.config()
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        await stage.cli("pause")
        (opened,) = await stage.open(stage.plan(0))
        await stage.step(daemon, blocks=2)
        cache = sent_cache(stage.folder, {opened.id: ["tao_transfer", 3]})
        await stage.cli("import-sent", str(cache))
        await stage.cli("resume")
        await stage.step(daemon, blocks=14)
        assert (await stage.evidence(opened)).payouts == 0
        assert stage.states() == {opened.id: "HELD"}


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"1": "x"}', '{"one": ["0x00", 1]}', '{"1": ["0x00", -1]}', '{"1": ["0x00"', '{"1": []}'],
)
async def test_a_damaged_cache_is_refused_as_a_whole(stage: Stage, text: str) -> None:
    stage.config()
    path = stage.folder / "sent.json"
    path.write_text(text)
    said = await stage.cli("import-sent", str(path), code=2)
    assert "sent.json" in said
