"""Metadata is checked at the edge, and read by name."""

import json
from pathlib import Path

import pytest

from miner.contract import load
from miner.contract.needs import EVENTS, OPTIONAL, REQUIRED
from miner.errors import ConfigError
from tests.unit import contract_reference as ref

# The interface of the contract in the field.
SELECTORS = {
    "post_collateral": "0x31b3f423", "withdraw_collateral": "0xe098e62d", "vote_reserve": "0xff3b86a0",
    "cancel_reservation": "0xc4cb59cb", "vote_extend_reservation": "0xf668d950",
    "vote_initiate": "0x90c444d8", "mark_fulfilled": "0x2dbeeb8d", "confirm_swap": "0xd0065335",
    "timeout_swap": "0x5325f39c",
    "vote_extend_timeout": "0x0fb2d2e5", "claim_slash": "0xcf3c3dd9", "deactivate": "0x339db2a5",
    "vote_activate": "0x00088a2d", "transfer_ownership": "0x107e33ea", "add_validator": "0x82f48fa6",
    "remove_validator": "0x62135acd", "set_fulfillment_timeout": "0xe9cb777b",
    "set_min_collateral": "0xb3f48b5e", "set_max_collateral": "0xb7fae7fd",
    "set_consensus_threshold": "0xc0d8ec47", "set_min_swap_amount": "0x800e1573",
    "set_max_swap_amount": "0x3e868f32", "set_recycle_address": "0x50dfe685",
    "set_reservation_ttl": "0x3143d9e3", "set_fee_divisor": "0x8832de41", "set_halted": "0x8fe1c210",
    "recycle_fees": "0x97756ea1", "get_swap": "0xa35f1bbf", "get_collateral": "0xf48343ad",
    "get_miner_active": "0x25652be8", "get_miner_has_active_swap": "0x1d07dec1",
    "get_miner_last_resolved_block": "0xa4b68d1f", "is_validator": "0xf844fc5f",
    "get_next_swap_id": "0xd80244d2", "get_fulfillment_timeout": "0xe820174a",
    "get_min_collateral": "0x233a7832", "get_max_collateral": "0x54945717",
    "get_required_votes_count": "0xfe07130d", "get_accumulated_fees": "0xbf3b5d4e",
    "get_total_recycled_fees": "0x9910e939", "get_owner": "0x07fcd0b1", "get_halted": "0xec540804",
    "get_recycle_address": "0x3847e06c", "get_pending_slash": "0x48c78c4a",
    "get_min_swap_amount": "0xfca7daa4", "get_max_swap_amount": "0x97826e04",
    "get_miner_reserved_until": "0xd5ed7150", "get_reservation_ttl": "0xf7e24a31",
    "get_fee_divisor": "0x41afd8bc", "get_miner_deactivation_block": "0x361acc31",
    "get_consensus_threshold": "0x2c283460", "get_validator_count": "0xa30ab5c4",
    "get_activation_vote_count": "0x154595d0", "get_reservation_data": "0x79fe2717",
    "get_pending_reserve_vote_count": "0x3781315a", "get_extend_vote_count": "0x24fa0aae",
    "get_cooldown": "0x19a837c6",
}  # fmt: skip

EVENT_FIELDS = {
    "FeesRecycled": ["tao_amount"],
    "SlashClaimed": ["swap_id", "user", "amount"],
    "SlashPending": ["swap_id", "user", "amount"],
    "SwapTimedOut": ["swap_id", "miner", "tao_amount", "slash_amount"],
    "ConfigUpdated": ["key", "value"],
    "MinerReserved": ["miner", "reserved_until"],
    "SwapCompleted": ["swap_id", "miner", "tao_amount", "fee_amount"],
    "SwapFulfilled": ["swap_id", "miner", "dest_tx_hash"],
    "SwapInitiated": ["swap_id", "user", "miner", "source_amount", "initiated_block"],
    "MinerActivated": ["miner", "active"],
    "CollateralPosted": ["miner", "amount", "total"],
    "ValidatorUpdated": ["validator", "registered"],
    "CollateralSlashed": ["miner", "amount", "recipient"],
    "CollateralWithdrawn": ["miner", "amount", "remaining"],
    "ReservationExtended": ["miner", "reserved_until"],
    "SwapTimeoutExtended": ["swap_id", "new_timeout_block"],
    "OwnershipTransferred": ["previous_owner", "new_owner"],
    "ReservationCancelled": ["miner"],
    "VoteCast": ["swap_id", "validator", "vote_type", "vote_count"],
}


def refusal(path: Path, text: str | None) -> str:
    """What `load` says of a file with this text; of none at all for None."""
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load(path)
    assert refused.value.where == str(path)
    assert refused.value.remedy
    return refused.value.problem


def test_the_project_contract_has_the_interface_of_the_field() -> None:
    metadata = load(ref.ARTIFACT)
    assert {label: "0x" + metadata.messages[label].selector.hex() for label in SELECTORS} == SELECTORS
    events = {event.label: [name for name, _ in event.fields] for event in metadata.events.values()}
    assert events == EVENT_FIELDS
    assert len(metadata.code_hash) == 66


def test_every_optional_message_is_used_with_the_project_contract() -> None:
    assert load(ref.ARTIFACT).messages.keys() >= OPTIONAL.keys()


