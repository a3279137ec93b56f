"""The provider `heroku`: builds a commit with Heroku's Platform API, and follows it until its dynos are up.

Each step is looked for before it is done. So it may run again after the bot died at any point of it, and the commit is
built once.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from bot.providers.base import (
    Fault,
    Outcome,
    ProviderConfig,
    Reporter,
    Stopped,
    Trial,
    Variable,
    Work,
    failure,
    success,
)
from bot.providers.base import error as failed
from bot.providers.heroku_api import FAILED, PENDING, SUCCEEDED, Build, Dyno, Lost, Output, Platform, Release

API = "https://api.heroku.com"
KEY, URL = "HEROKU_API_KEY", "HEROKU_API_URL"

POLL = 3.0  # seconds between two looks at what Heroku does
LOOK = 0.5  # seconds between looks whether it must end, while output is waited for
LOST = (2.0, 5.0, 10.0)  # seconds before each look for a build whose answer was lost
READINGS = 3  # tries to read the rest of an output whose build or release has ended
RELEASE_LOOKS = 40  # looks for the release of a build that succeeded
UP = frozenset({"up", "idle"})  # idle: an Eco dyno that sleeps until somebody comes
NAMES = 3  # dynos that are named


def _app(name: str) -> str:
    if not (name.isascii() and name.replace("-", "").isalnum() and name == name.lower() and 2 < len(name) < 64):
        raise ValueError("must be the name of an app at Heroku: small letters, digits and dashes")
    return name


class Settings(ProviderConfig):
    """The keys of `provider: {type: heroku, …}`."""

    type: Literal["heroku"]
    app: Annotated[str, AfterValidator(_app)] = Field(description="the name of the app at Heroku")


class Heroku:
    """See the README's “Let Shipbot deploy”."""

    name = "heroku"
    config = Settings

    def variables(self, config: Settings) -> Sequence[Variable]:
        return [Variable(KEY), Variable(URL, required=False, secret=False)]

    def may_run_again(self, config: Settings, remembered: Mapping[str, Any]) -> bool:
        return True

    def run(self, config: Settings, work: Work, reporter: Reporter) -> Outcome:
        if work.task != "deploy":
            raise Fault(
                f"Heroku only deploys: it has no task “{work.task[:30]}”. What must run with each deploy belongs into "
                "the app's release phase."
            )
        if work.hosts:
            raise Fault(f"Heroku deploys an app as a whole, not to “{work.hosts[:30]}” alone.")
        with contextlib.closing(_platform(config, work.variables, reporter.wait, reporter.in_progress)) as platform:
            return _Deploy(config.app, work, reporter, platform).run()

    def wind_up(self, config: Settings, work: Work, reporter: Reporter) -> None:
        with contextlib.closing(_platform(config, work.variables, reporter.wait, reporter.in_progress)) as platform:
            _Deploy(config.app, work, reporter, platform).wind_up(reporter.wait)

    def prove(self, config: Settings, trial: Trial) -> str:
        def give_up(_seconds: float) -> None:
            raise Fault(f"Heroku does not answer: see that {trial.variables.get(URL) or API} can be reached.")

        def limited(_words: str) -> None:
            raise Fault("Heroku's rate limit is reached: check again in a minute.")

        with contextlib.closing(_platform(config, trial.variables, give_up, limited)) as platform:
            return f"{platform.app().name} can be seen at Heroku"


PROVIDER = Heroku()


def _platform(
    config: Settings, variables: Mapping[str, str], wait: Callable[[float], None], trouble: Callable[[str], None]
) -> Platform:
    """Raises Fault for variables that can't be right."""
    url = variables.get(URL) or API
    if not url.startswith(("https://", "http://")):
        raise Fault(f"{URL} must be an address such as {API}.")
    token = variables[KEY].strip()
    if not re.fullmatch(r"[!-~]+", token):
        raise Fault(f"{KEY} holds characters that no token has.")
    return Platform(url, token, config.app, wait, trouble)


