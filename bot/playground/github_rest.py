"""The frame of the simulated GitHub's REST API: routes, answers, errors, pages of lists.

Error bodies, Link headers and limits as in https://docs.github.com/rest/using-the-rest-api.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import unquote, urlencode

from bot.playground.github_state import Json, Person, Repository
from bot.playground.github_world import Refused

if TYPE_CHECKING:
    from bot.playground.github import SimulatedGitHub

DOCS = "https://docs.github.com/rest"
PER_PAGE, MOST_PER_PAGE = 30, 100

T = TypeVar("T")


@dataclass
class RecordedRequest:
    """A request as it arrived, without its Authorization.

    `path` is without `/api/v3` and decoded, except that a slash inside a segment stays `%2F`.
    `json` is None for an empty body and the text itself when it is no JSON. `status` and `answer` are what
    was answered; None when the connection was dropped.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    json: Any
    status: int | None = None
    answer: Any = None


@dataclass(frozen=True)
class Actor:
    """Who a request's credentials stand for: the bot's token or installation, its app (a signed JWT), or a user who
    logged in to the app.

    `repositories` are the ids an installation token is limited to; None for all.
    """

    kind: Literal["none", "token", "installation", "app", "user"]
    person: Person | None = None
    permissions: dict[str, str] = field(default_factory=dict)
    repositories: frozenset[int] | None = None

    @property
    def via_app(self) -> bool:
        return self.kind == "installation"

    def may(self, needs: str) -> bool:
        """Whether the credentials have a permission, `deployments=write`; writing includes reading."""
        name, _, level = needs.partition("=")
        held = self.permissions.get(name)
        return held in ("write", "admin") or (held is not None and held == level)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer. A `str` body is sent as it is, anything else as JSON; None sends nothing."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """One authenticated request on its way to its endpoint."""

    github: SimulatedGitHub
    path: str  # as asked, quoted, without /api/v3
    query: dict[str, str]
    headers: dict[str, str]
    json: Any
    actor: Actor
    args: tuple[str, ...]
    found_repo: Repository | None

    @property
    def repo(self) -> Repository:
        assert self.found_repo is not None, "only routes below /repos have one"
        return self.found_repo

    @property
    def person(self) -> Person:
        if self.actor.person is None:
            raise Refused(401, "Requires authentication")
        return self.actor.person

    def sha(self, ref: str) -> str:
        """The SHA of a ref, or the 422 that the commits endpoints answer."""
        found = self.repo.resolve(ref)
        if found is None:
            raise Refused(422, f"No commit found for SHA: {ref}", doc="commits/commits#get-a-commit")
        return found

    def body(self) -> Json:
        """The JSON object that was sent, or GitHub's 400."""
        if self.json is None:
            return {}
        if not isinstance(self.json, dict):
            raise Refused(400, "Problems parsing JSON")
        return self.json

    def page(self, items: Sequence[T]) -> tuple[list[T], dict[str, str]]:
        """The page of a list that the query asks for, and its Link header."""
        per_page = min(_number(self.query.get("per_page"), PER_PAGE) or PER_PAGE, MOST_PER_PAGE)
        page = _number(self.query.get("page"), 1) or 1
        last = max(1, -(-len(items) // per_page))
        links: dict[str, int] = {}
        if page > 1:
            links["prev"] = min(page - 1, last)
        if page < last:
            links["next"], links["last"] = page + 1, last
        if page > 1:
            links["first"] = 1
        shown = list(items[(page - 1) * per_page : page * per_page])
        return shown, self.link({rel: {"page": str(number)} for rel, number in links.items()})

    def link(self, relations: dict[str, dict[str, str]]) -> dict[str, str]:
        """A Link header: for each relation this request's address with these query values instead."""
        base = f"{self.github.records.api}{self.path}"
        parts = [f'<{base}?{urlencode({**self.query, **changed})}>; rel="{rel}"' for rel, changed in relations.items()]
        return {"Link": ", ".join(parts)} if parts else {}


Endpoint = Callable[[Call], Answer]


@dataclass(frozen=True)
class Route:
    """`needs` is the fine-grained permission, `deployments=write`, or "" where any caller will do."""

    method: str
    path: re.Pattern[str]
    needs: str
    endpoint: Endpoint
    doc: str


class Routes:
    """A table of endpoints. `{x}` in a path stands for one segment, `{x*}` for any number of them."""

    def __init__(self) -> None:
        self.table: list[Route] = []

    def add(self, method: str, path: str, needs: str = "", doc: str = "") -> Callable[[Endpoint], Endpoint]:
        pattern = re.sub(r"\{\w+\*\}", "(.+)", path)
        pattern = re.sub(r"\{\w+\}", "([^/]+)", pattern)

        def register(endpoint: Endpoint) -> Endpoint:
            self.table.append(Route(method, re.compile(pattern), needs, endpoint, doc))
            return endpoint

        return register

    def find(self, method: str, path: str) -> tuple[Route, tuple[str, ...]] | None:
        """The route for a quoted path and its arguments, decoded; the first that was added wins."""
        for route in self.table:
            match = route.path.fullmatch(path)
            if match and route.method == method:
                return route, tuple(unquote(group) for group in match.groups())
        return None


def error_answer(refused: Refused, doc: str = "") -> Answer:
    """The answer for a refusal: message, errors if any, where to read more, and the status as text."""
    where = refused.doc or doc
    body: Json = {"message": refused.message}
    if refused.errors is not None:
        body["errors"] = refused.errors
    body["documentation_url"] = f"{DOCS}/{where}" if where else DOCS
    body["status"] = str(refused.status)
    return Answer(refused.status, body)


def ok(body: Any, headers: dict[str, str] | None = None) -> Answer:
    return Answer(200, body, headers or {})


def parse_json(raw: bytes) -> Any:
    """The JSON of a request body, None when it is empty, the text itself when it is no JSON."""
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "replace")


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.isdecimal() else otherwise
