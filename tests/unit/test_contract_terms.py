"""The contract's settings and code: read seldom, and never from before a change."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from miner.contract import Contract
from miner.contract.codec import UNDECODABLE
from miner.errors import ConfigError, ReadFailed, Refused
from miner.model import Head, Terms
from tests.unit import contract_reference as ref
from tests.unit.test_contract_reads import AT, block, contract_of, node_of, told

__all__ = ["told"]


def config_updated(key: str = "fee_divisor", value: int = 50) -> Any:
    return ref.raw_event(ref.document(), "ConfigUpdated", {"key": key, "value": value})


async def test_terms_are_read_once(told: ref.Document) -> None:
    node = node_of(told, {})
    contract = contract_of(node)
    assert await contract.terms(AT) == Terms(100, 150, 50, False, ref.CODE_HASH)
    assert len(node.asked) == 1 + 1 + 4
    for height in range(90, 200):
        await contract.terms(Head(height, f"0x{height:04x}"))
    assert len(node.asked) == 6


async def test_terms_are_read_again_after_an_event_or_a_long_time() -> None:
    node = node_of(ref.document(), {})
    contract = contract_of(node)
    await contract.terms(AT)
    node.handlers["get_fee_divisor"] = lambda: 50
    node.blocks = {101: block(101), 102: block(102, config_updated())}
    await contract.facts(Head(101, "0x0101"))
    assert (await contract.terms(Head(101, "0x0101"))).fee_divisor == 100
    await contract.facts(Head(102, "0x0102"))
    assert (await contract.terms(Head(101, "0x0101"))).fee_divisor == 100
    assert (await contract.terms(Head(102, "0x0102"))).fee_divisor == 50
    assert node.count("get_fee_divisor") == 2
    await contract.terms(Head(402, "0x0402"))
    assert node.count("get_fee_divisor") == 3


async def test_terms_are_read_again_after_an_event_that_does_not_decode() -> None:
    node = node_of(ref.document(), {})
    contract = contract_of(node)
    await contract.terms(AT)
    unknown = config_updated()
    node.blocks = {101: block(101, type(unknown)(ref.ADDRESS, b"\x00", (bytes(32),), 0))}
    facts = await contract.facts(Head(101, "0x0101"))
    assert facts.events[0].name == UNDECODABLE
    await contract.terms(Head(101, "0x0101"))
    assert node.count("get_fee_divisor") == 2


async def test_terms_that_do_not_read_leave_nothing_behind() -> None:
    node = node_of(ref.document(), {})
    contract = contract_of(node)
    node.handlers["get_halted"] = lambda: ReadFailed("halted", "timeout")
    with pytest.raises(ReadFailed):
        await contract.terms(AT)
    node.handlers["get_halted"] = lambda: True
    assert (await contract.terms(AT)).halted is True


@pytest.mark.parametrize(
    "value",
    [
        ref.CODE_HASH,
        ref.CODE_HASH.upper().replace("X", "x"),
        b"\xab" * 32,
        [0xAB] * 32,
        (tuple([0xAB] * 32),),
    ],
)
async def test_the_code_hash_however_storage_tells_it(value: object) -> None:
    node = node_of(ref.document(), {})
    node.code_hash = value
    assert await contract_of(node).code_hash(AT) == ref.CODE_HASH


@pytest.mark.parametrize("value", ["0x12", b"\x00", 7, [256] * 32, None])
async def test_a_code_hash_that_does_not_read_teaches_nothing(value: object) -> None:
    node = node_of(ref.document(), {})
    node.code_hash = value if value is not None else ""
    with pytest.raises(ReadFailed):
        await contract_of(node).code_hash(AT)


async def test_code_that_is_gone_or_another() -> None:
    node = node_of(ref.document(), {})
    contract = contract_of(node)
    await contract.terms(AT)
    node.code_hash = "0x" + "cd" * 32
    with capture_logs() as logs:
        assert await contract.code_hash(AT) == "0x" + "cd" * 32
    assert [line["event"] for line in logs] == ["contract_code_changed"]
    assert (await contract.terms(AT)).code_hash == "0x" + "cd" * 32
    node.code_hash = None
    with pytest.raises(Refused) as refused:
        await contract.code_hash(AT)
    assert refused.value.name == "no_code"


async def test_an_address_without_code_is_the_operators_business() -> None:
    node = node_of(ref.document(), {})
    node.code_hash = None
    with pytest.raises(ConfigError, match="is no contract at block 100") as refused:
        await contract_of(node).check_code(AT)
    assert refused.value.where == "contract.address"


async def test_metadata_of_other_code_is_told() -> None:
    node = node_of(ref.document(), {})
    with capture_logs() as logs:
        assert await contract_of(node).check_code(AT) == ref.CODE_HASH
    assert [line["event"] for line in logs] == ["metadata_of_other_code"]
    node.code_hash = ref.document()["source"]["hash"]
    with capture_logs() as logs:
        await contract_of(node).check_code(AT)
    assert logs == []


def test_an_address_that_is_none_is_refused() -> None:
    node = node_of(ref.document(), {})
    with pytest.raises(ConfigError, match="no SS58 address"):
        Contract(node, ref.RecordingLanes(), ref.metadata(node.told), "bcrt1qcontract")


def test_the_genesis_is_the_nodes() -> None:
    node = node_of(ref.document(), {})
    contract = contract_of(node)
    node.genesis = "0x99"
    assert contract.genesis == "0x99"
