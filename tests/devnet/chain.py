"""The contracts chain of the devnet, as a process and its controls."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from tests.devnet import accounts, paths
from tests.devnet.faults import Fault
from tests.devnet.process import Child
from tests.devnet.rpc import JsonRpc


@dataclass(frozen=True)
class Heads:
    """The best and the finalised block."""

    number: int
    hash: str
    finalised_number: int
    finalised_hash: str


@dataclass(frozen=True)
class PoolView:
    """What the transaction pool holds, by extrinsic hash."""

    ready: tuple[str, ...]
    future: tuple[str, ...]
    banned: tuple[str, ...]


class ContractsChain:
    """A running chain. Blocks are made by request (`new_block`), or on a clock (`set_clock`).

    Requests over `url` are counted and suffer faults; those over `driver_url` do neither.

    Attributes:
        url: the websocket endpoint for what is under test (HTTP answers on the same port).
        driver_url: the same for drivers.
        genesis_hash: of block 0; the same for every devnet, unless it was given.
    """

    def __init__(
        self, child: Child, port: int, genesis_hash: str, folder: tempfile.TemporaryDirectory[str]
    ) -> None:
        self.url = f"ws://127.0.0.1:{port}"
        self.http_url = f"http://127.0.0.1:{port}"
        self.driver_url = f"{self.url}/driver"
        self.genesis_hash = genesis_hash
        self._child = child
        self._folder = folder
        self._rpc = JsonRpc(f"{self.http_url}/driver")

    @classmethod
    async def start(
        cls,
        *,
        balances: Mapping[str, int] | None = None,
        clock_s: float | None = None,
        timestamp_step_s: float | None = 12,
        finality_lag: int = 0,
        genesis_hash: str | None = None,
        port: int = 0,
        runtime: Path | None = None,
    ) -> Self:
        """Starts a chain at block 1.

        Args:
            balances: rao by SS58 address; the default accounts (64 miners, 64 users, 8 validators)
                without it.
            clock_s: seconds between blocks; without it blocks are made by request.
            timestamp_step_s: block time told by the chain; None takes the wall clock's.
            finality_lag: blocks between the best and the finalised head.
            genesis_hash: `0x` + 64 hex, for a chain that is told apart from the others.
            port: to listen on; 0 takes a free one.
            runtime: another runtime than the project's.

        Raises:
            DevnetError: Node or the runtime is missing, or the launcher failed.
        """
        funded = balances if balances is not None else accounts.default_balances(64, 64, 8)
        config = {
            "runtime": str(runtime or paths.runtime()),
            "port": port,
            "clockS": clock_s,
            "timestampStepMs": None if timestamp_step_s is None else round(timestamp_step_s * 1000),
            "finalityLag": finality_lag,
            "genesisHash": genesis_hash,
            "storage": _storage(funded),
        }
        folder = tempfile.TemporaryDirectory(prefix="swap-miner-chain-")
        config_path = Path(folder.name) / "config.json"
        config_path.write_text(json.dumps(config))
        try:
            child, line = await Child.start(
                "contracts chain",
                ["node", str(paths.LAUNCHER), str(config_path)],
                ready=lambda text: text.startswith('{"ready":true'),
                environment={"SWAP_MINER_DEVNET_MODULES": str(paths.node_modules())},
            )
        except BaseException:
            folder.cleanup()
            raise
        ready = json.loads(line)
        return cls(child, ready["port"], ready["genesisHash"], folder)

    async def stop(self) -> None:
        """Ends the process."""
        await self._rpc.close()
        await self._child.stop()
        self._folder.cleanup()

    async def kill(self) -> None:
        """Ends the process at once; the chain is lost."""
        await self._rpc.close()
        await self._child.kill()
        self._folder.cleanup()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    async def rpc(self, method: str, *params: Any) -> Any:
        """Any JSON-RPC method, uncounted and without faults.

        Raises:
            RpcRefused: the chain answered with an error.
        """
        return await self._rpc.call(method, *params)

    async def new_block(self, count: int = 1) -> str:
        """Makes blocks from the pool; answers the last one's hash."""
        return str(await self.rpc("dev_newBlock", {"count": count}))

    async def include(self, extrinsics: Sequence[str]) -> str:
        """Has the next block include these after the pool's, without the pool's checks; answers its hash.

        Makes that block where no clock runs. An extrinsic that is invalid is left out silently.
        """
        return str(await self.rpc("devnet_include", list(extrinsics)))

    async def heads(self) -> Heads:
        """The best and the finalised block."""
        told = await self.rpc("devnet_head")
        return Heads(told["number"], told["hash"], told["finalisedNumber"], told["finalisedHash"])

    async def block_hash(self, height: int) -> str | None:
        """The hash at a height of the best chain; None above its head."""
        found = await self.rpc("chain_getBlockHash", height)
        return None if found is None else str(found)

    async def set_clock(self, seconds: float | None) -> None:
        """Makes a block every so many seconds; None stops that."""
        await self.rpc("devnet_setClock", seconds)

    async def set_finality_lag(self, blocks: int) -> None:
        """Keeps finality that far behind; a smaller lag finalises now, a larger one waits."""
        await self.rpc("devnet_setFinalityLag", blocks)

    async def set_pruning(self, depth: int | None) -> None:
        """Discards state older than `depth` blocks before the finalised head; None keeps all."""
        await self.rpc("devnet_setPruning", depth)

    async def fork(
        self,
        height: int,
        *,
        salt: int | None = None,
        blocks: int | None = None,
        resubmit: bool = True,
        force: bool = False,
    ) -> str:
        """Replaces all blocks above `height` by siblings of other hashes; answers the new head's hash.

        Args:
            height: the last common block.
            salt: milliseconds added to the first sibling's time; another one each time without it.
            blocks: how many siblings; as many as are replaced without it. 0 only goes back.
            resubmit: whether the replaced blocks' transactions return to the pool (a node's way) or are lost.
            force: allows going below the finalised head: a finality violation.

        Raises:
            RpcRefused: the height is unknown, or finalised and not forced.
        """
        options = {"height": height, "salt": salt, "blocks": blocks, "resubmit": resubmit, "force": force}
        return str(await self.rpc("devnet_fork", {k: v for k, v in options.items() if v is not None}))

    async def set_head(self, block: str | int) -> str:
        """Makes a known block the head, be it on an abandoned fork; answers its hash."""
        return str(await self.rpc("dev_setHead", block))

    async def upgrade(self, *, transaction_version: int | None = None) -> int:
        """Sets the same runtime under the next spec version, as `set_code` in the head block would.

        The next block is the first that it executes. Bytes signed for the version before are a bad proof.

        Args:
            transaction_version: another transaction version; the same without it.

        Returns:
            The new spec version.
        """
        options = {} if transaction_version is None else {"transactionVersion": transaction_version}
        return int((await self.rpc("devnet_upgrade", options))["specVersion"])

    async def keep_base(self) -> Heads:
        """Makes the head the block that `reset` goes back to."""
        await self.rpc("devnet_keepBase")
        return await self.heads()

    async def reset(self) -> None:
        """Goes back to the base block; no faults, counts, clock, lag or transactions are left."""
        await self.rpc("devnet_reset")

    async def fault(self, fault: Fault) -> None:
        """Injects a fault."""
        await self.rpc("devnet_fault", fault.as_json())

    async def clear_faults(self, method: str | None = None) -> None:
        """Ends the faults of a method, or all."""
        await self.rpc("devnet_clearFaults", method)

    async def disconnect(self, *, down: bool = False) -> int:
        """Drops every connection but drivers'; `down` refuses new websockets until called without it."""
        return int(await self.rpc("devnet_disconnect", {"down": down}))

    async def requests(self, *, reset: bool = False) -> dict[str, int]:
        """Requests over `url` by method, since the last reset."""
        return dict(await self.rpc("devnet_requests", {"reset": reset}))

    async def pool(
        self,
        *,
        ban: Sequence[str] = (),
        unban: Sequence[str] = (),
        drop: Sequence[str] | Literal["all"] = (),
        included: Literal["stale", "banned"] | None = None,
    ) -> PoolView:
        """What the pool holds, after bans are set or lifted and transactions dropped.

        Args:
            ban: extrinsic hashes to call "temporarily banned".
            unban: hashes not to call so any more.
            drop: hashes to forget.
            included: what a rebroadcast of an included transaction is told from now on.
        """
        options = {"ban": list(ban), "unban": list(unban), "drop": drop, "included": included}
        told = await self.rpc("devnet_pool", {k: v for k, v in options.items() if v})
        return PoolView(tuple(told["ready"]), tuple(told["future"]), tuple(told["banned"]))


def _storage(balances: Mapping[str, int]) -> dict[str, Any]:
    held = [[[address], {"providers": 1, "data": {"free": str(rao)}}] for address, rao in balances.items()]
    return {
        "System": {"Account": held},
        "Sudo": {"Key": accounts.owner().ss58_address},
        "Balances": {"TotalIssuance": str(sum(balances.values()))},
    }
