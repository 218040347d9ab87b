"""The one dependency every route uses: who is this, may they, what for; else what to do about it.

A route says what it needs: ``viewer: Annotated[Viewer, allow("person.read", purpose=True)]``. Who holds what is in
``api/data/access.toml``. A test walks all routes and fails if one is neither guarded here nor listed there as open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from fastapi import Depends, Request
from fastapi.routing import iter_route_contexts

from api.auth import kept, openings, secrets, sessions, tokens
from api.auth.accounts import Account
from api.auth.sessions import Session, Task
from api.auth.table import table
from api.desk import Desk
from api.forms import CSRF, form_of
from api.gate import asked_about
from api.problems import ElsewhereError, RefusedError
from risk.audit import Who, record

__all__ = ["Task", "Viewer", "allow", "needs", "outside", "unguarded"]

SAFE = {"GET", "HEAD", "OPTIONS"}
PASSWORD_PAGES = ("/account/password", "/sign-out")
UNTOLD = "unknown"


@dataclass(frozen=True)
class Viewer:
    """Who asks, as far as routes and pages need to know."""

    account: str
    name: str
    role: str
    districts: tuple[str, ...]  # none: the whole force
    duties: tuple[str, ...]
    face: str  # page or api
    source: str
    task: Task | None
    csrf: str | None
    opened: frozenset[str] = frozenset()  # persons whose restricted record is open to them now
    scopes: frozenset[str] | None = None  # of a token; None: all of the role
    session: str | None = None
    account_id: int = 0
    written: list[int] = field(
        default_factory=list, compare=False, repr=False
    )  # rows of this request's audit

    def may(self, capability: str) -> bool:
        """Whether this viewer holds a capability of the table. KeyError for one that is not in it."""
        held = table().capabilities[capability].held_by(self.role, self.duties)
        return held and (self.scopes is None or capability in self.scopes)

    def sees(self, district: str | None) -> bool:
        """Whether a district is one of theirs."""
        return not self.districts or district in self.districts

    @property
    def who(self) -> Who:
        """As the audit trail names them."""
        return Who(self.account, self.role, self.face, self.source)


@dataclass(frozen=True)
class Need:
    """What a guard asks for."""

    capability: str
    purpose: bool


_NEEDS: dict[Callable[..., Any], Need] = {}


def allow(capability: str, *, purpose: bool = False) -> Any:
    """The dependency that lets through who holds ``capability``, with ``purpose`` only for a stated task.

    Not signed in: a page goes to sign-in and back, a program gets 401. Not theirs: 403, written down. No task: a page
    asks, a program gets 403. What a form held is kept for its author. KeyError when the table has no such capability.
    """
    need = Need(table().capabilities[capability].key, purpose)

    def guard(request: Request) -> Viewer:
        return _let_through(request, need)

    _NEEDS[guard] = need
    return Depends(guard)


def needs(call: Callable[..., Any] | None) -> Need | None:
    """What a dependency guards, or None when it guards nothing."""
    return _NEEDS.get(call) if call is not None else None


def unguarded(routes: Sequence[Any]) -> list[str]:
    """The routes that no guard stands before and the table does not list as open, as "METHODS path"."""
    known = table().open_routes
    found = []
    for one in iter_route_contexts(routes):
        calls = [each.call for each in one.dependant.dependencies] if hasattr(one, "dependant") else []
        if not any(needs(call) for call in calls) and one.path not in known:
            found.append(f"{','.join(sorted(one.methods or ()))} {one.path}".strip())
    return found


def outside(viewer: Viewer, district: str | None, what: str = "This person") -> bool:
    """Whether ``what`` is outside the viewer's own districts by its own: opened all the same, and marked in the audit.

    RefusedError when the task is one that is bound to one's own districts (``districts`` of the table).
    """
    if viewer.sees(district):
        return False
    bound = table().limits["districts"]["bound_purposes"]
    if viewer.task is None or viewer.task.purpose in bound:
        raise RefusedError(
            403,
            f"{what} is of another district, and a briefing is about your own.",
            "Choose what you open them for, attending or an investigation, and open them again.",
        )
    return True


def source_of(request: Request) -> str:
    """The address a request comes from."""
    return request.client.host if request.client else UNTOLD


def cookie_name(request: Request, base: str = "doorstep") -> str:
    """The name of a cookie; over TLS with the prefix that binds it to this host alone."""
    return f"__Host-{base}" if request.app.state.settings.tls else base


def own_origin(request: Request) -> None:
    """Refuse a post that another site's page has made: RefusedError."""
    site = request.headers.get("sec-fetch-site")
    if site not in (None, "same-origin", "none"):
        raise _forged()
    origin = request.headers.get("origin")
    if origin is not None:
        settings = request.app.state.settings
        mine = settings.public_url or f"{request.url.scheme}://{request.url.netloc}"
        if origin != mine:
            raise _forged()


