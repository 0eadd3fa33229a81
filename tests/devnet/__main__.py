"""`python -m tests.devnet`: a devnet with its clocks running, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.devnet.driver import Plan
from tests.devnet.errors import DevnetError
from tests.devnet.settings import write_config
from tests.devnet.terms import ChainName
from tests.devnet.world import Devnet


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.devnet", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of text")
    parser.add_argument("--json-file", type=Path, help="write the same JSON to a file")
    parser.add_argument("--miners", type=int, default=2, help="active miners (2)")
    parser.add_argument("--swaps", type=int, default=0, help="swaps to open at once, one a miner (0)")
    parser.add_argument("--block-time", type=float, default=3.0, help="seconds between blocks (3)")
    parser.add_argument(
        "--bitcoin-block-time", type=float, default=10.0, help="seconds between Bitcoin blocks (10)"
    )
    parser.add_argument("--finality-lag", type=int, default=2, help="blocks (2)")
    parser.add_argument("--port", type=int, default=0, help="the contracts chain's port (a free one)")
    parser.add_argument(
        "--bitcoin-port", type=int, default=0, help="the Bitcoin endpoint's port (a free one)"
    )
    parser.add_argument("--no-bitcoin", action="store_true", help="no Bitcoin node")
    parser.add_argument("--no-validators", action="store_true", help="nobody confirms or times out")
    return parser.parse_args()


def announce(told: dict[str, Any], options: argparse.Namespace) -> None:
    """Prints where everything is, and how to point the daemon at it."""
    if options.json_file:
        options.json_file.write_text(json.dumps(told, indent=2) + "\n")
    if options.json:
        print(json.dumps(told), flush=True)
        return
    print(f"contracts chain   {told['chain']['url']}   genesis {told['chain']['genesis_hash'][:10]}…")
    print(
        f"swap contract     {told['contract']['address']}   (metadata: contracts/artifacts/swap_manager.json)"
    )
    if "bitcoin" in told:
        print(f"Bitcoin (regtest) {told['bitcoin']['url']}")
    for miner in told["miners"]:
        print(f"miner {miner['uri']}")
        print(f"  hotkey and TAO  {miner['hotkey']}")
        print(f"  BTC             {miner['btc_address']}   wallet {miner['btc_wallet']}")
    print("Settings for these miners are written; their keys come from the public development phrase:")
    for command in ("check", "run", "status"):
        print(f"  swap-miner {command} --config {told['config']}")
    print("Ctrl-C ends everything.", flush=True)


async def mine_on(devnet: Devnet, interval_s: float) -> None:
    """Mines Bitcoin blocks on a clock."""
    while True:
        await asyncio.sleep(interval_s)
        await devnet.bitcoin.mine()


async def live(options: argparse.Namespace, folder: Path) -> None:
    """Runs the devnet until it is told to end; `folder` holds the daemon's settings meanwhile."""
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    world = await Devnet.start(
        miners=options.miners,
        bitcoin=not options.no_bitcoin,
        port=options.port,
        bitcoin_port=options.bitcoin_port,
        timestamp_step_s=None,
    )
    async with world as devnet:
        await devnet.chain.set_finality_lag(options.finality_lag)
        await devnet.chain.set_clock(options.block_time)
        config = write_config(folder, devnet, lease_ttl_s=30)
        announce({**devnet.describe(), "config": str(config)}, options)
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(ended.wait(), name="until-told-to-end")]
        if not options.no_bitcoin:
            tasks.append(
                asyncio.create_task(mine_on(devnet, options.bitcoin_block_time), name="bitcoin-clock")
            )
        if not options.no_validators:
            tasks.append(asyncio.create_task(devnet.validators.follow(options.block_time), name="validators"))
        try:
            await open_swaps(devnet, options)
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()


async def open_swaps(devnet: Devnet, options: argparse.Namespace) -> None:
    """Opens the first swaps, in both directions where there is Bitcoin."""
    if not options.swaps:
        return
    plans = [
        Plan(miner, list(ChainName)[i % 2], user=i) for i, miner in enumerate(devnet.miners[: options.swaps])
    ]
    for opened in await devnet.driver.open_swaps(plans):
        print(
            f"swap {opened.id}: {opened.plan.source} to {opened.plan.dest}, for {opened.swap.miner}",
            file=sys.stderr,
        )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="swap-miner-devnet-") as made:
        try:
            asyncio.run(live(arguments(), Path(made)))
        except DevnetError as exc:
            sys.exit(f"devnet: {exc}")
