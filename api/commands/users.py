"""Commands about accounts: who may sign in, in which role, and the tokens of programs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.shared import HomeOption, JsonOption, Trail, app, home_folder, take, trail
from api.console import say

if TYPE_CHECKING:
    from api.auth.accounts import Account

users = typer.Typer(
    no_args_is_help=True, help="Accounts: add, list, change, disable, enable, password, token."
)
app.add_typer(users, name="user")

Username = Annotated[str, typer.Argument(help="The name the account signs in with.")]
RoleOption = Annotated[
    str,
    typer.Option(help="proactive, dalo, supervisor, analyst, records, auditor or administrator."),
]
Districts = Annotated[
    list[str] | None, typer.Option("--district", help="Again for each; the whole force without it.")
]
Duties = Annotated[list[str] | None, typer.Option("--duty", help="legal or data_protection; again for each.")]


@users.command("add")
def add(
    username: Username,
    role: RoleOption,
    name: Annotated[str, typer.Option("--name", help="The person's name, as others know them.")] = "",
    district: Districts = None,
    duty: Duties = None,
    password_from_stdin: Annotated[
        bool,
        typer.Option("--password-stdin", help="Read the password from standard input; a one-time one else."),
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Make an account. Its one-time password is printed once and must be changed within a day."""
    take(home, json)
    from api.auth import accounts, secrets

    given = sys.stdin.readline().rstrip("\n") if password_from_stdin else None
    password = given if given is not None else secrets.one_time_password()
    with _accounts() as (written, by), written.database.begin():
        made = accounts.add(
            written.database,
            username,
            role=role,
            by=by,
            name=name,
            districts=district or (),
            duties=duty or (),
            password=password,
            one_time=given is None,
        )
        written.write("alteration", "account added", detail=_told(made))
    answer = _shown(made) | ({} if given is not None else {"one_time_password": password})
    words = f"{made.username} is made: {_told(made)}."
    if given is None:
        words += f"\nOne-time password, for 24 hours: {password}"
    say(answer, words)


@users.command("list")
def list_(home: HomeOption = None, json: JsonOption = False) -> None:
    """Show every account."""
    take(home, json)
    from api.auth import accounts

    with trail(home_folder()) as written:
        found = accounts.every(written.database)
    lines = [f"{one.username}: {_told(one)}{_state(one)}" for one in found]
    say({"accounts": [_shown(one) for one in found]}, "\n".join(lines) or "No accounts yet.")


@users.command("change")
def change(
    username: Username,
    role: RoleOption,
    district: Districts = None,
    duty: Duties = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Give an account another role, other districts or duties. Its sessions and tokens end."""
    take(home, json)
    from api.auth import accounts

    with _accounts() as (written, _), written.database.begin():
        accounts.change(written.database, username, role=role, districts=district or (), duties=duty or ())
        made = accounts.need(written.database, username)
        written.write("alteration", "account changed", detail=_told(made))
    say(_shown(made), f"{made.username} is now: {_told(made)}.")


@users.command("disable")
def disable(username: Username, home: HomeOption = None, json: JsonOption = False) -> None:
    """Close an account. Its sessions and tokens end at once; its name stays with what it did."""
    take(home, json)
    from api.auth import accounts

    with _accounts() as (written, by), written.database.begin():
        accounts.disable(written.database, username, by)
        written.write("alteration", "account closed", detail=username)
    say({"username": username, "disabled": True}, f"{username} is closed.")


@users.command("enable")
def enable(username: Username, home: HomeOption = None, json: JsonOption = False) -> None:
    """Open a closed or waiting account again."""
    take(home, json)
    from api.auth import accounts

    with _accounts() as (written, _), written.database.begin():
        accounts.enable(written.database, username)
        written.write("alteration", "account opened", detail=username)
    say({"username": username, "disabled": False}, f"{username} is open.")


@users.command("password")
def password(username: Username, home: HomeOption = None, json: JsonOption = False) -> None:
    """Replace a forgotten password by a one-time one, printed once. Sessions and tokens end."""
    take(home, json)
    from api.auth import accounts

    with _accounts() as (written, _), written.database.begin():
        fresh = accounts.new_one_time_password(written.database, username)
        written.write("alteration", "one-time password", detail=username)
    say({"username": username, "one_time_password": fresh}, f"One-time password, for 24 hours: {fresh}")


@users.command("provider")
def provider(
    username: Username,
    subject: Annotated[str, typer.Argument(help="The subject (sub) by which the provider knows them.")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Let an account sign in with the identity provider of the settings; its password goes."""
    take(home, json)
    from api.auth.oidc import join
    from api.settings import Settings

    issuer = Settings.of(home_folder().path).oidc_issuer
    with _accounts() as (written, _), written.database.begin():
        join(written.database, username, issuer, subject)
        written.write("alteration", "account joined to provider", detail=f"{username}: {subject}")
    say({"username": username, "issuer": issuer}, f"{username} signs in with {issuer}.")


@users.command("token")
def token(
    username: Username,
    scope: Annotated[list[str], typer.Option("--scope", help="What it may do; again for each.")],
    purpose: Annotated[str, typer.Option("--purpose", help="What its looks are for.")],
    reference: Annotated[str, typer.Option("--reference", help="The number of the work it is for.")],
    days: Annotated[int | None, typer.Option("--days", min=1, help="How long it lasts.")] = None,
    label: Annotated[str, typer.Option("--label", help="Which program holds it.")] = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Make a token for a program, bound to an account, a scope, a purpose and a reference. Printed once."""
    take(home, json)
    from api.auth import tokens

    with _accounts() as (written, by), written.database.begin():
        made = tokens.make(
            written.database,
            username,
            scopes=scope,
            purpose=purpose,
            reference=reference,
            by=by,
            label=label,
            days=days,
        )
        detail = f"{username}: {', '.join(sorted(set(scope)))}; {purpose}, {reference}; {label}"
        written.write("alteration", "token made", detail=detail)
    say({"username": username, "token": made}, made)


@users.command("revoke")
def revoke(
    token_id: Annotated[int, typer.Argument(help="The number of the token, as the accounts page shows it.")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """End a token."""
    take(home, json)
    from api.auth import tokens

    with _accounts() as (written, _), written.database.begin():
        tokens.revoke(written.database, token_id)
        written.write("alteration", "token revoked", detail=f"token {token_id}")
    say({"token": token_id, "revoked": True}, f"Token {token_id} is ended.")


@contextmanager
def _accounts() -> Iterator[tuple[Trail, str]]:
    """The audit trail, with the database beside it, and who runs this command."""
    from risk.audit import this_user

    with trail(home_folder()) as written:
        yield written, this_user().username


def _told(one: Account) -> str:
    where = ", ".join(one.districts) or "whole force"
    duties = f"; duty: {', '.join(one.duties)}" if one.duties else ""
    return f"{one.name}, {one.role}, {where}{duties}"


def _state(one: Account) -> str:
    if one.disabled_at is not None:
        return " (closed)"
    return " (waiting after wrong passwords)" if one.locked(datetime.now(UTC)) else ""


def _shown(one: Account) -> dict[str, Any]:
    kept: Sequence[str] = ("username", "name", "role", "districts", "duties", "made_at", "made_by", "signed_in_at",
                           "disabled_at")  # fmt: skip
    return {key: getattr(one, key) for key in kept}
