"""Two codecs agree, and nothing that a node or a contract says breaks ours."""

import contextlib
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miner.contract import runtime
from miner.contract.codec import UNDECODABLE, ending_of, event_of, miner_of, swap_of
from miner.contract.metadata import Metadata
from miner.contract.registry import MAX_DEPTH, Choice, Composite, Fields, Primitive, Registry
from miner.contract.runtime import Failed, Gas, Returned
from miner.contract.scale import CodecError, address_of
from miner.model import Ending, EndingKind, Head, Swap, SwapStatus
from miner.ports import RawContractEvent
from tests.unit import contract_reference as ref

HEAD = Head(9, "0x09")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
accounts = st.binary(min_size=32, max_size=32).map(address_of)


def uints(bits: int) -> st.SearchStrategy[int]:
    top = (1 << bits) - 1
    return st.integers(0, top) | st.sampled_from([0, top])


swaps = st.fixed_dictionaries(
    {
        "id": uints(64),
        "user": accounts,
        "miner": accounts,
        "source_chain": texts,
        "dest_chain": texts,
        "source_amount": uints(128),
        "dest_amount": uints(128),
        "tao_amount": uints(128),
        "user_source_address": texts,
        "user_dest_address": texts,
        "miner_source_address": texts,
        "miner_dest_address": texts,
        "rate": texts,
        "source_tx_hash": texts,
        "source_tx_block": uints(32),
        "dest_tx_hash": texts,
        "dest_tx_block": uints(32),
        "status": st.sampled_from(["Active", "Fulfilled", "Completed", "TimedOut"]),
        "initiated_block": uints(32),
        "timeout_block": uints(32),
        "fulfilled_block": uints(32),
        "completed_block": uints(32),
    }
)


class Pair:
    """A deployment's metadata, and the reference over the same."""

    def __init__(self, told: ref.Document) -> None:
        self.told = told
        self.metadata: Metadata = ref.metadata(told)
        self.reference = ref.Reference(told)

    def encoded(self, label: str, value: object) -> bytes:
        return self.reference.encode(ref.message(self.told, label)["returnType"]["type"], {"Ok": value})

    def decoded(self, label: str, data: bytes, *, keep_bad_text: bool = False) -> Any:
        returns = self.metadata.messages[label].returns
        value = self.metadata.types.decode(returns, data, keep_bad_text=keep_bad_text)
        assert isinstance(value, Choice)
        return value.value


@cache
def project() -> Pair:
    return Pair(ref.document())


@cache
def other() -> Pair:
    return Pair(ref.other_document())


def as_model(told: dict[str, Any]) -> Swap:
    return Swap(**told | {"status": SwapStatus(told["status"])})


@given(swaps)
def test_a_swap_reads_as_the_reference_wrote_it(told: dict[str, Any]) -> None:
    for pair in (project(), other()):
        assert swap_of(pair.decoded("get_swap", pair.encoded("get_swap", told))) == as_model(told)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rate": "", "source_chain": "", "user_dest_address": ""},
        {"source_amount": 0, "dest_amount": 0, "tao_amount": 0, "source_tx_block": 0},
        {"source_amount": 2**128 - 1, "id": 2**64 - 1, "timeout_block": 2**32 - 1},
        {"user_dest_address": "Ünïcode ₿ 地址 \U0001f600\x00", "rate": "\uff13\uff14"},
    ],
)
def test_empty_zero_huge_and_foreign_fields(changes: dict[str, object]) -> None:
    told = ref.swap_data(7, **changes)
    assert swap_of(project().decoded("get_swap", project().encoded("get_swap", told))) == as_model(told)


def test_no_swap_is_none() -> None:
    assert project().decoded("get_swap", project().encoded("get_swap", None)) is None


@given(st.lists(uints(64), max_size=20))
def test_arguments_read_by_the_reference(ids: list[int]) -> None:
    pair = project()
    data = pair.metadata.call_data("get_swaps", {"ids": ids})
    assert pair.reference.decode(pair.metadata.messages["get_swaps"].args[0][1], data[4:]) == ids


