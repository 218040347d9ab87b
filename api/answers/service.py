"""What the service says of itself."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from api.answers.base import Answer


class Health(Answer):
    """What is loaded, how old it is, which model and which list are in use."""

    ok: bool = Field(description="A load, a model and a list are all there.", examples=[True])
    load_id: str | None = Field(examples=["l-2c9a71f0be55"])
    nature: str | None = Field(description="simulated, public or operational", examples=["simulated"])
    data_until: datetime | None = Field(description="When the newest event became known.")
    data_age_days: int | None = Field(examples=[1])
    model_version: str | None = Field(examples=["m-9d0f6a1c22b4"])
    model_notes: list[str] = Field(
        description="What must be said of the model in use: no approval, an override, an approval that ends or ended."
    )
    list_id: str | None = Field(examples=["20260101T0600Z-3f2a9c01d4"])
    list_as_of: datetime | None = None
