"""Lanes that no swap owns: a miner's own business with the contract. What operators approved."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _allow_null("lanes", "saga_id")
    else:
        op.alter_column("lanes", "saga_id", existing_type=INT, nullable=True)
    op.create_table(
        "approvals",
        sa.Column("swap_id", INT, autoincrement=False, nullable=False),
        sa.Column("amount", INT, nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("at_ms", INT, nullable=False),
        sa.PrimaryKeyConstraint("swap_id", name=op.f("pk_approvals")),
    )


def _allow_null(table: str, column: str) -> None:
    """Take NOT NULL off a column, which SQLite has no statement for.

    By the steps that its documentation names for changes that leave what is on the disk as it is
    (https://www.sqlite.org/lang_altertable.html, "Making Other Kinds Of Table Schema Changes"); no row is
    copied, however many there are.
    """
    conn = op.get_bind()
    version = int(conn.exec_driver_sql("PRAGMA schema_version").scalar_one())
    was, becomes = f"{column} INTEGER NOT NULL", f"{column} INTEGER"
    conn.exec_driver_sql("PRAGMA writable_schema = ON")
    changed = conn.exec_driver_sql(
        "UPDATE sqlite_master SET sql = replace(sql, ?, ?) "
        "WHERE type = 'table' AND name = ? AND instr(sql, ?)",
        (was, becomes, table, was),
    ).rowcount
    conn.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    conn.exec_driver_sql("PRAGMA writable_schema = OFF")
    if changed != 1:
        raise RuntimeError(f"{table}.{column} is not as 0001 made it")


def downgrade() -> None:
    raise RuntimeError("a store is restored from its backup, never taken back a version")