@given(uints(64), texts, uints(32), uints(128))
def test_a_marks_arguments_read_by_the_reference(swap_id: int, txid: str, block: int, amount: int) -> None:
    pair = project()
    args = {"swap_id": swap_id, "dest_tx_hash": txid, "dest_tx_block": block, "dest_amount": amount}
    rest = pair.metadata.call_data("mark_fulfilled", args)[4:]
    for name, of in pair.metadata.messages["mark_fulfilled"].args:
        written = pair.reference.encode(of, args[name])
        assert rest.startswith(written)
        rest = rest[len(written) :]
    assert not rest


@pytest.mark.parametrize(
    "args",
    [
        {"ids": [2**64]},
        {"ids": [-1]},
        {"ids": ["1"]},
        {"ids": [True]},
        {"ids": 1},
        {"ids": None},
    ],
)
def test_an_argument_that_does_not_fit_is_refused(args: dict[str, object]) -> None:
    with pytest.raises(CodecError):
        project().metadata.call_data("get_swaps", args)


def test_a_lone_surrogate_is_no_text() -> None:
    args = {"swap_id": 1, "dest_tx_hash": "\ud800", "dest_tx_block": 1, "dest_amount": 1}
    with pytest.raises(CodecError, match="Unicode"):
        project().metadata.call_data("mark_fulfilled", args)


# what is wrong with the bytes


@given(
    st.binary(max_size=400), st.sampled_from(["get_swap", "get_swaps", "mark_fulfilled", "get_swap_outcome"])
)
def test_any_bytes_decode_or_are_refused(data: bytes, label: str) -> None:
    with contextlib.suppress(CodecError):
        project().decoded(label, data)
    with contextlib.suppress(CodecError):
        project().decoded(label, b"\x00\x01" + data, keep_bad_text=True)


@given(st.data())
def test_a_changed_swap_decodes_or_is_refused(data: st.DataObject) -> None:
    whole = bytearray(project().encoded("get_swap", ref.swap_data()))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    del whole[data.draw(st.integers(0, len(whole))) :]
    with contextlib.suppress(CodecError):
        value = project().decoded("get_swap", bytes(whole), keep_bad_text=True)
        assert value is None or isinstance(miner_of(value), str)
        swap_of(value)


@pytest.mark.parametrize("cut", [1, 2, 40, 200])
def test_cut_and_trailing_bytes_are_refused(cut: int) -> None:
    whole = project().encoded("get_swap", ref.swap_data())
    with pytest.raises(CodecError):
        project().decoded("get_swap", whole[:-cut])
    with pytest.raises(CodecError, match="too many"):
        project().decoded("get_swap", whole + bytes(cut))


def test_a_text_that_is_no_utf8_spoils_its_swap_only() -> None:
    pair = project()
    whole = pair.encoded(
        "get_swaps", [ref.swap_data(1), ref.swap_data(2, rate="~~~"), None, ref.swap_data(4)]
    )
    bad = whole.replace(b"~~~", b"\xff~~")
    with pytest.raises(CodecError, match="UTF-8"):
        pair.decoded("get_swaps", bad)
    one, two, three, four = pair.decoded("get_swaps", bad, keep_bad_text=True)
    assert (swap_of(one).id, three, swap_of(four).id) == (1, None, 4)
    assert miner_of(two) == ref.MINER
    with pytest.raises(CodecError, match="`rate` is no UTF-8"):
        swap_of(two)


def test_an_unknown_status_is_refused() -> None:
    whole = bytearray(project().encoded("get_swap", ref.swap_data(completed_block=2**32 - 1)))
    assert whole[-17] == 0
    whole[-17] = 4
    with pytest.raises(CodecError, match="no variant 4"):
        project().decoded("get_swap", bytes(whole))


