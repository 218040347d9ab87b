"""Signing in with the force's identity provider: OpenID Connect, authorisation code with PKCE, by Authlib.

The provider says who somebody is and in which groups; settings say which group is which role. An account is known by
the provider's issuer and subject, never by a name or an address that might be given to somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from authlib.integrations.starlette_client import OAuth, OAuthError
from fastapi import Request
from fastapi.responses import Response
from httpx2 import HTTPError
from joserfc.errors import JoseError

from api.auth import accounts
from api.auth.accounts import Account, utc_now
from api.settings import Settings
from features.errors import DoorstepError, InputError
from risk.store import Database
from risk.store.tables_accounts import ACCOUNT

SIGNED_WITH = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
SECONDS = 10  # to wait for the provider


class ProviderError(DoorstepError):
    """The identity provider did not sign somebody in. ``why`` is for the audit trail, ``status`` for the answer."""

    def __init__(self, what: str, why: str, cure: str, status: int = 401) -> None:
        self.why, self.status = why, status
        super().__init__(what, where="identity provider", cure=cure)


class Provider:
    """The identity provider of the settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._client = OAuth().register(
            "force",
            client_id=settings.oidc_client_id,
            client_secret=settings.secret() or None,
            server_metadata_url=f"{settings.oidc_issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={
                "scope": settings.oidc_scopes,
                "code_challenge_method": "S256",
                "timeout": SECONDS,
            },
        )

    async def leave(self, request: Request, come_back: str) -> Response:
        """Send the person to the provider, to come back at ``come_back``. ProviderError when it is away."""
        try:
            await self._known()
            asked = {"prompt": self.settings.oidc_prompt} if self.settings.oidc_prompt else {}
            gone: Response = await self._client.authorize_redirect(request, come_back, **asked)
        except (HTTPError, OAuthError, JoseError, ValueError, KeyError) as fault:
            raise _away(fault) from fault
        return gone

    async def arrive(self, request: Request) -> dict[str, Any]:
        """What the provider says of the person who comes back: checked for signature, issuer, audience, time, nonce
        and state. ProviderError when anything does not fit."""
        try:
            await self._known()
            token = await self._client.authorize_access_token(
                request,
                claims_options={
                    "iss": {"essential": True, "value": self.settings.oidc_issuer},
                    "aud": {"essential": True, "value": self.settings.oidc_client_id},
                },
            )
            told = token.get("userinfo")  # the claims of the ID token, once they are checked
            if not told or not told.get("sub"):
                raise _not_signed_in("no ID token")
            claims = dict(told)
            if self.settings.oidc_groups_claim not in claims:
                more = await self._client.userinfo(token=token)
                if more.get("sub") != claims["sub"]:
                    raise _not_signed_in("userinfo of another subject")
                claims = {**more, **claims}
        except OAuthError as fault:
            raise _not_signed_in(str(fault.error or "refused")) from fault
        except HTTPError as fault:
            raise _away(fault) from fault
        except (JoseError, ValueError, KeyError) as fault:
            raise _not_signed_in(type(fault).__name__) from fault
        return claims

    async def _known(self) -> None:
        """The provider's own description, for the issuer of the settings, with signatures that a public key checks."""
        found = await self._client.load_server_metadata()
        if found.get("issuer") != self.settings.oidc_issuer:
            raise ProviderError(
                "The identity provider calls itself by another name than the settings do.",
                "issuer differs",
                "Set DOORSTEP_OIDC_ISSUER to the issuer in its openid-configuration, to the letter.",
                502,
            )
        offered = found.get("id_token_signing_alg_values_supported") or ["RS256"]
        found["id_token_signing_alg_values_supported"] = [one for one in offered if one in SIGNED_WITH]


