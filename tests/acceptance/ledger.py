"""Moves on Bitcoin for histories in which blocks are replaced, and strangers spend the daemon's anchors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.devnet.bitcoin import BANK, BitcoinNode, btc, sats
from tests.devnet.driver import USERS_WALLET

if TYPE_CHECKING:
    from tests.acceptance.histories import Play


@dataclass
class Ledger:
    """What a case does on Bitcoin.

    Attributes:
        play: The case.
        restarted: Whether the node runs with options that the next case must not meet.
    """

    play: Play
    restarted: bool = False

    @property
    def _node(self) -> BitcoinNode:
        return self.play.stage.devnet.bitcoin

    @property
    def _wallet(self) -> str:
        return self.play.stage.devnet.miners[0].btc_wallet

    async def restart(self, *extra: str) -> None:
        """Restart the node with further options."""
        self.restarted = True
        await self._node.restart(extra=extra)

    async def block_of_payout(self) -> str:
        """Hash of the block that holds the newest payout."""
        told = await self._node.rpc("gettransaction", self.play.txids()[-1], wallet=self._wallet)
        return str(told["blockhash"])

    async def empty_blocks(self, count: int) -> list[str]:
        """Blocks that leave the mempool as it is."""
        to = await self._node.new_address(BANK)
        return [(await self._node.rpc("generateblock", to, []))["hash"] for _ in range(count)]

    async def reorganise(self, fate: str) -> None:
        """Replace the payout's block and all above; the payout waits again, is forgotten, or is outdone."""
        await self.play.census()
        await self._node.invalidate(await self.block_of_payout())
        await self.empty_blocks(2)  # one more than went; validators look for the payout three blocks around
        self.play.forks += 1
        if fate == "gone":
            await self.restart("-persistmempool=0", "-walletbroadcast=0")
            assert self.play.txids()[-1] not in await self._node.rpc("getrawmempool")
            await self.play.tao(2)  # the daemon sends it again
        elif fate.startswith("replaced-by-one-that-"):
            await self.rival(fate.removeprefix("replaced-by-one-that-"))

    async def rival(self, effect: str, fee_sat: int = 50_000) -> str:
        """Another program's spend of the newest payout's anchor, which out-bids ours; its id."""
        assert self.play.opened is not None
        txid, _, vout = self.play.slots()[-1].partition(":")
        held = sats(await self._value(txid, int(vout), self._wallet))
        paid = {"pays": self.play.due, "pays-otherwise": self.play.due - 1000}.get(effect, 0)
        home = self.play.stage.devnet.miners[0].btc_address
        if effect == "pays-nobody-and-leaves-no-change":
            home = await self._node.new_address(BANK)
        outputs = [{self.play.opened.swap.user_dest_address: btc(paid)}] if paid else []
        outputs.append({home: btc(held - paid - fee_sat)})
        return await self._send([{"txid": txid, "vout": int(vout)}], outputs, self._wallet)

    async def pin(self, payout: str, fee_sat: int = 20_000) -> str:
        """The recipient spends the unconfirmed payout; the id."""
        assert self.play.opened is not None
        address = self.play.opened.swap.user_dest_address
        told = await self._node.rpc("getrawtransaction", payout, True)
        (out,) = (each for each in told["vout"] if each["scriptPubKey"].get("address") == address)
        outputs = [{address: btc(sats(out["value"]) - fee_sat)}]
        return await self._send([{"txid": payout, "vout": out["n"]}], outputs, USERS_WALLET)

    async def double_spend(self, txid: str, wallet: str, fee_sat: int = 50_000) -> str:
        """Spends the first input of an unconfirmed payment back to its wallet; the id."""
        told = await self._node.rpc("getrawtransaction", txid, True)
        spent = told["vin"][0]
        held = sats(await self._value(spent["txid"], spent["vout"], wallet))
        outputs = [{await self._node.new_address(wallet): btc(held - fee_sat)}]
        return await self._send([{"txid": spent["txid"], "vout": spent["vout"]}], outputs, wallet)

    async def _value(self, txid: str, vout: int, wallet: str) -> Any:
        told = await self._node.rpc("gettransaction", txid, True, True, wallet=wallet)
        return told["decoded"]["vout"][vout]["value"]

    async def _send(self, inputs: list[dict[str, Any]], outputs: list[dict[str, str]], wallet: str) -> str:
        spends = [{**each, "sequence": 0xFFFFFFFD} for each in inputs]
        raw = await self._node.rpc("createrawtransaction", spends, outputs)
        signed = await self._node.rpc("signrawtransactionwithwallet", raw, wallet=wallet)
        return str(await self._node.rpc("sendrawtransaction", signed["hex"], 0))
