"""How long a lease lasts from its newest heartbeat; 0: not known until it is next taken or extended."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("leases", sa.Column("ttl_ms", INT, server_default=sa.text("0"), nullable=False))


def downgrade() -> None:
    raise RuntimeError("a store is restored from its backup, never taken back a version")
