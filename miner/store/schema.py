"""The tables. Amounts are integers in the chain's smallest unit; times are ms since 1970 UTC.

Flags are integers (0 or 1), so that the partial indexes over what is still open read alike everywhere.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

REVISIONS = ("0001", "0002", "0003", "0006", "0007", "0008", "0009")
"""Every schema version this program knows, oldest first; the last is the one it works with."""
HEAD = REVISIONS[-1]

JOURNAL_VERSION = 1
"""Version of the journal's payloads."""

MAX_INT = 2**63 - 1
"""Largest integer a column holds."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Int = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers rows by INTEGER PRIMARY KEY alone


def _int(name: str, *args: Any, **kwargs: Any) -> Column[int]:
    return Column(name, Int, *args, **{"nullable": False, **kwargs})


def _str(name: str, *args: Any, **kwargs: Any) -> Column[str]:
    return Column(name, String, *args, **{"nullable": False, **kwargs})


def _json(name: str, **kwargs: Any) -> Column[str]:
    return Column(name, Text, **{"nullable": False, **kwargs})


def _flag(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False)


def _partial(name: str, *columns: Column[Any], where: str, unique: bool = False) -> Index:
    clause = text(where)
    return Index(name, *columns, unique=unique, sqlite_where=clause, postgresql_where=clause)


meta = Table("meta", metadata, _str("name", primary_key=True), _str("value"))

operator_log = Table(
    "operator_log",
    metadata,
    _int("id", primary_key=True),
    _int("at_ms"),
    _str("actor"),
    _str("action"),
    _json("detail"),
)

watch_cursor = Table(
    "watch_cursor",
    metadata,
    _int("id", primary_key=True, autoincrement=False),
    _int("height"),
    _str("hash"),
    CheckConstraint("id = 1", name="single"),
)

heads = Table("heads", metadata, _int("height", primary_key=True, autoincrement=False), _str("hash"))

miner_reserved = Table(
    "miner_reserved", metadata, _str("miner", primary_key=True), _int("height"), _int("at_ms")
)

sagas = Table(
    "sagas",
    metadata,
    _int("id", primary_key=True),
    _int("swap_id", unique=True),
    _int("version"),
    _str("state"),
    _flag("ended"),
    _str("miner"),
    _int("timeout_block"),
    _json("swap"),
    _str("reason"),
    _json("ending", nullable=True),
    _json("payment", nullable=True),
    _str("payment_chain", nullable=True),
    _str("payment_txid", nullable=True),
    _int("payout_lane_id", nullable=True),
    _int("mark_lane_id", nullable=True),
    _int("mark_retries"),
    _int("next_attempt_ms"),
    _int("reserved_block", nullable=True),
    _int("reserved_at_ms", nullable=True),
    _int("created_at_ms"),
    _int("updated_at_ms"),
    CheckConstraint("ended IN (0, 1)", name="ended"),
)
_partial("ix_sagas_open", sagas.c.timeout_block, sagas.c.swap_id, where="ended = 0")
_partial(
    "uq_sagas_payment",
    sagas.c.payment_chain,
    sagas.c.payment_txid,
    where="payment_txid IS NOT NULL",
    unique=True,
)
Index("ix_sagas_state", sagas.c.state, sagas.c.swap_id)
Index("ix_sagas_miner", sagas.c.miner, sagas.c.swap_id)

journal = Table(
    "journal",
    metadata,
    _int("saga_id", ForeignKey("sagas.id"), primary_key=True, autoincrement=False),
    _int("seq", primary_key=True, autoincrement=False),
    _int("schema_version"),
    _int("at_ms"),
    _str("actor"),
    _int("lease_epoch"),
    _str("event"),
    _str("state_before"),
    _str("state_after"),
    _json("payload"),
    _int("position", nullable=True),
)
Index("ix_journal_position", journal.c.position, unique=True)

leases = Table(
    "leases",
    metadata,
    _str("resource", primary_key=True),
    _int("saga_id", ForeignKey("sagas.id"), unique=True, nullable=True),
    _str("owner", nullable=True),
    _int("epoch"),
    _int("acquired_at_ms"),
    _int("heartbeat_at_ms"),
    _int("expires_at_ms"),
    _int("ttl_ms", server_default=text("0")),
)
_partial("ix_leases_owner", leases.c.owner, where="owner IS NOT NULL")

lanes = Table(
    "lanes",
    metadata,
    _int("id", primary_key=True),
    _int("saga_id", ForeignKey("sagas.id"), nullable=True),
    _str("chain"),
    _str("account"),
    _str("slot"),
    _int("nonce", nullable=True),
    _str("purpose"),
    _str("recipient"),
    _int("amount"),
    _str("state"),
    _flag("closed"),
    _str("txid", nullable=True),
    _int("block_height", nullable=True),
    _str("block_hash", nullable=True),
    _int("checked_height"),
    _int("allotted_at_ms"),
    _str("sighting", nullable=True),
    _str("taker", nullable=True),
    CheckConstraint("closed IN (0, 1)", name="closed"),
    CheckConstraint("amount >= 0", name="amount"),
)
Index("ix_lanes_saga", lanes.c.saga_id)
Index("ix_lanes_allotted", lanes.c.chain, lanes.c.allotted_at_ms)
_partial("ix_lanes_open", lanes.c.id, where="closed = 0")
# Law 1: at most one open lane for one payout (or mark); and a transaction is credited to one swap alone.
_partial("uq_lanes_open", lanes.c.saga_id, lanes.c.purpose, where="closed = 0", unique=True)
_partial(
    "uq_lanes_credit",
    lanes.c.chain,
    lanes.c.txid,
    where="state = 'landed' AND purpose <> 'mark'",
    unique=True,
)

slots = Table(
    "slots",
    metadata,
    _str("chain", primary_key=True),
    _str("account", primary_key=True),
    _str("slot", primary_key=True),
    _int("lane_id", ForeignKey("lanes.id"), index=True),
)

attempts = Table(
    "attempts",
    metadata,
    _int("lane_id", ForeignKey("lanes.id"), primary_key=True, autoincrement=False),
    _int("seq", primary_key=True, autoincrement=False),
    _str("chain"),
    _str("kind"),
    _str("txid"),
    Column("raw", LargeBinary, nullable=False),
    _int("fee"),
    _int("birth", nullable=True),
    _int("death", nullable=True),
    _json("spends"),
    _int("signed_at_ms"),
    UniqueConstraint("chain", "txid"),
)

reservations = Table(
    "reservations",
    metadata,
    _int("saga_id", ForeignKey("sagas.id"), primary_key=True, autoincrement=False),
    _str("chain"),
    _str("account"),
    _int("amount"),
    _int("fee"),
    _str("mark_chain"),
    _str("mark_account"),
    _int("mark_fee"),
    _str("state"),
    _str("mark_state"),
    CheckConstraint("amount >= 0 AND fee >= 0 AND mark_fee >= 0", name="amounts"),
)
_partial("ix_reservations_payout", reservations.c.chain, reservations.c.account, where="state = 'reserved'")
_partial(
    "ix_reservations_mark",
    reservations.c.mark_chain,
    reservations.c.mark_account,
    where="mark_state = 'reserved'",
)

accounts = Table(
    "accounts",
    metadata,
    _str("chain", primary_key=True),
    _str("account", primary_key=True),
    _int("high_water"),
    _int("base"),
    _str("stopped"),
    _int("seen_nonce", server_default=text("0")),
    _int("seen_at", server_default=text("0")),
)

paused = Table("paused", metadata, _str("what", primary_key=True), _str("actor"), _int("at_ms"))

imported = Table(
    "imported",
    metadata,
    _int("swap_id", primary_key=True, autoincrement=False),
    _str("txid"),
    _int("block"),
    _flag("marked"),
    _int("timeout_block", nullable=True),
    _int("at_ms"),
)

approvals = Table(
    "approvals",
    metadata,
    _int("swap_id", primary_key=True, autoincrement=False),
    _int("amount"),
    _str("actor"),
    _int("at_ms"),
)

recovery = Table(
    "recovery",
    metadata,
    _int("id", primary_key=True),
    _int("saga_id", ForeignKey("sagas.id")),
    _str("cause"),
    _str("what_to_do"),
    _json("detail"),
    _str("state"),
    _int("at_ms"),
    _int("written_at_ms", nullable=True),
    UniqueConstraint("saga_id", "cause"),
)
_partial("ix_recovery_pending", recovery.c.id, where="written_at_ms IS NULL")

operator_requests = Table(
    "operator_requests",
    metadata,
    _int("id", primary_key=True),
    _int("swap_id"),
    _str("verb"),
    _str("actor"),
    _json("asked"),
    _str("standing"),
    _int("at_ms"),
    _int("expires_at_ms"),
    _str("taken_by", nullable=True),
    _json("outcome", nullable=True),
)
_partial("ix_operator_requests_open", operator_requests.c.id, where="standing IN ('waiting', 'taken')")

notices = Table(
    "notices",
    metadata,
    _int("id", primary_key=True),
    _int("at_ms"),
    _str("kind"),
    _str("phase"),
    _str("subject"),
    _int("swap_id", nullable=True),
    _json("text"),
    _json("what_to_do"),
    _json("detail"),
    _flag("routed"),
    CheckConstraint("routed IN (0, 1)", name="routed"),
)
Index("ix_notices_at", notices.c.at_ms)
_partial("ix_notices_unrouted", notices.c.id, where="routed = 0")

conditions = Table(
    "conditions",
    metadata,
    _str("kind", primary_key=True),
    _str("subject", primary_key=True),
    _int("since_ms"),
)

deliveries = Table(
    "deliveries",
    metadata,
    _int("notice_id", ForeignKey("notices.id"), primary_key=True, autoincrement=False),
    _str("target", primary_key=True),
    _str("standing"),
    _int("attempts"),
    _int("next_at_ms"),
    _json("last_error"),
    _str("taken_by", nullable=True),
    _int("taken_until_ms"),
)
_partial("ix_deliveries_waiting", deliveries.c.target, deliveries.c.next_at_ms, where="standing = 'waiting'")