@pytest.mark.parametrize("told", [ref.field_document(), ref.other_document()], ids=["field", "other"])
def test_the_field_and_other_deployments_are_accepted(told: ref.Document) -> None:
    assert "get_swaps" not in ref.metadata(told).messages


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "cannot be read (No such file"),
        ("", "the file is empty"),
        (" \n", "the file is empty"),
        ("{", "no JSON"),
        ("[" * 100_000, "nested too deep"),
        ("[]", "`spec` or `types` is missing"),
        ('{"source": {}}', "`spec` or `types` is missing"),
        ('{"spec": {}, "types": []}', "metadata version 5 expected, 'none' found"),
        ('{"spec": {}, "types": [], "version": 4}', "metadata version 5 expected, 4 found"),
        ('{"spec": {}, "types": [], "version": "5"}', "`spec.messages` does not read"),
        ('{"spec": [], "types": [], "version": 5}', "`spec.messages` does not read"),
        ('{"spec": {}, "types": 7, "version": 5}', "`types` does not read"),
        ('{"spec": {}, "types": [{"id": 0}], "version": 5}', "`types` does not read"),
        ('{"spec": {"messages": []}, "types": [], "version": 5}', "`spec.events` does not read"),
        ('{"spec": {"messages": [], "events": []}, "types": [], "version": 5}', "`get_swap`: is missing"),
    ],
)
def test_a_file_that_is_no_metadata_is_refused(tmp_path: Path, text: str | None, problem: str) -> None:
    assert problem in refusal(tmp_path / "metadata.json", text)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "metadata.json"
    path.write_bytes(b"\x00asm\xff\xff")
    assert "no UTF-8" in refusal(path, None)
    assert "cannot be read" in refusal(tmp_path, None)


@pytest.mark.parametrize("label", REQUIRED)
def test_a_message_that_is_needed_and_missing_is_named(tmp_path: Path, label: str) -> None:
    told = ref.document()
    told["spec"]["messages"].remove(ref.message(told, label))
    assert f"message `{label}`: is missing" in refusal(tmp_path / "m.json", json.dumps(told))


@pytest.mark.parametrize("label", EVENTS)
def test_an_event_that_is_needed_and_missing_is_named(tmp_path: Path, label: str) -> None:
    told = ref.document()
    told["spec"]["events"] = [e for e in told["spec"]["events"] if e["label"] != label]
    assert f"event `{label}`: is missing" in refusal(tmp_path / "m.json", json.dumps(told))


def test_an_event_without_a_topic_cannot_be_told_from_others(tmp_path: Path) -> None:
    told = ref.document()
    for event in told["spec"]["events"]:
        if event["label"] == "SwapInitiated":
            event["signature_topic"] = None
    assert "event `SwapInitiated`: is missing" in refusal(tmp_path / "m.json", json.dumps(told))


def test_what_is_of_another_type_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.json"

    told = ref.document()
    fields = ref.type_named(told, "SwapData")["def"]["composite"]["fields"]
    fields[:] = [f for f in fields if f["name"] != "timeout_block"]
    assert "message `get_swap`: its answer field `timeout_block` is missing" in refusal(
        path, json.dumps(told)
    )

    told = ref.document()
    miner, rate = (
        next(f for f in ref.type_named(told, "SwapData")["def"]["composite"]["fields"] if f["name"] == name)
        for name in ("miner", "rate")
    )
    miner["type"] = rate["type"]
    assert "`get_swap`: its answer field `miner` is no account" in refusal(path, json.dumps(told))

    told = ref.document()
    ref.type_named(told, "SwapStatus")["def"]["variant"]["variants"].pop()
    assert "has no variant TimedOut" in refusal(path, json.dumps(told))

    told = ref.document()
    ref.message(told, "get_halted")["returnType"] = ref.message(told, "get_next_swap_id")["returnType"]
    assert "message `get_halted`: its answer is no bool" in refusal(path, json.dumps(told))

    told = ref.document()
    ref.message(told, "mark_fulfilled")["returnType"] = ref.message(told, "get_next_swap_id")["returnType"]
    assert "message `mark_fulfilled`: its answer is no result" in refusal(path, json.dumps(told))

    told = ref.document()
    args = ref.message(told, "mark_fulfilled")["args"]
    args.append(args[0] | {"label": "proof"})
    assert "takes an unknown argument `proof`" in refusal(path, json.dumps(told))

    told = ref.document()
    del ref.message(told, "mark_fulfilled")["args"][1]
    assert "message `mark_fulfilled`: `dest_tx_hash` is missing" in refusal(path, json.dumps(told))

    told = ref.document()
    told["types"] = [
        each for each in told["types"] if each["id"] != ref.message(told, "get_swap")["returnType"]["type"]
    ]
    assert "has no type" in refusal(path, json.dumps(told))


def test_an_optional_message_of_another_type_is_done_without() -> None:
    told = ref.document()
    ref.message(told, "get_swaps")["args"] = []
    metadata = ref.metadata(told)
    assert "get_swaps" not in metadata.messages
    assert "get_active_swaps" in metadata.messages


def test_a_bad_selector_or_topic_is_refused(tmp_path: Path) -> None:
    told = ref.document()
    ref.message(told, "get_swap")["selector"] = "0x1234"
    assert "`spec.messages` does not read" in refusal(tmp_path / "m.json", json.dumps(told))
    told = ref.document()
    told["spec"]["events"][0]["signature_topic"] = "0x00"
    assert "`spec.events` does not read" in refusal(tmp_path / "m.json", json.dumps(told))


def test_call_data_is_the_selector_and_the_arguments_in_the_metadatas_order() -> None:
    args = {"dest_amount": 5, "swap_id": 1, "dest_tx_block": 3, "dest_tx_hash": "ab"}
    encoded = [(1).to_bytes(8, "little"), b"\x08ab", (3).to_bytes(4, "little"), (5).to_bytes(16, "little")]
    selector = bytes.fromhex("2dbeeb8d")
    assert ref.metadata(ref.document()).call_data("mark_fulfilled", args) == selector + b"".join(encoded)
    other = ref.metadata(ref.other_document()).call_data("mark_fulfilled", args)
    assert other == selector + b"".join(reversed(encoded))
