"""Takes requests to the simulated GitHub: records them, lets them fail, authenticates, dispatches."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route as Path

from bot.playground.github_account import account_routes
from bot.playground.github_actions import get as _actions  # noqa: F401  # registers its endpoints
from bot.playground.github_archive import PLACE, archive
from bot.playground.github_pages import page
from bot.playground.github_reading import repository_routes
from bot.playground.github_rest import (
    DOCS,
    Actor,
    Answer,
    Call,
    RecordedRequest,
    Route,
    Routes,
    error_answer,
    parse_json,
)
from bot.playground.github_state import Repository
from bot.playground.github_world import Refused
from bot.playground.github_writing import post as _writing  # noqa: F401  # registers its endpoints
from bot.playground.serving import drop_connection

if TYPE_CHECKING:
    from bot.playground.github import SimulatedGitHub

API = "/api/v3"
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def github_app(github: SimulatedGitHub) -> Starlette:
    """The whole site: REST below `/api/v3`, logins below `/login`, pages everywhere else."""

    async def serve(request: Request) -> Response:
        path = _quoted_path(request)
        below = path == API or path.startswith(f"{API}/")
        if path.startswith(f"/{PLACE}/"):
            with github.lock:
                packed = archive(github, unquote(path), request.query_params.get("token", ""))
            return Response(packed or b"Not Found", 200 if packed else 404, media_type="application/x-gzip")
        if not below and not path.startswith("/login/"):
            with github.lock:
                found = page(github, unquote(path))
            return HTMLResponse(found or "Not Found", 200 if found else 404)
        recorded = RecordedRequest(
            method=request.method,
            path="/".join(_decoded(part) for part in path.removeprefix(API).split("/")),
            query=dict(parse_qsl(request.url.query, keep_blank_values=True)),
            headers={k: v for k, v in request.headers.items() if k != "authorization"},
            json=parse_json(await request.body()),
        )
        credentials = request.headers.get("authorization", "")
        fault = github.next_fault(recorded)
        if fault is not None and fault.drop == "before":
            await drop_connection(request)
            return Response()
        if fault is not None and fault.status is not None:
            answer = Answer(fault.status, fault.body, fault.headers)
        elif not below:
            answer = github.login_answer(recorded) or Answer(404, "Not Found", {"Content-Type": "text/html"})
        else:
            answer = _answer(github, recorded, path.removeprefix(API), credentials)
        if fault is not None and fault.drop == "after":
            await drop_connection(request)
            return Response()
        etag = _etag(answer, credentials) if request.method == "GET" else ""
        if etag and request.headers.get("if-none-match") == etag:
            answer = Answer(304, None, answer.headers)
            if fault is None:
                github.uncount_request()
        recorded.status, recorded.answer = answer.status, answer.body
        return _response(github, answer, etag)

    return Starlette(routes=[Path("/{path:path}", serve, methods=METHODS)])


def _quoted_path(request: Request) -> str:
    """The path below the mount, still quoted, so that `%2F` inside a ref is told from a slash."""
    raw: bytes = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
    return raw.decode("ascii").partition("?")[0].removeprefix(quote(request.scope.get("root_path", "")))


def _decoded(segment: str) -> str:
    return unquote(segment).replace("/", "%2F")


def _answer(github: SimulatedGitHub, asked: RecordedRequest, path: str, credentials: str) -> Answer:
    if asked.method == "GET":
        with github.lock:
            return _dispatch(github, asked, path, credentials)
    with github.change():
        return _dispatch(github, asked, path, credentials)


def _dispatch(github: SimulatedGitHub, asked: RecordedRequest, path: str, credentials: str) -> Answer:
    doc = ""
    try:
        actor = github.identify(credentials)
        if path != "/rate_limit" and not github.count_request():
            who = f"user ID {actor.person.id}" if actor.person else "installation"
            message = f"API rate limit exceeded for {who}."
            raise Refused(403, message, doc="using-the-rest-api/rate-limits-for-the-rest-api")
        repo, routes, rest = _place(github, actor, path)
        if routes is None:
            assert repo is not None, "a redirect leads to a repository"
            return _moved(github, asked, repo, rest)
        found = routes.find(asked.method, rest)
        if found is None:
            raise Refused(404, "Not Found")
        route, args = found
        doc = route.doc
        _permit(actor, route, repo)
        return route.endpoint(Call(github, path, asked.query, asked.headers, asked.json, actor, args, repo))
    except _Forbidden as refused:
        answer = error_answer(refused, doc)
        return Answer(answer.status, answer.body, {"X-Accepted-GitHub-Permissions": refused.needs})
    except Refused as refused:
        return error_answer(refused, doc)


def _place(github: SimulatedGitHub, actor: Actor, path: str) -> tuple[Repository | None, Routes | None, str]:
    """The repository that a path is about, the table that has its endpoint, and the rest of the path.

    No table means that the repository has moved.
    """
    head, *parts = path.removeprefix("/").split("/")
    routes: Routes | None = repository_routes
    if head == "repos" and len(parts) >= 2:
        full_name, used = f"{unquote(parts[0])}/{unquote(parts[1])}", 2
        repo = github.find_repository(full_name)
        if repo is None:
            repo, routes = github.renamed.get(full_name.lower()), None
    elif head == "repositories" and len(parts) >= 1:
        used = 1
        repo = github.repository_by_id(int(parts[0])) if parts[0].isdecimal() else None
    else:
        return None, account_routes, path
    if repo is None or not github.can_see(repo, actor):
        raise Refused(404, "Not Found")
    return repo, routes, "".join(f"/{part}" for part in parts[used:])


def _moved(github: SimulatedGitHub, asked: RecordedRequest, repo: Repository, rest: str) -> Answer:
    status = 301 if asked.method == "GET" else 307
    query = f"?{urlencode(asked.query)}" if asked.query else ""
    location = f"{github.records.api}/repositories/{repo.id}{rest}{query}"
    body = {
        "message": "Moved Permanently" if status == 301 else "Temporary Redirect",
        "url": location,
        "documentation_url": f"{DOCS}/guides/best-practices-for-using-the-rest-api#follow-redirects",
    }
    return Answer(status, body, {"Location": location})


class _Forbidden(Refused):
    """A permission that the credentials lack; GitHub names it in a header."""

    def __init__(self, actor: Actor, needs: str) -> None:
        what = "personal access token" if actor.kind == "token" else "integration"
        super().__init__(403, f"Resource not accessible by {what}")
        self.needs = needs


def _permit(actor: Actor, route: Route, repo: Repository | None) -> None:
    if not route.needs or actor.may(route.needs):
        return
    if actor.kind in ("none", "app"):
        if repo is not None and not repo.private and route.needs.endswith("=read"):
            return
        raise Refused(401, "Requires authentication")
    raise _Forbidden(actor, route.needs)


def _etag(answer: Answer, credentials: str) -> str:
    """An answer's tag; another one for each token, since GitHub's answers vary with the Authorization."""
    if answer.status != 200 or answer.body is None:
        return ""
    return f'W/"{hashlib.sha256(credentials.encode() + _bytes(answer.body)).hexdigest()}"'


def _response(github: SimulatedGitHub, answer: Answer, etag: str) -> Response:
    rate = github.rate()
    headers = {
        "X-GitHub-Media-Type": "github.v3; format=json",
        "X-GitHub-Request-Id": f"{len(github.requests):04X}:SIMULATED",
        **{f"X-RateLimit-{key.capitalize()}": str(value) for key, value in rate.items()},
        "X-RateLimit-Resource": "core",
    }
    if github.token.startswith("ghp_"):  # only classic tokens have scopes
        headers["X-OAuth-Scopes"] = "read:org, repo"
    headers.update(answer.headers)
    headers = {name.lower(): value for name, value in headers.items()}
    if etag:
        headers["etag"] = etag
    if answer.body is None:
        return Response(status_code=answer.status, headers=headers)
    headers.setdefault("content-type", "application/json; charset=utf-8")
    return Response(_bytes(answer.body), answer.status, headers)


def _bytes(body: Any) -> bytes:
    if isinstance(body, str):
        return body.encode()
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
