"""One's own account, and those an administrator looks after."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.access import Viewer, allow, cookie_name
from api.answers.access import Accounts
from api.auth import accounts, sessions, signing, tokens
from api.auth.table import table
from api.forms import Typed
from api.routes.asked import both, desk_of
from api.templates import page
from features.errors import InputError
from risk.audit import record

pages, data = both()

Self = Annotated[Viewer, allow("home")]
Administrator = Annotated[Viewer, allow("accounts.manage")]


@pages.get("/account")
def mine(request: Request, viewer: Self) -> HTMLResponse:
    """One's own account: role, what it may do, sessions."""
    return _mine(request, viewer)


@pages.post("/account/sessions/end")
def end_mine(request: Request, viewer: Self, form: Typed) -> Response:
    """End one's other sessions, the password having been given again."""
    desk = desk_of(request)
    try:
        signing.check(desk.db, viewer.account, form.exact("password"))
    except signing.WrongError as wrong:
        desk.look(viewer, "access", "/account", detail=f"ending sessions refused: {wrong.why}")
        return _mine(request, viewer, {"password": "That is not your password."}, 400)
    with desk.db.begin() as store:
        for one in sessions.live(desk.db, accounts.need(desk.db, viewer.account)):
            if one.digest != viewer.session:
                sessions.end(store, one.digest, accounts.utc_now())
    desk.look(viewer, "access", "/account", detail="ended all other sessions")
    return RedirectResponse("/account", 303)


@pages.get("/account/password")
def ask_password(request: Request, viewer: Self) -> HTMLResponse:
    """Where one's password is changed."""
    return _password(request, viewer)


@pages.post("/account/password")
def change_password(request: Request, viewer: Self, form: Typed) -> Response:
    """Change one's password; every session ends, this one too."""
    desk = desk_of(request)
    new = form.exact("new_password")
    try:
        if new != form.exact("again_password"):
            raise InputError("The two new ones differ.", where="again_password", cure="Type it twice alike.")
        signing.change_password(desk.db, viewer.account, form.exact("password"), new)
    except signing.WrongError as wrong:
        desk.look(viewer, "access", "/account/password", detail=f"change refused: {wrong.why}")
        return _password(request, viewer, {"password": "That is not your present password."}, 400)
    except InputError as fault:
        return _password(request, viewer, {fault.where: f"{fault.what} {fault.cure}"}, 400)
    desk.look(viewer, "alteration", "/account/password", detail="password changed")
    response = RedirectResponse("/sign-in?over=changed", 303)
    response.delete_cookie(cookie_name(request), secure=request.app.state.settings.tls, httponly=True)
    return response


@pages.get("/accounts")
def everyone(request: Request, viewer: Administrator) -> HTMLResponse:
    """Every account, and a new one."""
    return _everyone(request, viewer)


@pages.post("/accounts")
def add(request: Request, viewer: Administrator, form: Typed) -> Response:
    """Make an account; its one-time password is shown once."""
    desk = desk_of(request)
    from api.auth import secrets

    password = secrets.one_time_password()
    try:
        made = accounts.add(
            desk.db,
            form.one("username"),
            role=form.one("role"),
            by=viewer.account,
            name=form.one("name"),
            districts=_split(form.one("districts")),
            duties=form.every("duties"),
            password=password,
        )
    except InputError as fault:
        errors = {fault.where: f"{fault.what} {fault.cure}"}
        return _everyone(request, viewer, form.typed(), errors, 400)
    desk.look(viewer, "alteration", "/accounts", detail=f"added {made.username}, {made.role}")
    return _one(request, viewer, made.username, password=password)


@pages.get("/accounts/{username}")
def one(request: Request, username: str, viewer: Administrator) -> HTMLResponse:
    """An account: role, sessions, tokens."""
    return _one(request, viewer, username)


