"""A simulated Heroku: stateful, over real HTTP, made from the Platform API's reference.

https://devcenter.heroku.com/articles/platform-api-reference. What becomes of a deploy there is planned beforehand with
`will`; what deploys comes in through `asgi`.
"""

from __future__ import annotations

import io
import tarfile
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

import requests
from starlette.types import ASGIApp

from bot.playground.faults import Faulty
from bot.playground.heroku_api import Asked, heroku_app

PENDING, SUCCEEDED, FAILED = "pending", "succeeded", "failed"
LOOKS = 3  # how often something is looked at before it ends, where nobody reads its output

Json = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What becomes of the builds of an app.

    `cuts` are places in the build's output: there the connection breaks (`drop`), or the stream ends though the build
    goes on (`end`), once each. What is in `held` (`build`, `release`, `dynos`) does not end before it is let go.
    `states` are those of new dynos by name, one for each look, the last one for good.
    """

    output: bytes = b"-----> Building\n-----> Launching...\n"
    build: str = SUCCEEDED
    released: bool = True  # whether a release comes of a build that succeeded
    release_output: bytes | None = None  # None: the app has no release phase
    release: str = SUCCEEDED
    cuts: Mapping[int, Literal["drop", "end"]] = field(default_factory=dict)
    streams: bool = True  # whether outputs can be read
    ranges: bool = True  # whether a wish for a part of an output is heeded
    endless: bool = False  # whether the streams stay open, without a word, when all has been said
    held: frozenset[str] = frozenset()
    states: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass
class Dyno:
    name: str
    type: str
    states: list[str]
    version: int
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass
class Release:
    id: str
    version: int
    status: str
    description: str
    created_at: datetime
    stream: str | None = None
    looks: int = 0


@dataclass
class Build:
    id: str
    status: str
    version: str | None
    url: str
    created_at: datetime
    plan: Plan
    stream: str
    files: list[str] = field(default_factory=list)  # what was in the tarball
    cancelled: bool = False
    release: str | None = None
    looks: int = 0


@dataclass
class Stream:
    """An output. `read` once it was handed out to its end."""

    content: bytes
    cuts: dict[int, Literal["drop", "end"]]
    there: bool
    kind: str  # what it is of: build or release
    ranges: bool
    endless: bool
    read: bool = False


@dataclass
class App:
    id: str
    name: str
    formation: dict[str, int]
    web_url: str | None
    maintenance: bool = False
    plan: Plan = field(default_factory=Plan)
    builds: list[Build] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    dynos: list[Dyno] = field(default_factory=list)


class SimulatedHeroku(Faulty[Asked]):
    """One Heroku with its apps. Safe to use from several threads.

    `now` is its clock, `token` the one account's. Set `url` before use. Dropped connections need
    `bot.playground.serving.Served`.
    """

    def __init__(self, *, now: Callable[[], datetime] | None = None, token: str = "HRKU-playground") -> None:  # noqa: S107  # made up; opens nothing
        super().__init__()
        self.url = ""
        self.token = token
        self.now = now or (lambda: datetime.now(UTC))
        self.lock = threading.RLock()
        self.apps: dict[str, App] = {}
        self.streams: dict[str, Stream] = {}
        self.tokens_left = 4500  # requests that the rate limit lets through
        self.asgi: ASGIApp = heroku_app(self)

    # What people do there

    def add_app(self, name: str, formation: Mapping[str, int] | None = None) -> App:
        """An app with one release, whose dynos are up."""
        app = App(str(uuid.uuid4()), name, dict(formation or {"web": 1}), f"https://{name}-1a2b3c.herokuapp.com/")
        with self.lock:
            self.apps[name] = app
            self._add_release(app, "Initial release", SUCCEEDED)
            self._restart(app, 1, {})
            for dyno in app.dynos:
                dyno.states = ["up"]
        return app

    def will(self, name: str, **plan: Any) -> None:
        """Plans what becomes of the builds that are begun from now on. See `Plan`."""
        with self.lock:
            self.apps[name].plan = Plan(**plan)

    def let_go(self, name: str, what: str) -> None:
        """What was held (`build`, `release`, `dynos`) goes on."""
        with self.lock:
            app = self.apps[name]
            app.plan = replace(app.plan, held=app.plan.held - {what})

    def release(self, name: str, description: str) -> None:
        """Somebody makes another release, as of a config var."""
        with self.lock:
            app = self.apps[name]
            self._restart(app, self._add_release(app, description, SUCCEEDED).version, {})

    # What its API does

    def find(self, name: str) -> App | None:
        return next((app for app in self.apps.values() if name in (app.id, app.name)), None)

    def begin_build(self, app: App, source: Json) -> Build:
        """Fetches the source, as its slug compiler does: with no token of its own."""
        with self.lock:
            plan = app.plan
        files, output = _unpacked(source["url"])
        if files is None:
            plan = replace(plan, build=FAILED, output=output, cuts={})
        with self.lock:
            stream = self._add_stream("build", plan.output, plan)
            number = str(uuid.uuid4())
            build = Build(number, PENDING, source.get("version"), source["url"], self.now(), plan, stream, files or [])
            app.builds.append(build)
            return build

    def look(self, app: App, build: Build) -> None:
        """Somebody looks at a build: what has become due is done."""
        build.looks += 1
        done = self.streams[build.stream].read or build.looks >= LOOKS
        if build.status != PENDING or "build" in app.plan.held or not done:
            return
        build.status = build.plan.build
        if build.status == SUCCEEDED and build.plan.released:
            phase = build.plan.release_output
            status = SUCCEEDED if phase is None else PENDING
            release = self._add_release(app, f"Deploy {(build.version or '')[:8]}", status)
            build.release = release.id
            if phase is None:
                self._restart(app, release.version, build.plan.states)
            else:
                release.stream = self._add_stream("release", phase, build.plan)
                app.dynos.append(Dyno("release.4711", "release", ["up"], release.version))

    def look_at_release(self, app: App, release: Release) -> None:
        release.looks += 1
        build = next((build for build in app.builds if build.release == release.id), None)
        if release.status != PENDING or build is None or release.stream is None or "release" in app.plan.held:
            return
        if self.streams[release.stream].read or release.looks >= LOOKS:
            self._end_release(app, build, release, build.plan.release)

    def cancel(self, build: Build) -> bool:
        if build.status != PENDING:
            return False
        build.status, build.cancelled = FAILED, True
        return True

    def stop_dyno(self, app: App, dyno: Dyno) -> None:
        """One of the formation is started anew; one that runs a release phase takes the release with it."""
        if dyno.type == "release":
            release = next(one for one in app.releases if one.version == dyno.version)
            build = next(build for build in app.builds if build.release == release.id)
            self._end_release(app, build, release, FAILED)

    def pending(self, stream: str) -> bool:
        """Whether what an output is of has not ended."""
        with self.lock:
            builds = any(
                one.status == PENDING and one.stream == stream for app in self.apps.values() for one in app.builds
            )
            return builds or any(
                one.status == PENDING and one.stream == stream for app in self.apps.values() for one in app.releases
            )

    def held(self, stream: str) -> bool:
        """Whether it is kept from ending."""
        kind = self.streams[stream].kind
        if self.streams[stream].endless:
            return True
        with self.lock:
            return self.pending(stream) and any(kind in app.plan.held for app in self.apps.values())

    def _end_release(self, app: App, build: Build, release: Release, status: str) -> None:
        release.status = status
        app.dynos = [dyno for dyno in app.dynos if dyno.type != "release"]
        if status == SUCCEEDED:
            self._restart(app, release.version, build.plan.states)

    def _add_release(self, app: App, description: str, status: str) -> Release:
        release = Release(str(uuid.uuid4()), len(app.releases) + 1, status, description, self.now())
        app.releases.append(release)
        return release

    def _add_stream(self, kind: str, content: bytes, plan: Plan) -> str:
        name = str(uuid.uuid4())
        self.streams[name] = Stream(
            content, dict(plan.cuts) if kind == "build" else {}, plan.streams, kind, plan.ranges, plan.endless
        )
        return name

    def _restart(self, app: App, version: int, states: Mapping[str, Sequence[str]]) -> None:
        names = [(f"{kind}.{number}", kind) for kind, count in app.formation.items() for number in range(1, count + 1)]
        app.dynos = [Dyno(name, kind, list(states.get(name, ("starting", "up"))), version) for name, kind in names]


def _unpacked(url: str) -> tuple[list[str] | None, bytes]:
    """The names of the files in a gzipped tarball; None, and what a build says to that, when it can't be had."""
    try:
        answer = requests.get(url, timeout=10, auth=lambda request: request)
        answer.raise_for_status()
        with tarfile.open(fileobj=io.BytesIO(answer.content), mode="r:gz") as tar:
            return tar.getnames(), b""
    except (requests.RequestException, tarfile.TarError) as error:
        return None, f" !     Unable to fetch source from the URL given: {type(error).__name__}\n".encode()
