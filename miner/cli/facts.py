"""What commands print of sagas, lanes and journals: the same as the ops server tells."""

from miner.ops.facts import (
    HIDDEN,
    SCHEMA_VERSION,
    delivery_facts,
    ending_facts,
    evidence,
    head_facts,
    journal_facts,
    lane_facts,
    open_states,
    payment_facts,
    payout_txid,
    plain,
    saga_facts,
    when,
    whole,
)

__all__ = [
    "HIDDEN",
    "SCHEMA_VERSION",
    "delivery_facts",
    "ending_facts",
    "evidence",
    "head_facts",
    "journal_facts",
    "lane_facts",
    "open_states",
    "payment_facts",
    "payout_txid",
    "plain",
    "saga_facts",
    "when",
    "whole",
]
