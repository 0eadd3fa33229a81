"""All tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("high_water", INT, nullable=False),
        sa.Column("base", INT, nullable=False),
        sa.Column("stopped", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("chain", "account", name=op.f("pk_accounts")),
    )
    op.create_table(
        "heads",
        sa.Column("height", INT, autoincrement=False, nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("height", name=op.f("pk_heads")),
    )
    op.create_table(
        "imported",
        sa.Column("swap_id", INT, autoincrement=False, nullable=False),
        sa.Column("txid", sa.String(), nullable=False),
        sa.Column("block", INT, nullable=False),
        sa.Column("marked", sa.Integer(), nullable=False),
        sa.Column("timeout_block", INT, nullable=True),
        sa.Column("at_ms", INT, nullable=False),
        sa.PrimaryKeyConstraint("swap_id", name=op.f("pk_imported")),
    )
    op.create_table(
        "meta",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_meta")),
    )
    op.create_table(
        "miner_reserved",
        sa.Column("miner", sa.String(), nullable=False),
        sa.Column("height", INT, nullable=False),
        sa.Column("at_ms", INT, nullable=False),
        sa.PrimaryKeyConstraint("miner", name=op.f("pk_miner_reserved")),
    )
    op.create_table(
        "operator_log",
        sa.Column("id", INT, nullable=False),
        sa.Column("at_ms", INT, nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operator_log")),
    )
    op.create_table(
        "paused",
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("at_ms", INT, nullable=False),
        sa.PrimaryKeyConstraint("what", name=op.f("pk_paused")),
    )
    op.create_table(
        "sagas",
        sa.Column("id", INT, nullable=False),
        sa.Column("swap_id", INT, nullable=False),
        sa.Column("version", INT, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("ended", sa.Integer(), nullable=False),
        sa.Column("miner", sa.String(), nullable=False),
        sa.Column("timeout_block", INT, nullable=False),
        sa.Column("swap", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("ending", sa.Text(), nullable=True),
        sa.Column("payment", sa.Text(), nullable=True),
        sa.Column("payment_chain", sa.String(), nullable=True),
        sa.Column("payment_txid", sa.String(), nullable=True),
        sa.Column("payout_lane_id", INT, nullable=True),
        sa.Column("mark_lane_id", INT, nullable=True),
        sa.Column("mark_retries", INT, nullable=False),
        sa.Column("next_attempt_ms", INT, nullable=False),
        sa.Column("reserved_block", INT, nullable=True),
        sa.Column("reserved_at_ms", INT, nullable=True),
        sa.Column("created_at_ms", INT, nullable=False),
        sa.Column("updated_at_ms", INT, nullable=False),
        sa.CheckConstraint("ended IN (0, 1)", name=op.f("ck_sagas_ended")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sagas")),
        sa.UniqueConstraint("swap_id", name=op.f("uq_sagas_swap_id")),
    )
    op.create_index("ix_sagas_miner", "sagas", ["miner", "swap_id"], unique=False)
    op.create_index(
        "ix_sagas_open",
        "sagas",
        ["timeout_block", "swap_id"],
        unique=False,
        sqlite_where=sa.text("ended = 0"),
        postgresql_where=sa.text("ended = 0"),
    )
    op.create_index("ix_sagas_state", "sagas", ["state", "swap_id"], unique=False)
    op.create_index(
        "uq_sagas_payment",
        "sagas",
        ["payment_chain", "payment_txid"],
        unique=True,
        sqlite_where=sa.text("payment_txid IS NOT NULL"),
        postgresql_where=sa.text("payment_txid IS NOT NULL"),
    )
    op.create_table(
        "watch_cursor",
        sa.Column("id", INT, autoincrement=False, nullable=False),
        sa.Column("height", INT, nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_watch_cursor_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_watch_cursor")),
    )
    op.create_table(
        "journal",
        sa.Column("saga_id", INT, autoincrement=False, nullable=False),
        sa.Column("seq", INT, autoincrement=False, nullable=False),
        sa.Column("schema_version", INT, nullable=False),
        sa.Column("at_ms", INT, nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("lease_epoch", INT, nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("state_before", sa.String(), nullable=False),
        sa.Column("state_after", sa.String(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["saga_id"], ["sagas.id"], name=op.f("fk_journal_saga_id")),
        sa.PrimaryKeyConstraint("saga_id", "seq", name=op.f("pk_journal")),
    )
    op.create_table(
        "lanes",
        sa.Column("id", INT, nullable=False),
        sa.Column("saga_id", INT, nullable=False),
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("slot", sa.String(), nullable=False),
        sa.Column("nonce", INT, nullable=True),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("amount", INT, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("closed", sa.Integer(), nullable=False),
        sa.Column("txid", sa.String(), nullable=True),
        sa.Column("block_height", INT, nullable=True),
        sa.Column("block_hash", sa.String(), nullable=True),
        sa.Column("checked_height", INT, nullable=False),
        sa.Column("allotted_at_ms", INT, nullable=False),
        sa.Column("sighting", sa.String(), nullable=True),
        sa.Column("taker", sa.String(), nullable=True),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_lanes_amount")),
        sa.CheckConstraint("closed IN (0, 1)", name=op.f("ck_lanes_closed")),
        sa.ForeignKeyConstraint(["saga_id"], ["sagas.id"], name=op.f("fk_lanes_saga_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lanes")),
    )
    op.create_index("ix_lanes_allotted", "lanes", ["chain", "allotted_at_ms"], unique=False)
    op.create_index(
        "ix_lanes_open",
        "lanes",
        ["id"],
        unique=False,
        sqlite_where=sa.text("closed = 0"),
        postgresql_where=sa.text("closed = 0"),
    )
    op.create_index("ix_lanes_saga", "lanes", ["saga_id"], unique=False)
    op.create_index(
        "uq_lanes_credit",
        "lanes",
        ["chain", "txid"],
        unique=True,
        sqlite_where=sa.text("state = 'landed' AND purpose <> 'mark'"),
        postgresql_where=sa.text("state = 'landed' AND purpose <> 'mark'"),
    )
    op.create_index(
        "uq_lanes_open",
        "lanes",
        ["saga_id", "purpose"],
        unique=True,
        sqlite_where=sa.text("closed = 0"),
        postgresql_where=sa.text("closed = 0"),
    )
    op.create_table(
        "leases",
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("saga_id", INT, nullable=True),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("epoch", INT, nullable=False),
        sa.Column("acquired_at_ms", INT, nullable=False),
        sa.Column("heartbeat_at_ms", INT, nullable=False),
        sa.Column("expires_at_ms", INT, nullable=False),
        sa.ForeignKeyConstraint(["saga_id"], ["sagas.id"], name=op.f("fk_leases_saga_id")),
        sa.PrimaryKeyConstraint("resource", name=op.f("pk_leases")),
        sa.UniqueConstraint("saga_id", name=op.f("uq_leases_saga_id")),
    )
    op.create_index(
        "ix_leases_owner",
        "leases",
        ["owner"],
        unique=False,
        sqlite_where=sa.text("owner IS NOT NULL"),
        postgresql_where=sa.text("owner IS NOT NULL"),
    )
    op.create_table(
        "recovery",
        sa.Column("id", INT, nullable=False),
        sa.Column("saga_id", INT, nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("what_to_do", sa.String(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("at_ms", INT, nullable=False),
        sa.Column("written_at_ms", INT, nullable=True),
        sa.ForeignKeyConstraint(["saga_id"], ["sagas.id"], name=op.f("fk_recovery_saga_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recovery")),
        sa.UniqueConstraint("saga_id", "cause", name=op.f("uq_recovery_saga_id_cause")),
    )
    op.create_index(
        "ix_recovery_pending",
        "recovery",
        ["id"],
        unique=False,
        sqlite_where=sa.text("written_at_ms IS NULL"),
        postgresql_where=sa.text("written_at_ms IS NULL"),
    )
    op.create_table(
        "reservations",
        sa.Column("saga_id", INT, autoincrement=False, nullable=False),
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("amount", INT, nullable=False),
        sa.Column("fee", INT, nullable=False),
        sa.Column("mark_chain", sa.String(), nullable=False),
        sa.Column("mark_account", sa.String(), nullable=False),
        sa.Column("mark_fee", INT, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("mark_state", sa.String(), nullable=False),
        sa.CheckConstraint(
            "amount >= 0 AND fee >= 0 AND mark_fee >= 0", name=op.f("ck_reservations_amounts")
        ),
        sa.ForeignKeyConstraint(["saga_id"], ["sagas.id"], name=op.f("fk_reservations_saga_id")),
        sa.PrimaryKeyConstraint("saga_id", name=op.f("pk_reservations")),
    )
    op.create_index(
        "ix_reservations_mark",
        "reservations",
        ["mark_chain", "mark_account"],
        unique=False,
        sqlite_where=sa.text("mark_state = 'reserved'"),
        postgresql_where=sa.text("mark_state = 'reserved'"),
    )
    op.create_index(
        "ix_reservations_payout",
        "reservations",
        ["chain", "account"],
        unique=False,
        sqlite_where=sa.text("state = 'reserved'"),
        postgresql_where=sa.text("state = 'reserved'"),
    )
    op.create_table(
        "attempts",
        sa.Column("lane_id", INT, autoincrement=False, nullable=False),
        sa.Column("seq", INT, autoincrement=False, nullable=False),
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("txid", sa.String(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("fee", INT, nullable=False),
        sa.Column("birth", INT, nullable=True),
        sa.Column("death", INT, nullable=True),
        sa.Column("spends", sa.Text(), nullable=False),
        sa.Column("signed_at_ms", INT, nullable=False),
        sa.ForeignKeyConstraint(["lane_id"], ["lanes.id"], name=op.f("fk_attempts_lane_id")),
        sa.PrimaryKeyConstraint("lane_id", "seq", name=op.f("pk_attempts")),
        sa.UniqueConstraint("chain", "txid", name=op.f("uq_attempts_chain_txid")),
    )
    op.create_table(
        "slots",
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("slot", sa.String(), nullable=False),
        sa.Column("lane_id", INT, nullable=False),
        sa.ForeignKeyConstraint(["lane_id"], ["lanes.id"], name=op.f("fk_slots_lane_id")),
        sa.PrimaryKeyConstraint("chain", "account", "slot", name=op.f("pk_slots")),
    )
    op.create_index(op.f("ix_slots_lane_id"), "slots", ["lane_id"], unique=False)


def downgrade() -> None:
    raise RuntimeError("a store is restored from its backup, never taken back a version")
