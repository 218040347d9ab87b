"""Attributes worked out when first asked for, by several threads at once if need be."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Self, TypeVar, cast, overload

Made = TypeVar("Made")
_NONE = object()


class lazily(cached_property[Made]):  # noqa: N801 - it is read as the word it is
    """``functools.cached_property`` as it is from Python 3.12 on.

    Before, all instances of a class share one lock, so that threads that answer for different persons wait for each
    other. Two threads that ask one instance for the first time may both work it out; what is made must not mind.
    """

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> Made: ...
    def __get__(self, instance: object | None, owner: type[Any] | None = None) -> Self | Made:
        """What was made before, else made now."""
        if instance is None:
            return self
        name = str(self.attrname)
        made = instance.__dict__.get(name, _NONE)
        if made is _NONE:
            made = instance.__dict__[name] = self.func(instance)
        return cast(Made, made)