def _let_through(request: Request, need: Need) -> Viewer:
    desk: Desk = request.app.state.desk
    source = source_of(request)
    viewer = _by_token(request, desk, source) or _by_session(request, desk, source, need)
    _within_rate(request, desk, viewer)
    if not viewer.may(need.capability):
        says = table().capabilities[need.capability].says
        _refused(desk, viewer, request, f"needs {need.capability}")
        raise RefusedError(
            403,
            f"Your role does not include this: {says[:1].lower()}{says[1:]}",
            "If your work needs it, ask your supervisor; an administrator changes roles.",
        )
    if need.purpose and viewer.task is None:
        raise _what_for(request, desk, viewer)
    request.scope.setdefault("state", {})["viewer"] = viewer
    return viewer


def _by_token(request: Request, desk: Desk, source: str) -> Viewer | None:
    """The viewer of a bearer token; None when none was sent or this is a page."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if not secret or not _is_api(request):
        return None
    _not_too_often(request, "refused", source, take=False)
    token = tokens.find(desk.db, secret.strip()) if scheme.lower() == "bearer" else None
    if token is None:
        _not_too_often(request, "refused", source)
        raise _unknown()
    return _viewer(
        desk, token.account, face="api", source=source, task=token.task, csrf=None, scopes=token.scopes
    )


def _by_session(request: Request, desk: Desk, source: str, need: Need) -> Viewer:
    secret = request.cookies.get(cookie_name(request))
    session = sessions.find(desk.db, secret) if secret else None
    if session is None or session.over is not None:
        _not_too_often(request, "refused", source)
        raise _sign_in_first(request, desk, session)
    account = session.account
    if account.one_time_until is not None and request.url.path not in PASSWORD_PAGES:
        if _is_api(request):
            raise RefusedError(
                403, "The one-time password is not changed yet.", "Sign in and choose your own."
            )
        raise ElsewhereError("/account/password")
    viewer = _viewer(
        desk,
        account,
        face="api" if _is_api(request) else "page",
        source=source,
        task=session.task,
        csrf=session.csrf,
        session=session.digest,
        opens=need.purpose,
    )
    if request.method not in SAFE:
        _not_forged(request, desk, viewer, session)
    return viewer


def _viewer(
    desk: Desk,
    account: Account,
    *,
    face: str,
    source: str,
    task: Task | None,
    csrf: str | None,
    scopes: frozenset[str] | None = None,
    session: str | None = None,
    opens: bool = True,
) -> Viewer:
    opened = openings.open_now(desk.db, account.id) if opens else frozenset()
    return Viewer(
        account=account.username,
        name=account.name,
        role=account.role,
        districts=account.districts,
        duties=account.duties,
        face=face,
        source=source,
        task=task,
        csrf=csrf,
        opened=opened,
        scopes=scopes,
        session=session,
        account_id=account.id,
    )


def _is_api(request: Request) -> bool:
    return request.url.path.startswith("/api/")


def _not_forged(request: Request, desk: Desk, viewer: Viewer, session: Session) -> None:
    """A form must hold its session's token. One served into an earlier session of the same account is kept."""
    own_origin(request)
    sent = request.headers.get("x-csrf-token") or form_of(request).one(CSRF)
    if secrets.same(sent, session.csrf):
        return
    if sent and not _is_api(request):
        served = sessions.of_form(desk.db, sent)
        if served is not None and served.account.id == session.account.id:
            raise ElsewhereError(f"/kept/{_keep(request, desk, served.account.id)}")
    _refused(desk, viewer, request, "form without its token")
    raise _forged()


