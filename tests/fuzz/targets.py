"""What is fuzzed: for each decoder the bytes to begin with, and what must hold for any bytes.

A target raises for a finding, and for nothing else: the decoder's own refusals are what is expected.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from miner.chains.bitcoin.transactions import Outpoint, check_signed, read_tx, spender_in_block
from miner.chains.substrate.events import BadEvents
from miner.chains.substrate.scale import compact, read_compact
from miner.config import each_problem, example, read
from miner.contract import runtime
from miner.contract.codec import event_of, swap_of
from miner.contract.scale import CodecError
from miner.errors import ConfigError, InvariantBroken
from miner.notify.recovery import FIELDS, parse
from miner.ports import RawContractEvent
from miner.store import parse_sent_cache
from tests.unit import contract_reference as ref
from tests.unit import test_bitcoin_transactions as bitcoin
from tests.unit import test_contract_codec as codec
from tests.unit import test_substrate_events as events


@dataclass(frozen=True, slots=True)
class Target:
    """A decoder.

    Attributes:
        run: Decodes; raises `AssertionError` where something was taken that must not be, and whatever the
            decoder must not raise.
        seeds: Good input to begin with.
    """

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


def swap_data(data: bytes) -> None:
    """What decodes as a swap is written the same way again."""
    with contextlib.suppress(CodecError):
        decoded = codec.project().decoded("get_swap", data)
        swap = None if decoded is None else swap_of(decoded)
        told = swap and {**asdict(swap), "status": swap.status.value}
        assert codec.project().encoded("get_swap", told) == data, "taken, and not written the one way"


def contract_event(data: bytes) -> None:
    """Any event is told, whatever it holds."""
    topics = sorted(codec.project().metadata.events)
    topic = topics[data[0] % len(topics)] if data else b""
    raw = RawContractEvent(ref.ADDRESS, data[1:], (topic,), 0)
    assert event_of(codec.project().metadata, raw, codec.HEAD).name


def contract_result(data: bytes) -> None:
    """A reply of either balance's width is read whole, or refused."""
    for width in (8, 16):
        with contextlib.suppress(CodecError):
            runtime.result(data, width)


def block_events(data: bytes) -> None:
    """A block's events are read, or told to be bad."""
    with contextlib.suppress(BadEvents):
        read = events.READER.read(data)
        assert all(each.amount >= 0 for each in read.transfers)


def compact_integer(data: bytes) -> None:
    """What reads is written the same way again."""
    with contextlib.suppress(ValueError, IndexError):
        value, end = read_compact(data, 0)
        assert compact(value) == data[:end], "taken, and not written the one way"


def transaction(data: bytes) -> None:
    """A transaction is read exactly, and only the right one passes the check before it is given out."""
    with contextlib.suppress(ValueError):
        assert read_tx(data).parsed.serialize() == data
    with contextlib.suppress(ValueError):
        spender_in_block(data, Outpoint("00" * 32, 0))
    with contextlib.suppress(InvariantBroken):
        tx, fee = check_signed(data, bitcoin.COINS, bitcoin.PAY, bitcoin.OWN, bitcoin.MAX_FEE)
        assert tx.spends == tuple(coin.outpoint for coin in bitcoin.COINS)
        assert (bitcoin.PAY in tx.pays, 0 <= fee <= bitcoin.MAX_FEE) == (True, True)


def settings(data: bytes) -> None:
    """Settings load, or every problem has its place and its remedy."""
    try:
        read(data.decode("utf-8", errors="replace"), Path("fuzz.toml"))
    except ConfigError as exc:
        for problem in each_problem(exc):
            assert problem.where.startswith("fuzz.toml")
            assert problem.problem
            assert problem.remedy


def sent_cache(data: bytes) -> None:
    """A sent cache is taken whole, or not at all."""
    text = data.decode("utf-8", errors="replace")
    with contextlib.suppress(ConfigError):
        assert len(parse_sent_cache(text, "fuzz.json")) == len(json.loads(text))


def recovery_log(data: bytes) -> None:
    """Each line is an entry, or damage that is told."""
    reading = parse(data)
    lines = len(data.split(b"\n")) - int(not data or data.endswith(b"\n"))
    assert len(reading.entries) + len(reading.damage) == lines
    assert all(set(FIELDS) <= set(entry) for entry in reading.entries)


def _a_swap() -> list[bytes]:
    return [codec.project().encoded("get_swap", each) for each in (ref.swap_data(), None)]


def _a_block() -> list[bytes]:
    records = [events.record(each) for each in (events.TRANSFER, events.SUCCESS, events.FAILED)]
    return [b"", events.block(*records)]


def _a_line() -> list[bytes]:
    return [json.dumps(dict.fromkeys(FIELDS, 1) | {"detail": {}}).encode() + b"\n", b"torn"]


@cache
def targets() -> Mapping[str, Target]:
    """By name."""
    cached = {"7": ["0x" + "ab" * 32, 12, True, 90], "3": ["tao_transfer", 0]}
    return {
        "swap-data": Target(swap_data, _a_swap),
        "contract-event": Target(contract_event, lambda: [bytes([n]) + bytes(80) for n in range(8)]),
        "contract-result": Target(contract_result, lambda: [ref.contract_result(ref.ran(b"abc"))]),
        "block-events": Target(block_events, _a_block),
        "compact-integer": Target(compact_integer, lambda: [compact(n) for n in (0, 70, 2**20, 2**40)]),
        "bitcoin-transaction": Target(transaction, lambda: [bitcoin.signed()]),
        "settings": Target(settings, lambda: [example().encode()]),
        "sent-cache": Target(sent_cache, lambda: [json.dumps(cached).encode()]),
        "recovery-log": Target(recovery_log, _a_line),
    }
