"""Alembic's environment: works on the connection it is given, within that connection's transaction."""

from alembic import context

from miner.store.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
context.run_migrations()