def _sign_in_first(request: Request, desk: Desk, session: Session | None) -> Exception:
    """What is raised when nobody is signed in: back here afterwards, with what was typed."""
    if _is_api(request):
        return _unknown()
    why = f"&over={session.over}" if session is not None else ""
    if request.method in SAFE:
        asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return ElsewhereError(f"/sign-in?next={quote(asked, safe='')}{why}")
    own_origin(request)
    sent = form_of(request).one(CSRF)
    served = sessions.of_form(desk.db, sent) if sent else None
    if served is None or served.over == "closed":
        return ElsewhereError("/sign-in?over=lost")
    ref = _keep(request, desk, served.account.id)
    return ElsewhereError(f"/sign-in?next={quote(f'/kept/{ref}', safe='')}&over={served.over}")


def _what_for(request: Request, desk: Desk, viewer: Viewer) -> Exception:
    if viewer.face == "api":
        return RefusedError(
            403,
            "A person is opened for a purpose, and none is stated.",
            "Choose a task at /purpose, or use a token that is bound to one.",
        )
    if request.method in SAFE:
        back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    else:
        back = f"/kept/{_keep(request, desk, viewer.account_id)}"
    return ElsewhereError(f"/purpose?next={quote(back, safe='')}")


def _keep(request: Request, desk: Desk, account_id: int) -> str:
    """Keep what was typed; returns what finds it again. Passwords are never kept."""
    fields = [(name, value) for name, value in form_of(request).fields if name != CSRF]
    secret = None
    if not any("password" in name for name, _ in fields):
        secret = kept.keep(desk.db, account_id, request.url.path, fields)
    return secret or "nothing"


def _within_rate(request: Request, desk: Desk, viewer: Viewer) -> None:
    rates = request.app.state.rates
    wait = rates.take("account", viewer.account)
    if not wait:
        return
    if not rates.take("told", viewer.account):  # one row a minute says it; a row each would be a second flood
        _refused(desk, viewer, request, "too many requests")
    raise _too_many(wait)


def _not_too_often(request: Request, kind: str, key: str, *, take: bool = True) -> None:
    rates = request.app.state.rates
    wait = rates.take(kind, key) if take else rates.left(kind, key)
    if wait:
        raise _too_many(wait)


def _too_many(wait: int) -> RefusedError:
    return RefusedError(
        429,
        "Too many requests in a short time.",
        f"Wait {wait} second{'' if wait == 1 else 's'} and try again.",
        headers={"Retry-After": str(wait)},
    )


def _unknown() -> RefusedError:
    return RefusedError(
        401,
        "You are not signed in, or the token does not count any more.",
        "Sign in, or send Authorization: Bearer with a token from: doorstep user token.",
        headers={"WWW-Authenticate": 'Bearer realm="Doorstep"'},
    )


def _forged() -> RefusedError:
    return RefusedError(
        403,
        "This form was not sent from a page of Doorstep that is yours.",
        "Go back, reload the page and send it again.",
    )


def _refused(desk: Desk, viewer: Viewer, request: Request, detail: str) -> None:
    page = getattr(request.scope.get("route"), "path", request.url.path)
    asked = asked_about(request.path_params)
    record(desk.db, desk.path, viewer.who, "access", page, persons=asked, detail=f"refused: {detail}")
