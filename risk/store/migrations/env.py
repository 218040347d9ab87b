"""Run by Alembic: the migrations go through the connection, and so the transaction, that asked for them."""

from alembic import context

from risk.store import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
