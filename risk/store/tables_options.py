"""What the force's legal officers have said of lawful options: rows are added, never changed; the latest holds."""

from __future__ import annotations

import sqlalchemy as sa

from risk.store.base import METADATA, Moment

OPTION_CHECK = sa.Table(
    "option_check",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("option_id", sa.Text, nullable=False),
    sa.Column("wording", sa.Text, nullable=False),  # digest of the option as it was worded when checked
    sa.Column("verdict", sa.Text, nullable=False),  # verified, refused
    sa.Column("source", sa.Text, nullable=False),  # what the officer checked it against, in their words
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("username", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Index("ix_option_check_option_id", "option_id"),
)