@pages.post("/accounts/{username}")
def change(request: Request, username: str, viewer: Administrator, form: Typed) -> Response:
    """Change an account: what to do is the value of ``do``."""
    desk = desk_of(request)
    found, do, password, token = accounts.need(desk.db, username), form.one("do"), "", ""
    try:
        with desk.db.begin() as store:
            if do == "change":
                districts, duties = _split(form.one("districts")), form.every("duties")
                accounts.change(
                    desk.db, found.username, role=form.one("role"), districts=districts, duties=duties
                )
            elif do == "disable":
                accounts.disable(desk.db, found.username, viewer.account)
            elif do == "enable":
                accounts.enable(desk.db, found.username)
            elif do == "password":
                password = accounts.new_one_time_password(desk.db, found.username)
            elif do == "sessions":
                accounts.end_all(store, found.id, accounts.utc_now(), tokens=False)
            elif do == "token":
                token = _make_token(request, viewer, found.username, form)
            elif do == "revoke":
                tokens.revoke(
                    desk.db, int(form.one("token_id", "0")) if form.one("token_id").isdigit() else 0
                )
            else:
                raise InputError("Nothing was chosen.", where="do", cure="Use one of the buttons.")
            desk.look(viewer, "alteration", "/accounts/{username}", detail=f"{do} {found.username}")
    except InputError as fault:
        errors = {fault.where: f"{fault.what} {fault.cure}"}
        return _one(request, viewer, username, errors=errors, typed=form.typed(), status=400)
    if password or token:
        return _one(request, viewer, username, password=password, token=token)
    return RedirectResponse(f"/accounts/{found.username}", 303)


@pages.post("/accounts-end-sessions")
def end_everyones(request: Request, viewer: Administrator) -> Response:
    """End every session of everybody, this one too: when one may have been taken over."""
    desk = desk_of(request)
    with desk.db.begin() as store:
        for account in accounts.every(desk.db):
            accounts.end_all(store, account.id, accounts.utc_now(), tokens=False)
        record(desk.db, desk.path, viewer.who, "alteration", "/accounts", detail="ended every session")
        viewer.written.append(1)
    return RedirectResponse("/sign-in?over=ended", 303)


@data.get("/accounts", response_model=Accounts, tags=["accounts"], summary="Every account")
def all_accounts(request: Request, viewer: Administrator) -> dict[str, Any]:
    """Every account with its role, districts and state."""
    return {"accounts": [_told(one) for one in accounts.every(desk_of(request).db)]}


def _told(one: accounts.Account) -> dict[str, Any]:
    now = accounts.utc_now()
    state = "closed" if one.disabled_at else "waiting" if one.locked(now) else "open"
    kept = ("username", "name", "role", "districts", "duties", "made_at", "made_by", "signed_in_at")
    return {key: getattr(one, key) for key in kept} | {"state": state, "provider": one.issuer}


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.replace("\n", ",").split(",") if part.strip()]


def _make_token(request: Request, viewer: Viewer, username: str, form: Typed) -> str:
    days = form.one("days")
    return tokens.make(
        desk_of(request).db,
        username,
        scopes=form.every("scopes"),
        purpose=form.one("purpose"),
        reference=form.one("reference"),
        by=viewer.account,
        label=form.one("label"),
        days=int(days) if days.isdigit() else None,
    )


def _mine(
    request: Request, viewer: Viewer, errors: dict[str, str] | None = None, status: int = 200
) -> HTMLResponse:
    db = desk_of(request).db
    account = accounts.need(db, viewer.account)
    return page(
        request,
        viewer,
        "account.html",
        status,
        account=account,
        live=sessions.live(db, account),
        may=[one for one in table().of_role(viewer.role, viewer.duties) if one.key != "home"],
        errors=errors or {},
    )


def _password(
    request: Request, viewer: Viewer, errors: dict[str, str] | None = None, status: int = 200
) -> HTMLResponse:
    account = accounts.need(desk_of(request).db, viewer.account)
    limits = table().limits["passwords"]
    return page(
        request,
        viewer,
        "account-password.html",
        status,
        account=account,
        least=limits["least"],
        errors=errors or {},
    )


def _everyone(
    request: Request,
    viewer: Viewer,
    typed: dict[str, str] | None = None,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    found = [_told(one) for one in accounts.every(desk_of(request).db)]
    return page(
        request,
        viewer,
        "accounts.html",
        status,
        accounts=found,
        known=table(),
        typed=typed or {},
        errors=errors or {},
    )


def _one(
    request: Request,
    viewer: Viewer,
    username: str,
    *,
    password: str = "",
    token: str = "",
    typed: dict[str, str] | None = None,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    db = desk_of(request).db
    account = accounts.need(db, username)
    return page(
        request,
        viewer,
        "account-one.html",
        status,
        account=_told(account),
        live=sessions.live(db, account),
        tokens=tokens.every(db, account),
        known=table(),
        password=password,
        token=token,
        typed=typed or {},
        errors=errors or {},
    )
