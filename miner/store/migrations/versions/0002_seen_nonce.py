"""The highest finalised nonce ever seen of each account, and where."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("accounts", sa.Column("seen_nonce", INT, server_default=sa.text("0"), nullable=False))
    op.add_column("accounts", sa.Column("seen_at", INT, server_default=sa.text("0"), nullable=False))
    op.execute("UPDATE accounts SET seen_nonce = base WHERE chain NOT LIKE 'btc:%'")


def downgrade() -> None:
    raise RuntimeError("a store is restored from its backup, never taken back a version")
