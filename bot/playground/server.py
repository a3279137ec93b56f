"""The playground's server: both simulators, the page between them, and its live changes, on one port."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bot.playground.asked import Check, Click, Push, Report, Say, do, failed, known_person, read, refusal, viewer_of
from bot.playground.github import SimulatedGitHub
from bot.playground.slack import SimulatedSlack
from bot.playground.snapshot import viewers_state
from bot.playground.views import ViewEndpoints

STATIC = Path(__file__).parent / "static"
HEARTBEAT = 15.0  # seconds; a comment line that keeps proxies from closing a quiet stream
GATHER = 0.03  # seconds in which changes that come together become one state on the wire
# The page loads nothing from elsewhere and runs no inline script, whatever a message contains.
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# What a deployer would write. GitHub allows 140 characters.
DESCRIPTIONS = {
    "queued": "Waiting for a free runner",
    "in_progress": "Rolling out, 2 of 4 hosts done",
    "success": "Rolled out to 4 hosts",
    "failure": "Health check failed on fe2; rolled back",
}


class Playground:
    """The page and its JSON over two simulators.

    Serve `asgi` at a server's root and call `opened` with its address before anyone uses it. `close` ends the open
    streams, so that the server can stop at once. Every endpoint answers bad input with 400 and
    `{"error": "what is wrong"}`; a bot that does not answer is 502.
    """

    def __init__(self, github: SimulatedGitHub, slack: SimulatedSlack) -> None:
        self.github = github
        self.slack = slack
        self.url = ""
        self._live = _Live()
        github.on_change.append(self._live.changed)
        slack.on_change.append(self._live.changed)
        self.asgi = Starlette(
            routes=[
                Route("/", self._page),
                Mount("/static", StaticFiles(directory=STATIC)),
                Route("/playground/state", self._state),
                Route("/playground/events", self._events),
                Route("/playground/say", self._say, methods=["POST"]),
                Route("/playground/click", self._click, methods=["POST"]),
                *ViewEndpoints(slack).routes,
                Route("/playground/github/push", self._push, methods=["POST"]),
                Route("/playground/github/check", self._check, methods=["POST"]),
                Route("/playground/github/report", self._report, methods=["POST"]),
                Route("/playground/log/{repository:path}/{deployment:int}", self._log),
                Route("/playground/site/{repository:path}/at/{environment:path}", self._site),
                Mount("/github", github.asgi),
                Mount("/slack", slack.asgi),
            ],
            exception_handlers={HTTPException: refusal},
        )

    def opened(self, url: str) -> None:
        """Tells the simulators where they are served: `url` is this server's root."""
        self.url = url.rstrip("/")
        self.github.url = f"{self.url}/github"
        self.slack.url = f"{self.url}/slack"

    def close(self) -> None:
        """Ends the open streams."""
        self._live.close()

    # What the page reads

    async def _page(self, request: Request) -> Response:
        headers = {"Content-Security-Policy": CONTENT_POLICY, "Cache-Control": "no-cache"}
        return FileResponse(STATIC / "index.html", headers=headers)

    async def _state(self, request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(self.state, viewer_of(request)))

    def state(self, viewer: str) -> dict[str, Any]:
        """Everything the page shows to one person. See `bot.playground.snapshot`."""
        return viewers_state(self.github, self.slack, viewer)

    async def _events(self, request: Request) -> Response:
        viewer = viewer_of(request)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(self._states(viewer), media_type="text/event-stream", headers=headers)

    async def _states(self, viewer: str) -> AsyncIterator[str]:
        """The whole state at once, and again after each change: who reconnects has missed nothing."""
        last = ""
        with self._live.watch() as change:
            while True:
                change.clear()
                text = json.dumps(await run_in_threadpool(self.state, viewer))
                if text != last:
                    last = text
                    yield f"event: state\ndata: {text}\n\n"
                while not change.is_set():
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(change.wait(), HEARTBEAT)
                        break
                    yield ": still here\n\n"
                if self._live.closed:
                    return
                await asyncio.sleep(GATHER)

    # What people do

    async def _say(self, request: Request) -> Response:
        said = await read(request, Say)
        known_person(said.user)
        answer = await do(lambda: self.slack.say(said.user, said.room, said.text, thread_ts=said.thread_ts))
        # A failed slash command shows as Slack's own line in the room; of other lines Slack says nothing.
        return JSONResponse({"ok": True, "status": answer.status})

    async def _click(self, request: Request) -> Response:
        click = await read(request, Click)
        known_person(click.user)
        answer = await do(lambda: self.slack.click(click.user, click.room, click.ts, click.action_id, click.value))
        if not answer.ok:
            return failed(f"Shipbot did not take the click (HTTP status {answer.status}).", status=502)
        return JSONResponse({"ok": True, "status": answer.status})

    # What happens at GitHub

    async def _push(self, request: Request) -> Response:
        push = await read(request, Push)
        message = push.message or f"Touch up {push.branch}"
        sha = await do(lambda: self.github.push(push.repository, push.branch, message, author=push.author))
        return JSONResponse({"ok": True, "sha": sha})

    async def _check(self, request: Request) -> Response:
        check = await read(request, Check)
        sha = await do(lambda: self.github.head(check.repository, check.branch))
        kind = self._kind_of_check(check)
        if kind == "check_run":
            done = check.state != "pending"
            await do(
                lambda: self.github.set_check_run(
                    check.repository,
                    sha,
                    check.name,
                    status="completed" if done else "in_progress",
                    conclusion=check.state if done else None,
                )
            )
        else:
            words = {"success": "All is well", "failure": "1 test failed", "pending": "Running"}[check.state]
            await do(lambda: self.github.set_status(check.repository, sha, check.name, check.state, description=words))
        return JSONResponse({"ok": True, "sha": sha})

    def _kind_of_check(self, check: Check) -> str:
        for repository in self.github.snapshot()["repositories"]:
            if repository["full_name"] == check.repository:
                for branch in repository["branches"]:
                    for known in branch["checks"]:
                        if (branch["name"], known["name"]) == (check.branch, check.name):
                            return str(known["kind"])
        return "status"

    async def _report(self, request: Request) -> Response:
        report = await read(request, Report)
        found = await do(lambda: self._deployment(report.repository, report.deployment))
        environment_url = ""
        if report.state == "success":
            environment_url = f"{self.url}/playground/site/{report.repository}/at/{found['environment']}"
        status = await do(
            lambda: self.github.report(
                report.repository,
                report.deployment,
                report.state,
                description=DESCRIPTIONS[report.state],
                log_url=f"{self.url}/playground/log/{report.repository}/{report.deployment}",
                environment_url=environment_url,
            )
        )
        return JSONResponse({"ok": True, "status": status})

    def _deployment(self, repository: str, number: int) -> dict[str, Any]:
        for deployment in self.github.deployments(repository):
            if deployment["id"] == number:
                return deployment
        raise LookupError(f"{repository} has no deployment {number}")

    # Where the links of a report lead

    async def _log(self, request: Request) -> Response:
        repository, number = request.path_params["repository"], request.path_params["deployment"]
        deployment = await do(lambda: self._deployment(repository, number))
        statuses = await do(lambda: self.github.statuses(repository, number))
        lines = [f"{repository}: deployment {number} of {deployment['sha'][:7]} to {deployment['environment']}", ""]
        lines += [
            f"{status['created_at']}  {status['state']:<12} {status['description']}" for status in reversed(statuses)
        ]
        return PlainTextResponse("\n".join([*lines, ""]))

    async def _site(self, request: Request) -> Response:
        repository, environment = request.path_params["repository"], request.path_params["environment"]
        deployments = await do(lambda: self.github.deployments(repository))
        for deployment in deployments:
            if deployment["environment"] != environment:
                continue
            statuses = self.github.statuses(repository, deployment["id"])
            if statuses and statuses[0]["state"] == "success":
                line = f"{repository} in {environment}: {deployment['sha'][:7]} is live."
                return PlainTextResponse(f"{line}\n\nA real environment_url would lead to the site itself.\n")
        return PlainTextResponse(f"{repository} in {environment}: nothing is live.\n", status_code=404)


class _Live:
    """Wakes every open stream when something has changed. `changed` may be called from any thread."""

    def __init__(self) -> None:
        self.closed = False
        self._lock = threading.Lock()
        self._watching: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    @contextlib.contextmanager
    def watch(self) -> Iterator[asyncio.Event]:
        """An event that is set after each change; for the running loop only."""
        event = asyncio.Event()
        with self._lock:
            self._watching[event] = asyncio.get_running_loop()
        try:
            yield event
        finally:
            with self._lock:
                del self._watching[event]

    def changed(self) -> None:
        with self._lock:
            for event, loop in self._watching.items():
                with contextlib.suppress(RuntimeError):  # that loop has ended; its stream has too
                    loop.call_soon_threadsafe(event.set)

    def close(self) -> None:
        self.closed = True
        self.changed()
