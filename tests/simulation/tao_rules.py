"""What blocks of the model TAO chain do: accounts, nonces, mortal eras, transfers, and the contract."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

from miner.errors import Refused
from tests.simulation import contract_rules
from tests.simulation.chain import Assembled, Block, ModelChain
from tests.simulation.contract_rules import ContractError, ContractState, Event

FEE = 150_000
"""Of each extrinsic, rao."""
EXISTENTIAL = 500
"""The least an account may hold, rao."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """`transfer_keep_alive`, or `transfer_allow_death`."""

    dest: str
    amount: int
    keep_alive: bool = True


@dataclass(frozen=True, slots=True)
class Remark:
    """`System.remark`."""


@dataclass(frozen=True, slots=True)
class Invoke:
    """A message of the contract."""

    message: str
    args: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Drain:
    """Money goes, by what is no extrinsic of its owner's."""

    amount: int


Call = Transfer | Remark | Invoke | Drain


@dataclass(frozen=True, slots=True, eq=False)
class Extrinsic:
    """Signed.

    Attributes:
        nonce: None for people whose nonces are not this model's subject: the users and the validators.
        birth: First block of its era, and that block's hash, which is signed.
        death: First block in which it is invalid; None for an immortal one.
        salt: The signature's randomness.
    """

    signer: str
    call: Call
    nonce: int | None
    txid: str
    salt: int
    tip: int = 0
    birth: int = 0
    birth_hash: str = ""
    death: int | None = None

    @property
    def raw(self) -> bytes:
        """Stands for the signed bytes; the chain knows what they say."""
        return b"signed" + bytes.fromhex(self.txid[2:])

    @property
    def cost(self) -> int:
        """Its fee with the tip."""
        return FEE + self.tip


def extrinsic(signer: str, call: Call, nonce: int | None, salt: int, **era: Any) -> Extrinsic:
    """A signed extrinsic; its id is a hash of all it says."""
    text = repr((signer, call, nonce, salt, sorted(era.items())))
    return Extrinsic(
        signer, call, nonce, "0x" + blake2b(text.encode(), digest_size=32).hexdigest(), salt, **era
    )


@dataclass(frozen=True, slots=True)
class Moved:
    """A `Balances.Transfer` event."""

    sender: str
    recipient: str
    amount: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What came of an extrinsic.

    Attributes:
        ok: `System.ExtrinsicSuccess`.
        moved: Transfers.
        events: Of the contract.
        error: Why it failed.
    """

    ok: bool
    moved: tuple[Moved, ...] = ()
    events: tuple[Event, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """Nonce and free balance."""

    nonce: int = 0
    free: int = 0


@dataclass(frozen=True, slots=True)
class TaoState:
    """After a block."""

    accounts: Mapping[str, Account] = field(default_factory=dict)
    contract: ContractState = field(default_factory=ContractState)

    def account(self, address: str) -> Account:
        """An account; an empty one where there is none."""
        return self.accounts.get(address, _EMPTY)


_EMPTY = Account()
TaoChain = ModelChain[Extrinsic, TaoState, Receipt]
TaoBlock = Block[Extrinsic, TaoState, Receipt]


class TaoRules:
    """The runtime."""

    def assemble(
        self, parent: TaoBlock, pool: Iterable[Extrinsic], time_ms: int
    ) -> Assembled[Extrinsic, TaoState, Receipt]:
        """In the order they came, those of one account by nonce."""
        waiting = sorted(pool, key=lambda each: each.nonce or 0)
        if not waiting:
            return Assembled((), (), parent.state)
        draft = _Draft(parent)
        body, receipts, dropped = [], [], []
        for each in waiting:
            if draft.is_dead(each):
                dropped.append(each.txid)
            elif draft.may_run(each):
                body.append(each)
                receipts.append(draft.run(each))
        return Assembled(tuple(body), tuple(receipts), draft.state(), tuple(dropped))

    def admit(self, chain: TaoChain, tx: Extrinsic) -> Iterable[str]:
        """`author_submitExtrinsic`: what a node's pool says."""
        account = chain.best.state.account(tx.signer)
        if tx.nonce is not None and tx.nonce < account.nonce:
            raise Refused(tx.txid, "stale")
        if tx.death is not None and tx.death <= chain.best.height + 1:
            raise Refused(tx.txid, "ancient_birth_block")
        born = chain.at(tx.birth)
        if tx.birth_hash and (born is None or born.head.hash != tx.birth_hash):
            raise Refused(tx.txid, "bad_proof")
        if account.free < tx.cost:
            raise Refused(tx.txid, "cannot_pay_fee")
        rivals = [] if tx.nonce is None else _rivals(chain, tx)
        if any(rival.tip >= tx.tip for rival in rivals):
            raise Refused(tx.txid, "priority_too_low")
        return [rival.txid for rival in rivals]


