"""Alembic's entry: runs on the connection, and in the transaction, that the store gives it."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