def test_a_status_that_only_the_metadata_knows_is_refused() -> None:
    told = ref.document()
    variants = ref.type_named(told, "SwapStatus")["def"]["variant"]["variants"]
    variants.append({"name": "Disputed", "index": 9})
    pair = Pair(told)
    value = pair.decoded("get_swap", pair.encoded("get_swap", ref.swap_data(status="Disputed")))
    with pytest.raises(CodecError, match="Disputed"):
        swap_of(value)


def test_a_type_without_end_is_refused() -> None:
    endless = Registry({0: Composite(("Loop",), Fields((None,), (0,)))})
    with pytest.raises(CodecError, match="nested too deep"):
        endless.decode(0, bytes(MAX_DEPTH))


def test_types_that_no_value_is_read_of_are_refused() -> None:
    with pytest.raises(CodecError, match="bitsequence"):
        Registry({0: Primitive("bitsequence")}).decode(0, b"")


# errors by name


@pytest.mark.parametrize("name", ["InvalidStatus", "SwapNotFound", "SystemHalted"])
def test_errors_are_known_by_name_however_they_are_numbered(name: str) -> None:
    encoded = [pair.encoded("mark_fulfilled", {"Err": name}) for pair in (project(), other())]
    assert encoded[0] != encoded[1]
    for pair, data in zip((project(), other()), encoded, strict=True):
        assert pair.decoded("mark_fulfilled", data) == Choice("Err", Choice(name))


def test_an_error_that_the_metadata_has_not_is_no_error_of_the_contract() -> None:
    with pytest.raises(CodecError, match="no variant 200"):
        project().decoded("mark_fulfilled", b"\x00\x01\xc8")


def test_success_of_a_mark() -> None:
    assert project().decoded("mark_fulfilled", b"\x00\x00") == Choice("Ok")


# outcomes


@given(st.sampled_from(["Completed", "TimedOut"]), uints(32), texts, uints(128), uints(128))
def test_an_outcome_reads_as_written(status: str, block: int, txid: str, slash: int, fee: int) -> None:
    told = {
        "status": status,
        "ended_block": block,
        "dest_tx_hash": txid,
        "slash_amount": slash,
        "fee_amount": fee,
    }
    kind = EndingKind.COMPLETED if status == "Completed" else EndingKind.TIMED_OUT
    read = ending_of(project().decoded("get_swap_outcome", project().encoded("get_swap_outcome", told)))
    assert read == Ending(kind, block, slash, fee, txid or None)


def test_no_outcome_and_outcomes_that_make_no_sense() -> None:
    assert ending_of(None) is None
    told = {"status": "Active", "ended_block": 1, "dest_tx_hash": "~~", "slash_amount": 0, "fee_amount": 0}
    encoded = project().encoded("get_swap_outcome", told)
    with pytest.raises(CodecError, match="status is Active"):
        ending_of(project().decoded("get_swap_outcome", encoded))
    bad = project().decoded("get_swap_outcome", encoded.replace(b"~~", b"\xff~"), keep_bad_text=True)
    with pytest.raises(CodecError, match="UTF-8"):
        ending_of(bad)


# events


def test_an_event_by_its_topic() -> None:
    fields = {
        "swap_id": 3,
        "user": ref.OTHER,
        "miner": ref.MINER,
        "source_amount": 2**100,
        "initiated_block": 8,
    }
    raw = ref.raw_event(project().told, "SwapInitiated", fields, 4)
    event = event_of(project().metadata, raw, HEAD)
    assert (event.name, event.args, event.block, event.index) == ("SwapInitiated", fields, HEAD, 4)


def test_enums_and_bools_in_events_are_plain() -> None:
    fields = {"swap_id": 3, "validator": ref.OTHER, "vote_type": "ExtendTimeout", "vote_count": 2}
    raw = ref.raw_event(project().told, "VoteCast", fields)
    assert event_of(project().metadata, raw, HEAD).args == fields
    raw = ref.raw_event(project().told, "MinerActivated", {"miner": ref.MINER, "active": True})
    assert event_of(project().metadata, raw, HEAD).args == {"miner": ref.MINER, "active": True}