def _rivals(chain: TaoChain, tx: Extrinsic) -> list[Extrinsic]:
    """What waits in the same slot."""
    signer, nonce = tx.signer, tx.nonce
    return [each for each in chain.pool.values() if each.nonce == nonce and each.signer == signer]


class _Draft:
    """A block in the making."""

    def __init__(self, parent: TaoBlock) -> None:
        self._parent = parent
        self._height = parent.height + 1
        self._accounts = dict(parent.state.accounts)
        self._contract = parent.state.contract

    def state(self) -> TaoState:
        return TaoState(self._accounts, self._contract)

    def is_dead(self, tx: Extrinsic) -> bool:
        """Whether it can never run on this branch."""
        used = tx.nonce is not None and tx.nonce < self._get(tx.signer).nonce
        dead = tx.death is not None and self._height >= tx.death
        return used or dead or not self._is_born(tx)

    def _is_born(self, tx: Extrinsic) -> bool:
        if not tx.birth_hash:
            return True
        return tx.birth < self._height and self._parent.under(tx.birth).head.hash == tx.birth_hash

    def may_run(self, tx: Extrinsic) -> bool:
        account = self._get(tx.signer)
        return tx.nonce is None or (tx.nonce == account.nonce and account.free >= tx.cost)

    def run(self, tx: Extrinsic) -> Receipt:
        account = self._get(tx.signer)
        if tx.nonce is not None:
            self._accounts[tx.signer] = Account(account.nonce + 1, account.free - tx.cost)
        elif isinstance(tx.call, Transfer):  # people have what they spend
            self._accounts[tx.signer] = Account(account.nonce, account.free + tx.call.amount + EXISTENTIAL)
        match tx.call:
            case Transfer():
                return self._transfer(tx.signer, tx.call)
            case Invoke():
                return self._invoke(tx.signer, tx.call)
            case Drain():
                self._set_free(tx.signer, max(account.free - tx.call.amount, 0))
                return Receipt(True)
            case Remark():
                return Receipt(True)

    def _transfer(self, sender: str, call: Transfer) -> Receipt:
        left = self._get(sender).free - call.amount
        if left < 0 or (call.keep_alive and left < EXISTENTIAL):
            return Receipt(False, error="Token.NotExpendable" if left >= 0 else "Token.FundsUnavailable")
        if self._get(call.dest).free + call.amount < EXISTENTIAL:
            return Receipt(False, error="Token.BelowMinimum")
        self._set_free(sender, left)
        self._set_free(call.dest, self._get(call.dest).free + call.amount)
        return Receipt(True, (Moved(sender, call.dest, call.amount),))

    def _invoke(self, caller: str, call: Invoke) -> Receipt:
        try:
            self._contract, event = contract_rules.call(
                self._contract, call.message, caller, call.args, self._height
            )
        except ContractError as error:
            return Receipt(False, error=error.name)
        return Receipt(True, events=(event,) if event else ())

    def _get(self, address: str) -> Account:
        return self._accounts.get(address, _EMPTY)

    def _set_free(self, address: str, free: int) -> None:
        """An account below the existential deposit is reaped: it begins again at nonce 0."""
        account = self._get(address)
        if free < EXISTENTIAL:
            self._accounts.pop(address, None)
        else:
            self._accounts[address] = replace(account, free=free)
