"""A place for each journal entry among those of all swaps, so that a reader can go on where it stopped."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0003"
branch_labels = None
depends_on = None

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

NUMBERED = """
UPDATE journal SET position = numbered.place FROM (
    SELECT saga_id, seq, row_number() OVER (ORDER BY at_ms, saga_id, seq) AS place FROM journal
) AS numbered
WHERE numbered.saga_id = journal.saga_id AND numbered.seq = journal.seq
"""


def upgrade() -> None:
    op.add_column("journal", sa.Column("position", INT, nullable=True))
    op.execute(NUMBERED)
    op.create_index("ix_journal_position", "journal", ["position"], unique=True)


def downgrade() -> None:
    raise RuntimeError("a store is restored from its backup, never taken back a version")
