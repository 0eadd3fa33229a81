"""What operators ask of the daemon."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "operator_requests",
        sa.Column("id", INT, nullable=False),
        sa.Column("swap_id", INT, nullable=False),
        sa.Column("verb", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("standing", sa.String(), nullable=False),
        sa.Column("at_ms", INT, nullable=False),
        sa.Column("expires_at_ms", INT, nullable=False),
        sa.Column("taken_by", sa.String(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operator_requests")),
    )
    op.create_index(
        "ix_operator_requests_open",
        "operator_requests",
        ["id"],
        unique=False,
        sqlite_where=sa.text("standing IN ('waiting', 'taken')"),
        postgresql_where=sa.text("standing IN ('waiting', 'taken')"),
    )


def downgrade() -> None:
    raise RuntimeError("a store is restored from its backup, never taken back a version")