@pytest.mark.parametrize("change", ["no topic", "other topic", "cut", "long", "no UTF-8"])
def test_an_event_that_does_not_decode_is_told_with_its_bytes(change: str) -> None:
    fields = {"swap_id": 3, "miner": ref.MINER, "dest_tx_hash": "~~"}
    raw = ref.raw_event(project().told, "SwapFulfilled", fields, 2)
    topics, data = raw.topics, raw.data
    if change == "no topic":
        topics = ()
    elif change == "other topic":
        topics = (bytes(32),)
    elif change == "cut":
        data = data[:-1]
    elif change == "long":
        data += b"\x00"
    else:
        data = data.replace(b"~~", b"\xff~")
    event = event_of(project().metadata, RawContractEvent(raw.contract, data, topics, 2), HEAD)
    assert (event.name, event.block, event.index) == (UNDECODABLE, HEAD, 2)
    assert event.args["data"] == "0x" + data.hex()
    assert event.args["topics"] == ["0x" + topic.hex() for topic in topics]
    assert event.args["why"]


@given(
    st.binary(max_size=200), st.sampled_from([e["signature_topic"] for e in ref.document()["spec"]["events"]])
)
def test_any_event_is_told(data: bytes, topic: str) -> None:
    raw = RawContractEvent(ref.ADDRESS, data, (bytes.fromhex(topic[2:]),), 0)
    assert event_of(project().metadata, raw, HEAD).name


# the runtime's result


@pytest.mark.parametrize("width", [8, 16])
@pytest.mark.parametrize("events", [b"", b"\x01\x04\x00\x01\x02"])
def test_a_result_of_either_balance(width: int, events: bytes) -> None:
    reply = ref.contract_result(ref.ran(b"abc", 1), width=width, gas=(7, 8), events=events)
    assert runtime.result(reply, width) == Returned(Gas(7, 8), True, b"abc")


def test_a_result_of_an_older_runtime_has_no_events() -> None:
    reply = ref.contract_result(ref.ran(b"abc"))[:-1]
    assert runtime.result(reply, 8) == Returned(Gas(1000, 100), False, b"abc")


@pytest.mark.parametrize(
    ("error", "failed"),
    [
        ("00", Failed("Other")),
        ("0307010000ff", Failed("Module", (7, bytes.fromhex("010000ff")))),
        ("0700", Failed("Token.FundsUnavailable")),
        ("07fa", Failed("Token.variant 250")),
        ("0801", Failed("Arithmetic.Overflow")),
        ("0900", Failed("Transactional.LimitReached")),
        ("0a", Failed("Exhausted")),
        ("0e03", Failed("Trie.DecoderError")),
        ("c8", Failed("variant 200")),
    ],
)
def test_a_call_that_the_chain_stopped(error: str, failed: Failed) -> None:
    assert runtime.result(ref.contract_result(ref.stopped(bytes.fromhex(error))), 8) == failed


@given(st.binary(max_size=200), st.sampled_from([8, 16]))
def test_any_reply_decodes_or_is_refused(reply: bytes, width: int) -> None:
    with contextlib.suppress(CodecError):
        runtime.result(reply, width)


def test_trailing_bytes_and_unknown_parts_of_a_reply_are_refused() -> None:
    reply = ref.contract_result(ref.ran(b"abc"))
    with pytest.raises(CodecError, match="too many"):
        runtime.result(reply + b"\x00", 8)
    with pytest.raises(CodecError):
        runtime.result(reply, 16)
    with pytest.raises(CodecError, match="storage deposit"):
        runtime.result(b"\x00" * 4 + b"\x02" + reply[7:], 8)


@pytest.mark.parametrize("size", [0, 4, 32])
def test_a_balance_of_another_width_is_not_guessed(size: int) -> None:
    with pytest.raises(CodecError):
        runtime.width_of(bytes(size))


def test_gas_arithmetic() -> None:
    assert Gas(10, 11).times(6, 5) == Gas(12, 14)
    assert Gas(10, 11).union(Gas(9, 12)) == Gas(10, 12)
    assert Gas(10, 11).capped(Gas(9, 12)) == Gas(9, 11)