def account_of(db: Database, settings: Settings, claims: Mapping[str, Any]) -> Account:
    """The account of somebody the provider knows, made the first time, its role and districts as the groups now say.

    ProviderError for a closed account, for groups that give no role or more than one, and for a username that another
    account has.
    """
    role, districts, duties = _place(settings, claims)
    issuer, subject = str(claims["iss"]), str(claims["sub"])
    with db.begin() as store:
        query = sa.select(ACCOUNT.c.username, ACCOUNT.c.disabled_at).where(
            ACCOUNT.c.issuer == issuer, ACCOUNT.c.subject == subject
        )
        row = store.execute(query).first()
        if row is None:
            username = _username(claims)
            if accounts.find(db, username) is not None:
                raise ProviderError(
                    f"There is an account {username} already that signs in otherwise.",
                    f"username {username} is taken; subject {subject}",
                    f"An administrator joins them: doorstep user provider {username} SUBJECT.",
                    403,
                )
            name = str(claims.get("name") or username)
            accounts.add(
                db,
                username,
                role=role,
                by="identity provider",
                name=name,
                districts=districts,
                duties=duties,
                provider=(issuer, subject),
            )
        else:
            username = row.username
            if row.disabled_at is not None:
                raise _not_signed_in(f"{username} is closed")
            try:
                accounts.change(db, username, role=role, districts=districts, duties=duties)
            except InputError as fault:  # the last administrator has lost the group
                raise ProviderError(fault.what, "the last administrator", fault.cure, 403) from fault
        store.execute(sa.update(ACCOUNT).where(ACCOUNT.c.username == username).values(signed_in_at=utc_now()))
    return accounts.need(db, username)


def _place(settings: Settings, claims: Mapping[str, Any]) -> tuple[str, list[str], list[str]]:
    """Role, districts and duties that the groups of a person give them."""
    told = claims.get(settings.oidc_groups_claim, [])
    groups = [told] if isinstance(told, str) else [str(one) for one in told if isinstance(one, str)]
    roles = {settings.oidc_roles[one] for one in groups if one in settings.oidc_roles}
    if len(roles) != 1:
        many = "more than one role" if roles else "no role"
        raise ProviderError(
            f"Your groups give you {many} in Doorstep.",
            f"{many} from {len(groups)} groups",
            "Ask those who look after your account to put you in one Doorstep group.",
            403,
        )
    districts = sorted({settings.oidc_districts[one] for one in groups if one in settings.oidc_districts})
    duties = sorted({settings.oidc_duties[one] for one in groups if one in settings.oidc_duties})
    return roles.pop(), districts, duties


def _username(claims: Mapping[str, Any]) -> str:
    said = str(claims.get("preferred_username") or claims.get("username") or claims["sub"]).strip().lower()
    made = re.sub(r"[^a-z0-9._@-]+", "-", said).strip("-._")[:64]
    if not accounts.NAME.fullmatch(made):
        raise _not_signed_in("a username that cannot be used")
    return made


def _not_signed_in(why: str) -> ProviderError:
    return ProviderError(
        "The identity provider did not sign you in.",
        why,
        "Try again; if it fails again, tell those who look after your account the time.",
    )


def _away(fault: Exception) -> ProviderError:
    return ProviderError(
        "The identity provider cannot be reached.",
        f"away: {type(fault).__name__}",
        "Try again in a minute; if it fails again, tell those who run Doorstep the time.",
        502,
    )


def join(db: Database, username: str, issuer: str, subject: str) -> None:
    """Let an account sign in with the provider from now on; its password goes, its sessions and tokens end.

    InputError without a provider in the settings, or when another account has that subject.
    """
    if not issuer or not subject.strip():
        raise InputError(
            "There is no identity provider in the settings, or no subject was given.",
            where="DOORSTEP_OIDC_ISSUER",
            cure="Set the provider first; docs/signing-in.md says how.",
        )
    found = accounts.need(db, username)
    values = {"issuer": issuer, "subject": subject.strip(), "password": None, "one_time_until": None}
    try:
        with db.begin() as store:
            store.execute(sa.update(ACCOUNT).where(ACCOUNT.c.id == found.id).values(values))
            accounts.end_all(store, found.id, utc_now())
    except sa.exc.IntegrityError as taken:
        raise InputError(
            "Another account signs in as that subject.", where="subject", cure="See: doorstep user list."
        ) from taken
