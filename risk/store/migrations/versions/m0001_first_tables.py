"""The first tables."""

from alembic import op

from risk.store import METADATA
from risk.store.appended import keep_appended

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table."""
    METADATA.create_all(op.get_bind())
    keep_appended(op.get_bind())
