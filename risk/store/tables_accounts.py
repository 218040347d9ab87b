"""The tables of sign-in: accounts, their sessions and tokens, restricted records opened, forms that wait.

A session or token is kept as the SHA-256 of its secret, so that whoever reads the database can use neither.
"""

from __future__ import annotations

import sqlalchemy as sa

from risk.store.base import METADATA, Moment

ACCOUNT = sa.Table(
    "account",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("username", sa.Text, nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("districts", sa.JSON, nullable=False),  # of names; none: the whole force
    sa.Column("duties", sa.JSON, nullable=False),
    sa.Column("password", sa.Text, nullable=True),  # an Argon2id hash; null: signs in elsewhere
    sa.Column("one_time_until", Moment, nullable=True),  # the password is one-time, to be changed before this
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("locked_until", Moment, nullable=True),
    sa.Column(
        "issuer", sa.Text, nullable=True
    ),  # of the identity provider, with the subject it knows them by
    sa.Column("subject", sa.Text, nullable=True),
    sa.Column("made_at", Moment, nullable=False),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("signed_in_at", Moment, nullable=True),
    sa.Column("disabled_at", Moment, nullable=True),
    sa.Column("disabled_by", sa.Text, nullable=True),
    sa.UniqueConstraint("issuer", "subject"),
)

SESSION = sa.Table(
    "session",
    METADATA,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("account_id", sa.ForeignKey("account.id"), nullable=False, index=True),
    sa.Column("csrf", sa.Text, nullable=False, index=True),
    sa.Column("method", sa.Text, nullable=False),  # password or identity provider
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("made_at", Moment, nullable=False),
    sa.Column("seen_at", Moment, nullable=False),
    sa.Column("ends_at", Moment, nullable=False, index=True),
    sa.Column("ended_at", Moment, nullable=True),
    sa.Column("purpose", sa.Text, nullable=True),
    sa.Column("reference", sa.Text, nullable=True),
    sa.Column("task_at", Moment, nullable=True),
    sa.Column("task_until", Moment, nullable=True),
)

TOKEN = sa.Table(
    "token",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    sa.Column("account_id", sa.ForeignKey("account.id"), nullable=False, index=True),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),  # capabilities, no more than the account's role holds
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("reference", sa.Text, nullable=False),
    sa.Column("made_at", Moment, nullable=False),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("until", Moment, nullable=False),
    sa.Column("revoked_at", Moment, nullable=True),
)

OPENING = sa.Table(  # a record restricted to named users, opened by somebody else
    "opening",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("account_id", sa.ForeignKey("account.id"), nullable=False, index=True),
    sa.Column("person_id", sa.Text, nullable=False, index=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("reference", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("until", Moment, nullable=False),
    sa.Column("reviewed_at", Moment, nullable=True, index=True),
    sa.Column("reviewed_by", sa.Text, nullable=True),
    sa.Column("verdict", sa.Text, nullable=True),  # justified or not justified
    sa.Column("note", sa.Text, nullable=True),
)

NAMED_USER = sa.Table(  # who is named for a restricted record
    "named_user",
    METADATA,
    sa.Column("person_id", sa.Text, primary_key=True),
    sa.Column("account_id", sa.ForeignKey("account.id"), primary_key=True),
    sa.Column("named_at", Moment, nullable=False),
    sa.Column("named_by", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("agreed_at", Moment, nullable=True),  # by another supervisor: before, it opens nothing
    sa.Column("agreed_by", sa.Text, nullable=True),
)

KEPT_FORM = sa.Table(  # typed into a session that had ended; waits for its author, then goes
    "kept_form",
    METADATA,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("account_id", sa.ForeignKey("account.id"), nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("fields", sa.JSON, nullable=False),
    sa.Column("made_at", Moment, nullable=False),
    sa.Column("until", Moment, nullable=False, index=True),
)
