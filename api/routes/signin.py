"""Signing in and out, and a form that waited for its author."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from anyio import to_thread
from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.access import Viewer, allow, cookie_name, own_origin, source_of
from api.auth import accounts, kept, secrets, sessions, signing
from api.auth.accounts import Account
from api.auth.oidc import Provider, ProviderError, account_of
from api.auth.passwords import BusyError
from api.forms import CSRF, Form, Typed
from api.problems import RefusedError
from api.routes.asked import both, desk_of
from api.templates import page
from features.errors import NotFoundError
from risk.audit import Who, record

pages, data = both()

BEFORE = "doorstep-before"  # the cookie of a browser in which nobody is signed in yet
OVER = {
    "unused": "You were away for a while, so you were signed out.",
    "old": "Your session has reached its longest time, so you were signed out.",
    "ended": "You were signed out.",
    "closed": "Your account is closed. Speak to your administrator.",
    "lost": "You were not signed in, so what was sent has not been saved.",
    "changed": "Your password is changed. Sign in with the new one.",
    "bye": "You are signed out.",
}


def local(text: str | None) -> str:
    """An address of this service to go on to; the first page when it is anywhere else."""
    if not text or not text.startswith("/") or text.startswith(("//", "/\\")):
        return "/"
    if any(ord(sign) < 33 or sign == "\\" for sign in text) or len(text) > 2000:
        return "/"
    parts = urlsplit(text)
    clean = not parts.scheme and not parts.netloc and not parts.path.startswith(("/sign-in", "/sign-out"))
    return text if clean else "/"


@pages.get("/sign-in")
def ask(request: Request, next: str = "", over: str = "") -> HTMLResponse:
    """The page on which a person signs in."""
    return _ask(request, next=next, over=over)


@pages.post("/sign-in")
def sign_in(request: Request, form: Typed) -> Response:
    """Sign in with a password; a new session replaces the one of this browser."""
    own_origin(request)
    if not request.app.state.settings.local_accounts:
        raise RefusedError(
            403, "Accounts with a password do not sign in here.", "Use the identity provider's button."
        )
    before = request.cookies.get(cookie_name(request, BEFORE), "")
    if not before or not secrets.same(form.one(CSRF), request.app.state.key.seal(before, "sign-in")):
        said = {"username": "The page was open for too long, or this browser keeps no cookies. Try again."}
        return _ask(request, form=form, errors=said, status=403)
    wait = request.app.state.rates.take("sign_in", source_of(request))
    if wait:
        said = {"username": f"Too many tries from this address. Wait {wait} seconds and try again."}
        return _ask(request, form=form, errors=said, status=429, retry=wait)
    desk = desk_of(request)
    try:
        account = signing.check(desk.db, form.one("username"), form.exact("password"))
    except BusyError as busy:
        return _ask(request, form=form, errors={"username": f"{busy.what} {busy.cure}"}, status=429, retry=5)
    except signing.WrongError as wrong:
        _note(request, wrong.username, f"sign-in refused: {wrong.why}")
        said = {"username": f"{wrong.what} {wrong.cure}"}
        return _ask(request, form=form, errors=said, status=401)
    return begin(request, account, "password", form.one("next"))


def begin(request: Request, account: Account, method: str, then: str) -> Response:
    """Begin a session for an account, write it down, and go on to where the person was going."""
    desk = desk_of(request)
    who = Who(account.username, account.role, "page", source_of(request))
    record(desk.db, desk.path, who, "access", "/sign-in", detail=f"signed in with {method}")
    replaced = request.cookies.get(cookie_name(request))
    secret = sessions.start(desk.db, account, method=method, source=source_of(request), replaces=replaced)
    response = RedirectResponse(local(then), 303)
    set_cookie(request, response, cookie_name(request), secret)
    response.delete_cookie(
        cookie_name(request, BEFORE), secure=request.app.state.settings.tls, httponly=True, samesite="lax"
    )
    return response


def set_cookie(request: Request, response: Response, name: str, value: str) -> None:
    """A cookie for this host alone, out of reach of scripts, gone when the browser closes."""
    secure = request.app.state.settings.tls
    response.set_cookie(name, value, path="/", secure=secure, httponly=True, samesite="lax")


@pages.get("/sign-in/provider")
async def leave(request: Request, next: str = "") -> Response:
    """Go to the identity provider."""
    own_origin(request)
    provider: Provider | None = request.app.state.provider
    if provider is None:
        raise NotFoundError("There is no identity provider here.", where="sign-in", cure="Use a password.")
    if wait := request.app.state.rates.take("sign_in", source_of(request)):
        raise RefusedError(429, "Too many tries from this address.", f"Wait {wait} seconds and try again.")
    request.session["next"] = local(next)
    base = request.app.state.settings.public_url or f"{request.url.scheme}://{request.url.netloc}"
    try:
        return await provider.leave(request, f"{base}/sign-in/callback")
    except ProviderError as fault:
        return await to_thread.run_sync(_not_by_provider, request, fault)


@pages.get("/sign-in/callback")
async def arrive(request: Request) -> Response:
    """Come back from the identity provider."""
    provider: Provider | None = request.app.state.provider
    if provider is None:
        raise NotFoundError("There is no identity provider here.", where="sign-in", cure="Use a password.")
    then = str(request.session.get("next", "/"))
    try:
        claims = await provider.arrive(request)
        account = await to_thread.run_sync(account_of, desk_of(request).db, provider.settings, claims)
    except ProviderError as fault:
        return await to_thread.run_sync(_not_by_provider, request, fault)
    finally:
        request.session.clear()
    return await to_thread.run_sync(begin, request, account, "the identity provider", then)


def _not_by_provider(request: Request, fault: ProviderError) -> Response:
    _note(request, None, f"sign-in with the identity provider refused: {fault.why}")
    return _ask(request, errors={"": f"{fault.what} {fault.cure}"}, status=fault.status)


@pages.post("/sign-out")
def sign_out(request: Request, viewer: Annotated[Viewer, allow("home")]) -> Response:
    """End this session."""
    desk = desk_of(request)
    desk.look(viewer, "access", "/sign-out", detail="signed out")
    with desk.db.begin() as store:
        sessions.end(store, viewer.session or "", accounts.utc_now())
    response = RedirectResponse("/sign-in?over=bye", 303)
    secure = request.app.state.settings.tls
    response.delete_cookie(cookie_name(request), secure=secure, httponly=True, samesite="lax")
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


@pages.get("/kept/{ref}")
def a_kept_form(request: Request, ref: str, viewer: Annotated[Viewer, allow("home")]) -> HTMLResponse:
    """What was typed before the session ended, to be sent by its author."""
    desk = desk_of(request)
    found = kept.find(desk.db, ref, viewer.account_id)
    if found is None:
        raise NotFoundError(
            "Nothing is kept here for you.",
            where="kept",
            cure="What is typed into an ended session waits half an hour for the person who typed it.",
        )
    path, fields = found
    return page(request, viewer, "kept.html", send_to=path, fields=fields, ref=ref)


@pages.post("/kept/{ref}/drop")
def drop_kept_form(request: Request, ref: str, viewer: Annotated[Viewer, allow("home")]) -> Response:
    """Throw away what was kept."""
    kept.drop(desk_of(request).db, ref, viewer.account_id)
    return RedirectResponse("/", 303)


def _ask(
    request: Request,
    *,
    next: str = "",
    over: str = "",
    form: Form | None = None,
    errors: dict[str, str] | None = None,
    status: int = 200,
    retry: int = 0,
) -> HTMLResponse:
    settings, desk = request.app.state.settings, desk_of(request)
    before = request.cookies.get(cookie_name(request, BEFORE)) or secrets.make()
    then = local(form.one("next") if form else next)
    waits = " What you had typed is kept for you." if then.startswith("/kept/") else ""
    response = page(
        request,
        None,
        "sign-in.html",
        status,
        health=None,
        csrf=request.app.state.key.seal(before, "sign-in"),
        next=then,
        said=OVER.get(over, "") + waits,
        username=form.one("username") if form else "",
        errors=errors or {},
        local_accounts=settings.local_accounts,
        provider=settings.oidc_name if settings.oidc_issuer else "",
        nobody=accounts.none_yet(desk.db),
    )
    set_cookie(request, response, cookie_name(request, BEFORE), before)
    if retry:
        response.headers["Retry-After"] = str(retry)
    return response


def _note(request: Request, username: str | None, detail: str) -> None:
    """Write a refusal down. A name that is no account is not kept: people type passwords into the wrong box."""
    desk = desk_of(request)
    account = accounts.find(desk.db, username) if username else None
    who = Who(
        account.username if account else "unknown",
        account.role if account else "none",
        "page",
        source_of(request),
    )
    record(desk.db, desk.path, who, "access", "/sign-in", detail=detail)
