"""Runs migrations on the connection that the caller has opened, inside its transaction."""

from alembic import context
from headgate_service.control_db.models import Model

connection = context.config.attributes.get("connection")
if connection is None:
    # Prints the SQL of a database that is not at hand.
    context.configure(
        dialect_name=context.config.attributes["dialect_name"], target_metadata=Model.metadata, transactional_ddl=True
    )
else:
    # The transaction is the caller's, who rolls all of it back where a step fails: in SQLite too, whose driver was told
    # to leave transactions alone.
    context.configure(connection=connection, target_metadata=Model.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
