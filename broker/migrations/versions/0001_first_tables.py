"""The first tables.

The tables are spelled out by the metadata as it stands now; the next migration must freeze them here first.
"""

from alembic import op

from broker.tables import metadata

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    metadata.create_all(op.get_bind(), checkfirst=False)


def downgrade() -> None:
    metadata.drop_all(op.get_bind(), checkfirst=False)
