"""The settings of the service: environment variables DOORSTEP_…, else HOME/sign-in.toml, else as written here."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from api.auth.table import table
from features.errors import InputError

FILE = "sign-in.toml"


class Settings(BaseSettings):
    """What a force sets. Names in the environment carry the prefix: ``public_url`` is DOORSTEP_PUBLIC_URL."""

    model_config = SettingsConfigDict(env_prefix="DOORSTEP_", extra="ignore")

    public_url: str = ""
    """Where officers find the service, https://…; stating it says that TLS ends in front of Doorstep."""
    proxy: str = "127.0.0.1"
    """Addresses of what stands in front, comma-separated: its word about a client's address is believed."""
    rate_scale: float = Field(1.0, gt=0)
    """All rate limits times this."""
    local_accounts: bool = True
    """Whether accounts with a password may sign in; say no once the identity provider works."""
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: SecretStr = SecretStr("")
    oidc_client_secret_file: Path | None = None
    oidc_name: str = "your force account"
    oidc_scopes: str = "openid profile"
    oidc_prompt: str = ""
    """Sent along as it is: ``login`` makes the provider ask for the password at every sign-in, for shared machines."""
    oidc_groups_claim: str = "groups"
    oidc_roles: dict[str, str] = Field(default_factory=dict)
    """Group of the identity provider: role in Doorstep."""
    oidc_districts: dict[str, str] = Field(default_factory=dict)
    """Group of the identity provider: district. Somebody in none of these sees the whole force."""
    oidc_duties: dict[str, str] = Field(default_factory=dict)
    """Group of the identity provider: duty."""

    @classmethod
    def of(cls, home: Path) -> Settings:
        """The settings of a home. Raises InputError that names the setting at fault, never its value."""
        file = home / FILE

        class OfHome(cls):  # type: ignore[valid-type, misc]
            @classmethod
            def settings_customise_sources(
                cls,
                settings_cls: type[BaseSettings],
                init_settings: PydanticBaseSettingsSource,
                env_settings: PydanticBaseSettingsSource,
                dotenv_settings: PydanticBaseSettingsSource,
                file_secret_settings: PydanticBaseSettingsSource,
            ) -> tuple[PydanticBaseSettingsSource, ...]:
                return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file))

        try:
            found: Settings = OfHome()
        except ValidationError as fault:
            said = fault.errors(include_input=False, include_url=False)[0]
            raise InputError(
                f"A setting of sign-in is not understood: {said['msg']}.",
                where=".".join(str(part) for part in said["loc"]) or FILE,
                cure=f"Correct it in the environment or in {FILE} of the home; docs/signing-in.md lists them.",
            ) from None
        except ValueError as fault:
            raise InputError(
                f"{FILE} cannot be read as TOML.", where=str(file), cure="Correct it."
            ) from fault
        return found

    @field_validator("public_url")
    @classmethod
    def _address(cls, text: str) -> str:
        text = text.rstrip("/")
        if text:
            parts = urlsplit(text)
            if parts.scheme != "https" or not parts.hostname or parts.path or parts.query:
                raise ValueError("the public address is https:// and a host name, nothing after it")
        return text

    @model_validator(mode="after")
    def _provider(self) -> Settings:
        if not self.oidc_issuer:
            return self
        if not self.oidc_client_id or not self.oidc_roles:
            raise ValueError("an identity provider needs oidc_client_id and oidc_roles beside oidc_issuer")
        known = table()
        for role in self.oidc_roles.values():
            if role not in known.roles:
                raise ValueError(f"oidc_roles names {role!r}, which is no role")
        for duty in self.oidc_duties.values():
            if duty not in known.duties:
                raise ValueError(f"oidc_duties names {duty!r}, which is no duty")
        return self

    @property
    def tls(self) -> bool:
        """Whether officers reach the service over TLS."""
        return bool(self.public_url)

    @property
    def host(self) -> str | None:
        """The host name officers use; None on this machine alone."""
        return urlsplit(self.public_url).hostname if self.public_url else None

    def secret(self) -> str:
        """The client secret at the identity provider; InputError when its file cannot be read."""
        if self.oidc_client_secret_file is None:
            return self.oidc_client_secret.get_secret_value()
        try:
            return self.oidc_client_secret_file.read_text(encoding="utf-8").strip()
        except OSError as fault:
            raise InputError(
                f"The client secret cannot be read: {fault.strerror}.",
                where="DOORSTEP_OIDC_CLIENT_SECRET_FILE",
                cure="Make the file readable for the service's user alone.",
            ) from fault
