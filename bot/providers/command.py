"""The provider `command`: runs a program of the repository's, or any other, and shows what it prints.

The program is an argument list of the config's and never a shell's line. What comes from outside (refs, tasks,
hosts, names) reaches it in environment variables alone.
"""

from __future__ import annotations

import base64
import codecs
import contextlib
import os
import re
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StringConstraints, field_validator

from bot.providers import supervise
from bot.providers.base import (
    Fault,
    Outcome,
    ProviderConfig,
    Reporter,
    Stopped,
    Variable,
    Work,
    failure,
    success,
)

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
CLONE_URL = re.compile(r"(?:https?|ssh|git|file)://[^\s]+")
PASSED_ON = ("PATH", "HOME", "LANG")
# Of proxies and of whom to trust git must know where the rest of the bot does. The program gets what `env` names.
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy")
ROADS = (*PROXIES, "NO_PROXY", "no_proxy", "GIT_SSL_CAINFO", "SSL_CERT_FILE", "SSL_CERT_DIR")
READ = 65536  # bytes at once
LOOK = 0.2  # seconds between looks whether it must end
OUTPUT_LIMIT = 65536  # bytes of the file that the program may write facts to
NOT_STARTED = 127  # the exit code for a program that is not there
UNWILLING = 2.0  # seconds more than the grace, after which its supervisor is killed too
GIT_TIMEOUT = 600.0  # seconds for a fetch


def _no_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not hold a NUL")
    return value


def _source(value: Any) -> Any:
    if not isinstance(value, bool) and not (isinstance(value, str) and CLONE_URL.fullmatch(value)):
        raise ValueError("must be true, false or an address that git fetches from (https://…, ssh://… or file://…)")
    return value


def _variable(name: str) -> str:
    if not VARIABLE.fullmatch(name):
        raise ValueError("must be the name of an environment variable")
    if name.startswith("SHIPBOT_"):
        raise ValueError(f"{name} is set by the bot itself")
    return name


Argument = Annotated[str, StringConstraints(max_length=10_000), AfterValidator(_no_nul)]