class _Deploy:
    """One deploy under way.

    What is remembered: `known`, builds of that commit that were there before; `build`, the id of this deploy's own;
    `read`, how many bytes of its output and of its release's are in the log.
    """

    def __init__(self, app: str, work: Work, reporter: Reporter, platform: Platform) -> None:
        self._app = app
        self._work = work
        self._reporter = reporter
        self._platform = platform
        self._memory = dict(work.remembered)
        self._read: dict[str, int] = dict(self._memory.get("read") or {})
        self._doing = ""
        self._line_ended = True

    def run(self) -> Outcome:
        try:
            return self._run()
        except Stopped as stopped:
            with contextlib.suppress(Stopped):  # somebody else has it now
                self._remember(read=self._read)
            if stopped.for_good:
                self.wind_up(_within(stopped.grace))
            raise

    def _run(self) -> Outcome:
        app = self._platform.app()
        build = self._build()
        self._doing = f"Heroku builds {self._work.sha[:7]} for {self._app}"
        self._follow("build", build.output_stream_url, lambda: self._platform.build(build.id).status)
        build = self._platform.build(build.id)
        if build.status != SUCCEEDED:
            return failure("The build at Heroku failed; the log says why.")
        number = self._released(build)
        if number is None:
            return failed(f"The build at Heroku succeeded, but no release came of it. Look at {self._app} there.")
        release = self._platform.release(number)
        if release.status == PENDING:
            self._doing = f"Release phase of v{release.version}"
            self._note(f"release phase of v{release.version}")
        self._follow("release", release.output_stream_url, lambda: self._platform.release(number).status)
        release = self._platform.release(number)
        if release.status != SUCCEEDED:
            why = "failed" if release.status == FAILED else f"ended as “{release.status}”"
            return failure(f"The release phase of v{release.version} {why}, so it did not go live.")
        if app.web_url:
            self._reporter.environment_url(app.web_url)
        return self._start(release)

    # Build

    def _build(self) -> Build:
        """The build of this deploy: the one that an earlier attempt began, else a new one."""
        known = self._memory.get("known")
        if self._memory.get("build"):
            return self._platform.build(self._memory["build"])
        if known is None:
            known = [build.id for build in self._builds()]
            self._remember(known=known)  # committed before the write, so that its build is found whatever happens
            build = None
        else:
            build = self._made_since(known)
        while build is None:
            self._reporter.check()
            try:
                build = self._platform.create_build(lambda: self._work.github.tarball(self._work.sha), self._work.sha)
            except Lost as lost:
                self._note(f"Heroku did not answer ({lost}); looking whether the build has begun")
                build = self._lost(known)
        self._remember(build=build.id)
        self._note(f"Heroku builds {self._work.sha[:7]} for {self._app}: build {build.id}")
        return build

    def _builds(self) -> list[Build]:
        return [build for build in self._platform.builds() if build.source_blob.version == self._work.sha]

    def _made_since(self, known: Sequence[str]) -> Build | None:
        return next((build for build in self._builds() if build.id not in known), None)

    def _lost(self, known: Sequence[str]) -> Build | None:
        """A build whose answer was lost, if it comes to be seen."""
        for pause in LOST:
            self._reporter.wait(pause)
            build = self._made_since(known)
            if build is not None:
                return build
        return None

    # Release

    def _released(self, build: Build) -> str | None:
        """The id of the release that came of a build; None when none does."""
        for _ in range(RELEASE_LOOKS):
            if build.release is not None:
                return build.release.id
            self._reporter.wait(POLL)
            build = self._platform.build(build.id)
        return None

    # Dynos

    def _start(self, release: Release) -> Outcome:
        """Waits until all dynos run the new release. One that has crashed is restarted by Heroku once, at once: it
        counts as crashed when it is found so twice in a row."""
        this = f"v{release.version}"
        crashed: set[str] = set()
        while True:
            wanted = {one.type: one.quantity for one in self._platform.formation() if one.quantity > 0}
            wanted.pop("release", None)
            count = sum(wanted.values())
            if count == 0:
                return success(f"{this} is released; the app has no dynos")
            dynos = [dyno for dyno in self._platform.dynos() if dyno.type in wanted]
            new = [dyno for dyno in dynos if dyno.version >= release.version]
            down = {dyno.name for dyno in new if dyno.state == "crashed"}
            if down & crashed:
                return failure(f"{this} is released, but {_named(down & crashed)} crashed.")
            up = [dyno for dyno in new if dyno.state in UP]
            if len(up) == len(dynos) and len(up) >= count:
                return success(self._live(release, up))
            crashed = down
            self._reporter.in_progress(f"Starting {this}: {min(len(up), count)} of {count} dynos are up")
            self._reporter.wait(POLL)

    def _live(self, release: Release, up: Sequence[Dyno]) -> str:
        newest = max(dyno.version for dyno in up)
        if newest > release.version:
            return f"v{release.version} is released; v{newest} came after it"
        closed = ", but the app is in maintenance mode" if self._platform.app().maintenance else ""
        return f"v{release.version} is live with {len(up)} {'dyno' if len(up) == 1 else 'dynos'}{closed}"

    # Output

    def _follow(self, name: str, url: str | None, status: Callable[[], str]) -> None:
        """Writes the output of a build or release to the log until it has ended. A stream that is cut, or ends while
        the other goes on, is read on from where it was."""
        readings = 0
        while True:
            self._reporter.in_progress(self._doing)
            ended = status() != PENDING  # asked before reading: what is read after the end is all there is
            whole = url is None or self._output(name, url)
            if ended:
                readings += 1
                if whole:
                    return
                if readings >= READINGS:
                    self._note(f"the rest of the {name}'s output could not be read")
                    return
            self._reporter.wait(POLL)

    def _output(self, name: str, url: str) -> bool:
        """Writes what there is of an output; whether it came to the stream's end."""
        with Output(url, self._read.get(name, 0)) as output:
            for piece in output.pieces(self._reporter.check, LOOK):
                self._reporter.write(piece)
                self._line_ended = piece.endswith(b"\n")
                self._read[name] = self._read.get(name, 0) + len(piece)
            return output.ended

    # The end that somebody else wants

    def wind_up(self, wait: Callable[[float], None]) -> None:
        """Lets Heroku stop what can be stopped, and says in the log what can't."""
        if "known" not in self._memory:
            return  # nothing was begun
        self._platform.hurry(wait)
        try:
            self._stop()
        except (Fault, Stopped) as error:
            reason = "it does not answer" if isinstance(error, Stopped) else str(error)
            self._note(f"Heroku could not be told to stop ({reason}): what it has begun may still go live")

    def _stop(self) -> None:
        number = self._memory.get("build")
        build = self._platform.build(number) if number else self._made_since(self._memory["known"])
        if build is None:
            return
        if build.status == PENDING:
            try:
                self._platform.cancel_build(build.id)
            except Fault:
                build = self._platform.build(build.id)
                if build.status == PENDING:
                    raise
            else:
                self._note("Heroku was told to stop the build")
                return
        if build.release is not None:  # also of a build that has ended in that very moment
            self._stop_release(self._platform.release(build.release.id))

    def _stop_release(self, release: Release) -> None:
        """Heroku fails a release whose release phase is stopped."""
        if release.status == SUCCEEDED:
            self._note(f"v{release.version} is released already, and Heroku goes on with it")
        elif release.status == PENDING:
            running = [dyno for dyno in self._platform.dynos() if dyno.type == "release"]
            for dyno in running:
                self._platform.stop_dyno(dyno.name)
                self._note(f"Heroku was told to stop the release phase of v{release.version}")
            if not running:
                self._note(f"the release phase of v{release.version} is not to be found: it may still go live")

    def _remember(self, **facts: Any) -> None:
        self._memory |= facts
        self._reporter.remember(self._memory)

    def _note(self, words: str) -> None:
        """A line of our own in the log."""
        self._reporter.write(f"{'' if self._line_ended else chr(10)}[{words}]\n")
        self._line_ended = True


def _within(seconds: float) -> Callable[[float], None]:
    """Passes time though the work must end already; raises Stopped when that is over."""
    until = time.monotonic() + seconds

    def wait(pause: float) -> None:
        left = until - time.monotonic()
        if left <= 0:
            raise Stopped
        threading.Event().wait(min(pause, left))  # nobody sets it: this run has a thread of its own

    return wait


def _named(names: set[str]) -> str:
    shown = sorted(names)
    more = f" and {len(shown) - NAMES} more" if len(shown) > NAMES else ""
    return ", ".join(shown[:NAMES]) + more
