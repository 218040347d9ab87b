"""What a page posts: url-encoded or multipart text, read once, within limits. Files are not taken.

A route takes the form as ``form: Typed`` and asks it for fields by name; FastAPI's own ``Form()`` works as well. The
body was read by the gate (``api.gate``), which has refused what is too large.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from api.auth.table import table
from features.errors import InputError

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
CSRF = "csrf"


@dataclass(frozen=True)
class Form:
    """The fields of a form in their order, as they were typed."""

    fields: tuple[tuple[str, str], ...] = ()

    def one(self, name: str, otherwise: str = "") -> str:
        """The last value of a field, without blanks around it; ``otherwise`` when it is not there."""
        found = self.every(name)
        return found[-1].strip() if found else otherwise

    def exact(self, name: str) -> str:
        """The last value of a field to the letter: for passwords."""
        found = self.every(name)
        return found[-1] if found else ""

    def every(self, name: str) -> list[str]:
        """All values of a field."""
        return [value for key, value in self.fields if key == name]

    def typed(self) -> dict[str, str]:
        """What was typed, by field, to be shown again when something is amiss; never the token."""
        return {key: value for key, value in self.fields if key != CSRF}


def form_of(request: Request) -> Form:
    """The form of a request; empty when there is none. InputError when it cannot be read."""
    state = request.scope.setdefault("state", {})
    if "form" not in state:
        state["form"] = read(request.headers.get("content-type", ""), state.get("body", b""))
    found: Form = state["form"]
    return found


Typed = Annotated[Form, Depends(form_of)]


def read(content_type: str, body: bytes) -> Form:
    """A form from its bytes. InputError for text that is not UTF-8, too many fields, or a file."""
    kind, options = parse_options_header(content_type)
    if kind == URLENCODED.encode():
        return _checked(_urlencoded(body))
    if kind == MULTIPART.encode():
        return _checked(_multipart(body, options.get(b"boundary", b"")))
    return Form()


def _urlencoded(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=table().limit("requests", "most_fields"),
        )
    except ValueError as fault:  # not ASCII, not UTF-8 beneath, or too many fields
        raise _unreadable() from fault


class _Parts:
    """Collects the parts of a multipart body."""

    def __init__(self) -> None:
        self.fields: list[tuple[str, str]] = []
        self._header, self._value = b"", b""
        self._headers: dict[bytes, bytes] = {}
        self._data = bytearray()

    def begin(self) -> None:
        self._headers, self._data = {}, bytearray()

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header, self._value = b"", b""

    def data(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]

    def end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if b"filename" in options:
            raise InputError("Doorstep takes no files here.", where="form", cure="Type the text instead.")
        self.fields.append((options.get(b"name", b"").decode(), bytes(self._data).decode()))
        if len(self.fields) > table().limit("requests", "most_fields"):
            raise _unreadable()


def _multipart(body: bytes, boundary: bytes) -> list[tuple[str, str]]:
    parts = _Parts()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": parts.begin,
                "on_header_field": parts.header_name,
                "on_header_value": parts.header_value,
                "on_header_end": parts.header_end,
                "on_part_data": parts.data,
                "on_part_end": parts.end,
            },
        )
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as fault:
        raise _unreadable() from fault
    return parts.fields


def _checked(fields: list[tuple[str, str]]) -> Form:
    """Line ends as typed on any system become one; characters no database keeps are refused."""
    if any("\x00" in name or "\x00" in value for name, value in fields):
        raise _unreadable()
    return Form(tuple((name, value.replace("\r\n", "\n")) for name, value in fields))


def _unreadable() -> InputError:
    return InputError(
        "The form could not be read.", where="form", cure="Go back, reload the page and send it again."
    )
