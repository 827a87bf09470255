"""Alembic's entrance; it runs only on a connection that broker.upgrade hands over."""

from alembic import context

from broker.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
