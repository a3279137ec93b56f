"""Who may ask the simulated GitHub, and how often: tokens, GitHub Apps, permissions, the rate limit.

https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app and
https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import time
from typing import Any

import jwt

from bot.playground.github_protection import Protections
from bot.playground.github_rest import Actor
from bot.playground.github_state import Json, Repository
from bot.playground.github_world import Refused

LONGEST_JWT = 600  # seconds from now to `exp`
TOKEN_LIFE = timedelta(hours=1)
RATE_WINDOW = timedelta(hours=1)


@dataclass(frozen=True)
class InstallationToken:
    token: str
    expires_at: datetime
    permissions: dict[str, str]
    repositories: frozenset[int] | None


class Access(Protections):
    """Credentials and limits.

    `token_permissions` is what the token, or the app, was granted (`{"deployments": "write"}`); taking an
    entry out makes requests that need it answer 403. `rate_limit` is requests an hour.
    """

    def __init__(
        self,
        *,
        token: str = "ghp_playground",  # noqa: S107  # made up; opens nothing
        app_public_key: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.token = token
        self.app_public_key = app_public_key
        self.installation_tokens: dict[str, InstallationToken] = {}
        self.rate_limit = 5000
        self._rate_used = 0
        self._rate_reset: datetime | None = None
        self.token_person = self.person("shipbot")
        self.app_person = self.person(f"{self.app_slug}[bot]", kind="Bot")

    def identify(self, authorization: str) -> Actor:
        """The actor behind an Authorization header. Raises 401 for credentials that are not good."""
        if not authorization:
            return Actor("none")
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() in ("token", "bearer"):
            if secret == self.token:
                return Actor("token", self.token_person, self.token_permissions)
            known = self.installation_tokens.get(secret)
            if known is not None and known.expires_at > self.now():
                granted = {k: v for k, v in known.permissions.items() if k in self.token_permissions}
                return Actor("installation", self.app_person, granted, known.repositories)
            if scheme.lower() == "bearer" and secret.count(".") == 2:
                self._check_jwt(secret)
                return Actor("app")
        raise Refused(401, "Bad credentials")

    def _check_jwt(self, text: str) -> None:
        doc = "apps/apps"
        if self.app_id is None or self.app_public_key is None:
            raise Refused(401, "A JSON web token could not be decoded", doc=doc)
        try:
            claims = jwt.decode(
                text,
                self.app_public_key,
                algorithms=["RS256"],
                options={"require": ["iat", "exp", "iss"], "verify_iss": False},
            )
        except jwt.ExpiredSignatureError:
            message = "'Expiration time' claim ('exp') must be a numeric value in the future"
            raise Refused(401, message, doc=doc) from None
        except jwt.InvalidTokenError:
            raise Refused(401, "A JSON web token could not be decoded", doc=doc) from None
        if claims["exp"] - time() > LONGEST_JWT:
            message = "'Expiration time' claim ('exp') is too far in the future"
            raise Refused(401, message, doc=doc)
        if str(claims["iss"]) != str(self.app_id):
            raise Refused(404, "Integration not found", doc=doc)

    def new_installation_token(self, asked: Json) -> InstallationToken:
        """A token for an hour, narrowed to the permissions and repositories that were asked for.

        Raises 422 for more than the app has.
        """
        permissions = asked.get("permissions") or dict(self.token_permissions)
        for name, level in permissions.items():
            if not Actor("app", None, self.token_permissions).may(f"{name}={level}"):
                message = "The permissions requested are not granted to this installation."
                raise Refused(422, message, doc="apps/apps")
        ids: frozenset[int] | None = None
        if asked.get("repositories") or asked.get("repository_ids"):
            names, numbers = asked.get("repositories") or [], asked.get("repository_ids") or []
            ids = frozenset(r.id for r in self.repositories.values() if r.name in names or r.id in numbers)
            if len(ids) < len(names) + len(numbers):
                message = "There is at least one repository that does not exist or is not accessible."
                raise Refused(422, message, doc="apps/apps")
        number = len(self.installation_tokens) + 1
        name = "ghs_" + hashlib.sha256(f"{self.token}:{number}".encode()).hexdigest()[:36]
        made = InstallationToken(name, self.now() + TOKEN_LIFE, permissions, ids)
        self.installation_tokens[name] = made
        return made

    def can_see(self, repo: Repository, actor: Actor) -> bool:
        if repo.hidden:
            return False
        if actor.kind == "none":
            return not repo.private
        if actor.repositories is not None and repo.id not in actor.repositories:
            return False
        return actor.kind == "app" or actor.may("metadata=read")

    # The rate limit

    def exhaust_rate_limit(self, reset_in: float = 3600.0) -> None:
        """Leaves no request until `reset_in` seconds have passed on the simulator's clock."""
        with self.lock:
            self._rate_used = self.rate_limit
            self._rate_reset = self.now() + timedelta(seconds=reset_in)

    def count_request(self) -> bool:
        """Counts one request; False when there was none left."""
        with self.lock:
            left = self.rate()["remaining"] > 0
            self._rate_used += int(left)
            return left

    def uncount_request(self) -> None:
        """To be told that nothing has changed is free."""
        with self.lock:
            self._rate_used -= 1

    def rate(self) -> dict[str, int]:
        """Limit, used, remaining, and reset in seconds since 1970."""
        now = self.now()
        with self.lock:
            if self._rate_reset is None or now >= self._rate_reset:
                self._rate_used, self._rate_reset = 0, now + RATE_WINDOW
            return {
                "limit": self.rate_limit,
                "used": self._rate_used,
                "remaining": max(0, self.rate_limit - self._rate_used),
                "reset": int(self._rate_reset.timestamp()),
            }
