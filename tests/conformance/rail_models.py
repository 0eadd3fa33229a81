"""Harnesses for the rails over the model chains, so that what the services are tested on cannot drift."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass, field

from miner.amounts import Chain
from miner.model import Claim, Lane, PaymentClaim, PayoutOrder
from tests.simulation.btc_rules import transaction
from tests.simulation.link import Link
from tests.simulation.model_btc import ModelBtcRail
from tests.simulation.model_lanes import ModelLanes
from tests.simulation.model_tao import ModelTaoRail
from tests.simulation.stage import Stage, btc_address, tao_address
from tests.simulation.tao_rules import Remark, Transfer

LAG, FINAL = 3, 3
_names = itertools.count(1)


class OnStage:
    """What both harnesses share."""

    stage: Stage
    link: Link

    async def lose_reply(self) -> None:
        self.link.lost_replies = 1

    async def cut_off(self) -> None:
        self.link.down = True

    async def reconnect(self) -> None:
        self.link.down = False


@dataclass
class ModelTaoHarness(OnStage):
    """`RailHarness` for the TAO rail of the simulation."""

    stage: Stage = field(default_factory=lambda: Stage.make(lag=LAG))
    link: Link = field(default_factory=Link)
    given: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.account = self.stage.miners[0].accounts[Chain.TAO]
        self.rail = self.make_rail()

    def make_rail(self) -> ModelTaoRail:
        keys = [self.account, self.stage.miners[0].hotkey]
        return ModelTaoRail(ModelLanes(self.stage.tao, self.link, keys), [self.account])

    async def new_rail(self) -> ModelTaoRail:
        return self.make_rail()

    async def new_address(self) -> str:
        return tao_address(f"stranger {next(_names)}")

    async def balance(self, address: str) -> int:
        return self.stage.tao.best.state.account(address).free

    def max_fee(self) -> int:
        return 1_000_000

    async def allot(self, claim: Claim) -> str:
        assert claim.nonce_floor is not None
        nonce = max(claim.nonce_floor, self.given.get(claim.account, 0))
        self.given[claim.account] = nonce + 1
        return str(nonce)

    async def blocks(self, count: int = 1) -> None:
        self.stage.tao_block(count)

    async def finalise(self) -> None:
        self.stage.tao_block(LAG)

    async def fork(self, depth: int) -> None:
        self.stage.tao.fork(depth, resubmit=False)

    async def empty_pool(self) -> None:
        self.stage.tao.pool.clear()

    async def rival(self, lane: Lane, pays: int) -> str:
        await self.empty_pool()
        tx = self.stage.own_spend(lane.account, Transfer(lane.recipient, pays) if pays else Remark())
        assert str(tx.nonce) == lane.slot
        self.stage.tao_block()
        return tx.txid

    async def user_pays(self, amount: int) -> PaymentClaim:
        user = tao_address("a user")
        tx = self.stage.send_tao(user, self.account, amount)
        self.stage.tao_block()
        return PaymentClaim(tx.txid, self.stage.tao.best.height, user, self.account, amount, 1)


class RememberingRail(ModelBtcRail):
    """Leaves alone, besides what it is told, what it has given out: the suite names no taken slots."""

    given: frozenset[str] = frozenset()

    async def prepare(self, order: PayoutOrder, taken: Collection[str], after: str | None = None) -> Claim:
        claim = await super().prepare(order, {*taken, *self.given}, after)
        assert claim.anchor is not None
        self.given |= {*claim.sign(claim.anchor).spends}
        return claim


@dataclass
class ModelBtcHarness(OnStage):
    """`RailHarness` for the Bitcoin rail of the simulation."""

    stage: Stage = field(default_factory=lambda: Stage.make(btc_coins=(5_000_000,) * 6))
    link: Link = field(default_factory=Link)

    def __post_init__(self) -> None:
        self.account = self.stage.miners[0].accounts[Chain.BTC]
        self.rail = self.make_rail(RememberingRail)

    def make_rail(self, kind: type[ModelBtcRail] = ModelBtcRail) -> ModelBtcRail:
        return kind(self.stage.btc, self.link, [self.account], final_confirmations=FINAL)

    async def new_rail(self) -> ModelBtcRail:
        return self.make_rail()

    async def new_address(self) -> str:
        return btc_address(f"stranger {next(_names)}")

    async def balance(self, address: str) -> int:
        coins = self.stage.btc.best.state.coins.values()
        return sum(coin.sat for coin in coins if coin.address == address)

    def max_fee(self) -> int:
        return 200_000

    async def allot(self, claim: Claim) -> str:
        assert claim.anchor is not None
        return claim.anchor

    async def blocks(self, count: int = 1) -> None:
        self.stage.btc_block(count)

    async def finalise(self) -> None:
        self.stage.btc_block(FINAL)

    async def fork(self, depth: int) -> None:
        self.stage.btc.fork(depth, resubmit=False)

    async def empty_pool(self) -> None:
        self.stage.btc.pool.clear()

    async def rival(self, lane: Lane, pays: int) -> str:
        await self.empty_pool()
        held = self.stage.btc.best.state.coins[lane.slot].sat
        change = (btc_address("bank"), held - pays - 20_000)
        outputs = [(lane.recipient, pays), change] if pays else [change]
        tx = transaction([lane.slot], outputs, 20_000)
        self.stage.btc.force(tx)
        self.stage.btc_block()
        return tx.txid

    async def user_pays(self, amount: int) -> PaymentClaim:
        user = btc_address("a user")
        tx = self.stage.send_btc(user, self.account, amount)
        self.stage.btc_block()
        return PaymentClaim(tx.txid, self.stage.btc.best.height, user, self.account, amount, 1)
