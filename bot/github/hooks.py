"""Webhooks as GitHub keeps them: which lead here, what they were sent, and having it sent once more.

https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from bot.deploys.events import Delivery
from bot.github.asking import PAGE, Asking, listed_again, readable, told_again
from bot.github.payloads import parse_delivery
from bot.github.webhooks import PATH

PAGES = 10  # of deliveries in one look
READ, WRITE = "Webhooks: read", "Webhooks: write"  # of the repository, or of the organization
_NEXT = re.compile(r'[?&]cursor=([^&>]+)[^>]*>; rel="next"')


def leads_here(url: str, public_url: str) -> bool:
    """Whether a webhook with that address is this bot's; where `public_url` is "" its path alone says so."""
    url = url.rstrip("/")
    return url == f"{public_url}{PATH}" if public_url else url.endswith(PATH)


class Hooks(Asking):
    """The part of the port `bot.deploys.ports.GitHub` that is about webhooks. Thread-safe."""

    def hooks(self, repository: str) -> list[dict[str, Any]]:
        """The webhooks of a repository, or of an organization by its name alone.

        Raises NotAllowedByGitHub or NotFoundAtGitHub where they are hidden.
        """
        with self._asking(repository, READ) as found:
            return list(told_again(found, "hooks", per_page=PAGE))

    def hooks_here(self, repository: str, public_url: str) -> list[int] | None:
        if repository:
            return [
                hook["id"]
                for hook in self.hooks(repository)
                if hook.get("active") and leads_here(str(hook["config"].get("url", "")), public_url)
            ]
        with self._telling(""):
            answer = self._tokens.as_app("GET", "/app/hook/config", {})
        if answer is None:
            return None
        return [0] if leads_here(str(answer[1].get("url") or ""), public_url) else []

    def deliveries(self, repository: str, hook: int, since: datetime) -> list[Delivery]:
        found: list[Delivery] = []
        cursor = ""
        for _ in range(PAGES):
            page: dict[str, str | int] = {"per_page": PAGE}
            headers, raw = self._of_hook("GET", repository, hook, "", page | ({"cursor": cursor} if cursor else {}))
            new = [delivery for delivery in readable(parse_delivery, raw) if delivery.at >= since]
            found += new
            following = _NEXT.search(headers.get("link") or "")
            if following is None or len(new) < len(raw):  # they come newest first
                break
            cursor = unquote(following[1])
        return sorted(found, key=lambda delivery: (delivery.at, delivery.id))

    def redeliver(self, repository: str, hook: int, delivery: int) -> None:
        self._of_hook("POST", repository, hook, f"/{delivery}/attempts", {})

    def _of_hook(
        self, method: str, repository: str, hook: int, path: str, query: dict[str, str | int]
    ) -> tuple[dict[str, Any], Any]:
        """Headers and answer of a request about the deliveries of one webhook."""
        writing = method != "GET"
        if repository:
            with self._asking(repository, WRITE if writing else READ, writing=writing) as found:
                place = f"hooks/{hook}/deliveries{path}"
                if not writing:
                    return listed_again(found, place, **query)
                return found.requester.requestJsonAndCheck(method, f"{found.url}/{place}")
        with self._telling("", writing=writing):
            asked = self._tokens.as_app(method, f"/app/hook/deliveries{path}", query)
            assert asked is not None, "only an App has a webhook of its own"
            return asked
