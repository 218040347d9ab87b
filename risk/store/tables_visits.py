"""What officers recorded before a video response and after a visit: rows are added, never changed.

``once`` is made with the form: sending a form twice writes one row. It is the officer's own and of one
person: the same number sent by somebody else, or about somebody else, is another row.
"""

from __future__ import annotations

import sqlalchemy as sa

from risk.store.base import METADATA, Moment


def _who_and_when() -> list[sa.Column[str] | sa.Column[int]]:
    return [
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("once", sa.Text, nullable=False),
        sa.Column("person_id", sa.Text, nullable=False),  # whose sheet it was
        sa.Column("victim_id", sa.Text, nullable=True),
        sa.Column("call_id", sa.Text, nullable=True),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
    ]


VIDEO = sa.Table(
    "visit_video",
    METADATA,
    *_who_and_when(),
    sa.Column("agrees", sa.Text, nullable=True),  # Y, N, U; all three null: an officer was asked for at once
    sa.Column("can_talk", sa.Text, nullable=True),
    sa.Column("suspect_absent", sa.Text, nullable=True),
    sa.Column("send", sa.Boolean, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.UniqueConstraint("person_id", "by", "once"),
    sa.Index("ix_visit_video_person_id_id", "person_id", "id"),
)

VISIT = sa.Table(
    "visit",
    METADATA,
    *_who_and_when(),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("reached", sa.Boolean, nullable=False),
    sa.Column("contact_at", Moment, nullable=False),
    sa.Column("information", sa.Text, nullable=True),
    sa.Column("regrade", sa.Text, nullable=True),
    sa.Column("regrade_why", sa.Text, nullable=True),
    sa.Column("referral", sa.Text, nullable=True),
    sa.Column("at", Moment, nullable=False),
    sa.UniqueConstraint("person_id", "by", "once"),
    sa.Index("ix_visit_person_id_id", "person_id", "id"),
)
