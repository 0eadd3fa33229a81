"""What operators are told, what lasts, and what became of each delivery."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "notices",
        sa.Column("id", INT, nullable=False),
        sa.Column("at_ms", INT, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("swap_id", INT, nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("what_to_do", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("routed", sa.Integer(), nullable=False),
        sa.CheckConstraint("routed IN (0, 1)", name=op.f("ck_notices_routed")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
    )
    op.create_index("ix_notices_at", "notices", ["at_ms"], unique=False)
    op.create_index(
        "ix_notices_unrouted",
        "notices",
        ["id"],
        unique=False,
        sqlite_where=sa.text("routed = 0"),
        postgresql_where=sa.text("routed = 0"),
    )
    op.create_table(
        "conditions",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("since_ms", INT, nullable=False),
        sa.PrimaryKeyConstraint("kind", "subject", name=op.f("pk_conditions")),
    )
    op.create_table(
        "deliveries",
        sa.Column("notice_id", INT, autoincrement=False, nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("standing", sa.String(), nullable=False),
        sa.Column("attempts", INT, nullable=False),
        sa.Column("next_at_ms", INT, nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("taken_by", sa.String(), nullable=True),
        sa.Column("taken_until_ms", INT, nullable=False),
        sa.ForeignKeyConstraint(["notice_id"], ["notices.id"], name=op.f("fk_deliveries_notice_id")),
        sa.PrimaryKeyConstraint("notice_id", "target", name=op.f("pk_deliveries")),
    )
    op.create_index(
        "ix_deliveries_waiting",
        "deliveries",
        ["target", "next_at_ms"],
        unique=False,
        sqlite_where=sa.text("standing = 'waiting'"),
        postgresql_where=sa.text("standing = 'waiting'"),
    )


def downgrade() -> None:
    raise RuntimeError("a store is restored from its backup, never taken back a version")