class Settings(ProviderConfig):
    """The keys of `provider: {type: command, …}`."""

    type: Literal["command"]
    run: tuple[Argument, ...] = Field(
        min_length=1, max_length=200, description="the program and its arguments; no shell reads them"
    )
    checkout: Annotated[StrictBool | str, BeforeValidator(_source)] = Field(
        True, description="run it in a fresh checkout of the commit: true, false, or where to fetch from"
    )
    env: tuple[Annotated[str, AfterValidator(_variable)], ...] = Field(
        (), description="variables of the bot's environment that it gets; their values are masked in the log"
    )
    rerun: StrictBool = Field(False, description="whether it may run again when the bot died in the middle")

    @field_validator("run")
    @classmethod
    def _names_a_program(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value[0].strip():
            raise ValueError("must begin with a program")
        return value


class Command:
    """See the README's “Deploy with a command”."""

    name = "command"
    config = Settings

    def variables(self, config: Settings) -> Sequence[Variable]:
        named = [Variable(name) for name in config.env if name not in PASSED_ON]
        passed = [Variable(name, required=False, secret=False) for name in PASSED_ON]
        if config.checkout is False:
            return [*named, *passed]
        # The address of a proxy may hold a password.
        roads = [Variable(name, required=False, secret=name in PROXIES) for name in ROADS if name not in config.env]
        return [*named, *passed, *roads]

    def may_run_again(self, config: Settings, remembered: Mapping[str, Any]) -> bool:
        return config.rerun

    def wind_up(self, config: Settings, work: Work, reporter: Reporter) -> None:
        """The program ended with the process that ran it."""

    def run(self, config: Settings, work: Work, reporter: Reporter) -> Outcome:
        with _folder() as folder:
            passed = {name: work.variables[name] for name in PASSED_ON if name in work.variables}
            place = folder / "checkout"
            place.mkdir()
            if config.checkout is not False:
                _check_out(config, work, reporter, folder, place, passed)
            told = folder / "output"
            told.touch()
            outside = {name: work.variables[name] for name in config.env if name in work.variables}
            environment = passed | outside | _facts(work) | {"SHIPBOT_OUTPUT": str(told)}
            reporter.in_progress(f"Running {Path(config.run[0]).name}")
            process = Supervised(config.run, place, environment, folder)
            watch = _Told(told, reporter)
            code = process.follow(reporter, watch.look)
            watch.look()
        program = Path(config.run[0]).name
        if code == 0:
            return success(watch.description)
        return failure(watch.description or f"{program} {how_it_ended(code)}")


PROVIDER = Command()


def how_it_ended(code: int) -> str:
    """An exit code in words; negative ones are signals, as in `subprocess`."""
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"


def _hear(pipe: int, reporter: Reporter, decoder: codecs.IncrementalDecoder) -> bool:
    """Takes in what a program says, waiting for it up to LOOK; False when it has closed its output."""
    readable, _, _ = select.select([pipe], [], [], LOOK)
    if readable:
        piece = os.read(pipe, READ)
        if not piece:
            return False
        reporter.write(decoder.decode(piece))
    return True


class Supervised:
    """A program under `supervise.py`, which ends it and all that it started when it is told to, and when we die.

    Raises Fault when it can't be started.
    """

    def __init__(self, argv: Sequence[str], place: Path, environment: Mapping[str, str], folder: Path) -> None:
        self._errors = folder / "not-started"
        command = [sys.executable, "-I", "-S", supervise.__file__, str(folder), str(self._errors), "--", *argv]
        encoded = {
            name.encode(): value.replace("\x00", "\ufffd").encode("utf-8", "replace")
            for name, value in environment.items()
        }
        try:
            self._process = subprocess.Popen(  # noqa: S603 - an argument list; the config's own
                [os.fsencode(part) for part in command],
                cwd=place,
                env=encoded,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise Fault(f"{argv[0]} can't be started: {error.strerror}") from None

    def follow(self, reporter: Reporter, look: Any = None, *, seconds: float | None = None) -> int:
        """Writes what it prints to the log until it has ended; returns its exit code.

        Raises Stopped, once it has ended, when the work must end; Fault when it takes longer than `seconds`.
        """
        assert self._process.stdout is not None
        until = None if seconds is None else time.monotonic() + seconds
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        pipe = self._process.stdout.fileno()
        looked = 0.0
        try:
            while True:
                if not _hear(pipe, reporter, decoder):
                    break
                if time.monotonic() - looked >= LOOK:
                    looked = time.monotonic()
                    reporter.check()
                    if look is not None:
                        look()
                if until is not None and time.monotonic() > until:
                    raise Fault(f"it took longer than {seconds:.0f} s")
            reporter.write(decoder.decode(b"", True))
        except BaseException as stopped:
            self._end(stopped.grace if isinstance(stopped, Stopped) else supervise.GRACE, reporter, decoder)
            raise
        code = self._process.wait()
        self._close()
        if code == NOT_STARTED and self._errors.exists():
            raise Fault(self._errors.read_text("utf-8", "replace"))
        return code if code <= 128 or code > 192 else 128 - code

    def _end(self, grace: float, reporter: Reporter, decoder: codecs.IncrementalDecoder) -> None:
        """TERM, and KILL after `grace` seconds, to it and all that it started. What it says to that is still heard."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            os.write(self._process.stdin.fileno(), f"{grace:.1f}\n".encode())
        pipe, until = self._process.stdout.fileno(), time.monotonic() + grace + UNWILLING
        while time.monotonic() < until:
            if not _hear(pipe, reporter, decoder):
                break
        try:
            self._process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._close()

    def _close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class _Told:
    """What the program says in the file SHIPBOT_OUTPUT: lines `environment_url=…` and `description=…`."""

    def __init__(self, path: Path, reporter: Reporter) -> None:
        self._path = path
        self._reporter = reporter
        self._size = 0
        self._url = ""
        self.description = ""

    def look(self) -> None:
        try:
            found = self._path.lstat()
            if not stat.S_ISREG(found.st_mode) or found.st_size == self._size:
                return  # a pipe in its place would hold us up
            with self._path.open("rb") as file:
                told = file.read(OUTPUT_LIMIT)
        except OSError:
            return  # it took the file away, which is its own affair
        self._size = found.st_size
        for line in told.decode("utf-8", "replace").splitlines():
            name, _, value = line.partition("=")
            if name.strip() == "environment_url" and value.strip() != self._url:
                self._url = value.strip()
                self._reporter.environment_url(self._url)
            elif name.strip() == "description":
                self.description = value.strip()


def _facts(work: Work) -> dict[str, str]:
    return {
        "SHIPBOT_APP": work.app,
        "SHIPBOT_ENVIRONMENT": work.environment,
        "SHIPBOT_REF": work.ref,
        "SHIPBOT_SHA": work.sha,
        "SHIPBOT_TASK": work.task,
        "SHIPBOT_HOSTS": work.hosts,
        "SHIPBOT_USER": work.user,
        "SHIPBOT_DEPLOYMENT_ID": str(work.deployment_id),
    }


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder of its own, gone at the end."""
    try:
        folder = tempfile.mkdtemp(prefix="shipbot-run-")
    except OSError as error:
        raise Fault(f"there is no room for a checkout: {error.strerror}") from None
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_out(
    config: Settings, work: Work, reporter: Reporter, folder: Path, place: Path, passed: Mapping[str, str]
) -> None:
    """Fetches just that commit. The token goes to git alone, in its environment, which nobody else can read."""
    reporter.in_progress("Checking out the commit")
    passed = {**passed} | {name: work.variables[name] for name in ROADS if name in work.variables}
    given = config.checkout
    url = given if isinstance(given, str) else work.github.clone_url
    environment = {
        **passed,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_ALLOW_PROTOCOL": "https:http:ssh:git:file",
        "GIT_ADVICE": "0",
    }
    secret = {}
    if given is True:
        token = work.github.token()
        pair = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        reporter.hide(token)
        reporter.hide(pair)
        root = re.match(r"https?://[^/]+/", url)
        secret = {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{root[0] if root else url}.extraheader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {pair}",
        }
    git = ["git", "-c", "advice.detachedHead=false"]
    steps: list[tuple[list[str], dict[str, str]]] = [
        ([*git, "init", "--quiet"], environment),
        (
            [*git, "fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--", url, work.sha],
            environment | secret,
        ),
        ([*git, "checkout", "--quiet", "--detach", work.sha, "--"], environment),
    ]
    for argv, given_to_it in steps:
        code = Supervised(argv, place, given_to_it, folder).follow(reporter, seconds=GIT_TIMEOUT)
        if code != 0:
            raise Fault(f"The commit can't be checked out: git {argv[3]} {how_it_ended(code)}")
