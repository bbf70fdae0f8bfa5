"""How alembic runs here: on the connection, and in the transaction, of whoever calls it."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    # SQLite can undo a change of its tables, though alembic does not expect it.
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
