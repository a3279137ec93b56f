"""The one place that reads environment variables."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

PEM_MARK = "PRIVATE KEY-----"


class SettingsError(Exception):
    """The environment can't be used; the message names each variable that is missing or wrong."""


def _http_url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("must start with https:// (or http://)")
    return value


def _with_slash(value: str) -> str:
    return value if value.endswith("/") else value + "/"


def _without_slash(value: str) -> str:
    return value.rstrip("/")


def _set(data: dict[str, Any]) -> dict[str, Any]:
    """Without what is blank: a secret of blanks would be stripped to an empty one, by which anybody can sign."""
    return {name: value for name, value in data.items() if not isinstance(value, str) or value.strip()}


def _lower(value: str) -> str:
    return value.strip().lower()


def _in_quotes(value: Any) -> bool:
    return isinstance(value, str) and len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"


def _database_url(value: str) -> str:
    if not value.startswith(("sqlite:///", "postgresql://", "postgres://")):
        raise ValueError("must start with sqlite:/// or postgresql://")
    if value in ("sqlite:///", "sqlite:///:memory:"):
        raise ValueError("must name a file after sqlite:///, since what is in memory is lost")
    try:
        urlsplit(value).port  # noqa: B018 - raises for what is none
    except ValueError:  # its words would show a piece of a password
        raise ValueError("can't be read; in a password, write what is no letter or digit as %XX") from None
    return value


DatabaseUrl = Annotated[str, AfterValidator(_database_url)]


class _Environment(BaseSettings):
    """Variables; what is blank is not set."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True, str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, data: dict[str, Any]) -> dict[str, Any]:
        return _set(data)


class _Place(_Environment):
    """Where the config is: known even when nothing else of the environment can be used."""

    shipbot_config: Path = Path("shipbot.yml")


class _Database(_Environment):
    """Where the rows are: all that looking after them takes."""

    database_url: DatabaseUrl = "sqlite:///shipbot.db"


class Settings(_Place):
    """What `python -m bot serve` and `check` are told by the environment, and by nothing else."""

    slack_bot_token: SecretStr = Field(description="xoxb-…, from OAuth & Permissions of the Slack app")
    slack_signing_secret: SecretStr | None = Field(None, description="from Basic Information of the Slack app")
    slack_app_token: SecretStr | None = Field(None, description="xapp-…; when set, Socket Mode")
    slack_api_url: Annotated[str, AfterValidator(_http_url), AfterValidator(_with_slash)] = "https://slack.com/api/"
    github_token: SecretStr | None = None
    github_app_id: int | None = None
    github_app_private_key: SecretStr | None = Field(None, description="the PEM itself or a path to it")
    github_api_url: Annotated[str, AfterValidator(_http_url), AfterValidator(_without_slash)] = "https://api.github.com"
    github_webhook_secret: SecretStr
    database_url: DatabaseUrl = "sqlite:///shipbot.db"
    host: str = "0.0.0.0"  # noqa: S104 - a service in a container is reached from outside it
    port: int = Field(3000, ge=0, le=65535)
    public_url: Annotated[str, AfterValidator(_http_url), AfterValidator(_without_slash)] | None = None
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = "info"

    @model_validator(mode="wrap")
    @classmethod
    def _all_at_once(cls, data: dict[str, Any], handler: ModelWrapValidatorHandler[Settings]) -> Settings:
        """The faults of single variables and of their combinations, together."""
        data = {name: value.strip() if isinstance(value, str) else value for name, value in data.items()}
        quoted = [name for name, value in data.items() if name in cls.model_fields and _in_quotes(value)]
        # As in a file that `docker run --env-file` reads; a shell and systemd would take them off.
        faults = [f"{name.upper()}: must stand without quotes around it" for name in quoted]
        data = _set(data | {name: data[name][1:-1] for name in quoted})
        settings = None
        try:
            settings = handler(data)
        except ValidationError as error:
            for item in error.errors():
                message = "must be set" if item["type"] == "missing" else item["msg"]
                faults.append(f"{str(item['loc'][0]).upper()}: {message.removeprefix('Value error, ')}")
        given = {name for name, value in data.items() if value}
        if not given & {"slack_signing_secret", "slack_app_token"}:
            faults.append("SLACK_SIGNING_SECRET: must be set (or SLACK_APP_TOKEN, for Socket Mode)")
        if not given & {"github_token", "github_app_id"}:
            faults.append("GITHUB_TOKEN: must be set (or GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY)")
        if "github_app_id" in given and "github_app_private_key" not in given:
            faults.append("GITHUB_APP_PRIVATE_KEY: must be set when GITHUB_APP_ID is")
        if "github_app_private_key" in given:
            try:
                pem = _pem(str(data["github_app_private_key"]))
            except OSError as error:
                faults.append(f"GITHUB_APP_PRIVATE_KEY: neither a PEM nor a file to read ({error.strerror})")
            else:
                if PEM_MARK not in pem:
                    faults.append("GITHUB_APP_PRIVATE_KEY: there is no private key in that file")
                elif not _can_be_read(pem):
                    words = (
                        "the key can't be read: give it whole and with its line breaks (or \\n for each), or its path"
                    )
                    faults.append(f"GITHUB_APP_PRIVATE_KEY: {words}")
        if faults or settings is None:
            raise ValueError("\n".join(faults))
        return settings

    def secrets(self) -> list[str]:
        """Every secret there is, so that logs can leave them out."""
        values = (getattr(self, name) for name in type(self).model_fields)
        found = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
        database = urlsplit(self.database_url)
        for password in (database.password, *parse_qs(database.query).get("password", ())):
            if password:
                found += [password, unquote(password)]
        # A key is many lines, and may be shown one by one.
        return found + [line for line in self.github_app_pem.splitlines() if line and "-----" not in line]

    @property
    def github_app_pem(self) -> str:
        """The App's private key as PEM text; raises OSError when it names a file that can't be read."""
        return _pem(self.github_app_private_key.get_secret_value()) if self.github_app_private_key else ""


def config_path() -> Path:
    """Where SHIPBOT_CONFIG says that the config is."""
    return _Place().shipbot_config


def variables(names: Iterable[str]) -> dict[str, str]:
    """Of the environment, those that the config names for its providers and that are set."""
    return {name: os.environ[name] for name in names if os.environ.get(name, "").strip()}


def read_settings() -> Settings:
    """Settings from the environment; raises SettingsError with every fault at once."""
    try:
        return Settings()
    except ValidationError as error:
        message = "\n".join(item["msg"].removeprefix("Value error, ") for item in error.errors())
        raise SettingsError(message) from None


def database_url() -> str:
    """DATABASE_URL alone; raises SettingsError."""
    try:
        return _Database().database_url
    except ValidationError as error:
        raise SettingsError(f"DATABASE_URL: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None


def known_secrets() -> list[str]:
    """The secrets that the environment holds, also where it is not whole."""
    try:
        return read_settings().secrets()
    except SettingsError:
        named = (name.upper() for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation))
        return list(variables(named).values())


def _pem(value: str) -> str:
    if PEM_MARK in value:
        return value.replace("\\n", "\n")  # many hosts keep variables on one line
    return Path(value).read_text(encoding="utf-8", errors="replace")


def _can_be_read(pem: str) -> bool:
    from cryptography.exceptions import UnsupportedAlgorithm  # here, since only a GitHub App has a key
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        load_pem_private_key(pem.strip().encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: one that asks for a password
        return False
    return True
