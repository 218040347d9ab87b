"""What people decide about a person on a list: decisions, actions, holds, nominations and the number of places.

Rows are added, never changed: a supervisor's word, a result and the end of a hold are rows of their own, numbered, and
two people who write the same number at once cannot both succeed. ``at`` is when it was written; ``about`` the moment
the records and the list they were looking at stood for (T).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from risk.store.base import METADATA, Moment


def _written() -> list[sa.Column[Any]]:
    """Who wrote a row, in which role, when, and about which T."""
    return [
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("about", Moment, nullable=False),
    ]


DECISION = sa.Table(
    "decision",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("person_id", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),  # 1, 2, … of the person: what two people race for
    sa.Column("list_id", sa.Text, nullable=True),
    sa.Column("rank", sa.Integer, nullable=True),
    sa.Column("place", sa.Text, nullable=True),  # rank, reserve or stay; null: not on that list
    sa.Column("district", sa.Text, nullable=True),
    sa.Column("model_version", sa.Text, nullable=True),
    sa.Column("p_serious", sa.Float, nullable=True),
    sa.Column("choice", sa.Text, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=True),
    sa.Column("due_on", sa.Date, nullable=True),
    sa.Column("waits", sa.Boolean, nullable=False),
    *_written(),
    sa.UniqueConstraint("person_id", "version"),
    sa.Index("ix_decision_list_id", "list_id"),
)

DECISION_WORD = sa.Table(
    "decision_word",
    METADATA,
    sa.Column("decision_id", sa.Integer, sa.ForeignKey("decision.id"), primary_key=True, autoincrement=False),
    sa.Column("agreed", sa.Boolean, nullable=False),
    *_written(),
)

ACTION = sa.Table(
    "action",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("person_id", sa.Text, nullable=False),
    sa.Column("decision_id", sa.Integer, sa.ForeignKey("decision.id"), nullable=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("due_on", sa.Date, nullable=False),
    sa.Column("list_id", sa.Text, nullable=True),
    sa.Column("district", sa.Text, nullable=True),
    *_written(),
    sa.Index("ix_action_person_id", "person_id"),
)

ACTION_RESULT = sa.Table(
    "action_result",
    METADATA,
    sa.Column("action_id", sa.Integer, sa.ForeignKey("action.id"), primary_key=True, autoincrement=False),
    sa.Column("result", sa.Text, nullable=False),
    *_written(),
)

HOLD = sa.Table(
    "hold",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("person_id", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("doubt", sa.Text, nullable=False),
    sa.Column("district", sa.Text, nullable=True),
    sa.Column("due_by", Moment, nullable=False),
    *_written(),
    sa.UniqueConstraint("person_id", "number"),
)

HOLD_WORD = sa.Table(
    "hold_word",
    METADATA,
    sa.Column("hold_id", sa.Integer, sa.ForeignKey("hold.id"), primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("said", sa.Text, nullable=False),  # lift, stands
    *_written(),
)

NOMINATION = sa.Table(
    "nomination",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("person_id", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("scope", sa.Text, nullable=False),  # team, force
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("district", sa.Text, nullable=True),
    *_written(),
    sa.UniqueConstraint("person_id", "number"),
)

NOMINATION_WORD = sa.Table(
    "nomination_word",
    METADATA,
    sa.Column(
        "nomination_id", sa.Integer, sa.ForeignKey("nomination.id"), primary_key=True, autoincrement=False
    ),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("said", sa.Text, nullable=False),  # accept, refuse, end
    sa.Column("until", Moment, nullable=True),
    *_written(),
)

CAPACITY = sa.Table(
    "capacity",
    METADATA,
    sa.Column(
        "scope", sa.Text, primary_key=True
    ),  # force, every district, or one district: see risk.capacity
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("places", sa.Integer, nullable=True),  # null: as the settings say
    *_written(),
)
