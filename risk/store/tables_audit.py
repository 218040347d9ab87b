"""The tables of the audit trail: a row for every act, and the sets of persons that rows speak of.

A list shows the same hundred persons at every look; a set is kept once, under the hash of its persons, and the row
holds the hash. Nothing here is ever updated or deleted by Doorstep.
"""

from __future__ import annotations

import sqlalchemy as sa

from risk.store.base import METADATA, Moment

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # there the row itself is kept by this number

AUDIT = sa.Table(
    "audit",
    METADATA,
    sa.Column("seq", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("username", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("face", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("act", sa.Text, nullable=False),
    sa.Column("page", sa.Text, nullable=False),
    sa.Column("persons", sa.Text, nullable=True),  # hash of the set; null: no person was named
    sa.Column("persons_count", sa.Integer, nullable=False),
    sa.Column("list_id", sa.Text, nullable=True),
    sa.Column("purpose", sa.Text, nullable=True),
    sa.Column("reference", sa.Text, nullable=True),
    sa.Column("outside", sa.Boolean, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column(
        "key_id", sa.Text, nullable=False
    ),  # which key made the code: a fingerprint, nothing of the key
    sa.Column("mac", sa.Text, nullable=False),
    sa.Index("ix_audit_username_seq", "username", "seq"),
    sa.Index("ix_audit_persons_seq", "persons", "seq"),
    sa.Index("ix_audit_at", "at"),
)

AUDIT_SET = sa.Table(
    "audit_set",
    METADATA,
    sa.Column("persons", sa.Text, primary_key=True),
    sa.Column("members", sa.JSON, nullable=False),
)

AUDIT_MEMBER = sa.Table(
    "audit_member",
    METADATA,
    sa.Column("person_id", sa.Text, primary_key=True),
    sa.Column("persons", sa.Text, primary_key=True),
    sqlite_with_rowid=False,  # the table is its own index
)
