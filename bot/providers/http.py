"""The provider `http`: tells a receiver of the deployment by a signed POST, and hears from it how it goes.

What is sent and what may be answered is written down in docs/providers.md.
"""

from __future__ import annotations

import hmac
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import msgspec
from pydantic import Field, StrictBool, field_validator, model_validator

from bot.providers.base import (
    Callback,
    Fault,
    Outcome,
    ProviderConfig,
    Reporter,
    Stopped,
    Told,
    Trial,
    Variable,
    Work,
    failure,
    success,
)
from bot.providers.base import error as failed
from bot.providers.command import VARIABLE
from bot.providers.reaching import Answered, Exchange, Forbidden, NotTrusted, Target, Unreached, resolved, target
from bot.providers.told import NotAReport, read_told

LARGEST = 65_536  # bytes that are read of an answer
SHOWN = 2000  # characters of it in the log
ANSWER_WITHIN = 60.0  # seconds for a whole exchange, however slowly it goes
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds between two tries
LOOK = 0.2  # seconds between looks whether it must end
POLL = 5.0  # seconds between looks for what was reported, where nothing rings
AGAIN = frozenset({408, 425, 429})  # refusals that pass


class Settings(ProviderConfig):
    """The keys of `provider: {type: http, …}`."""

    type: Literal["http"]
    url: str = Field(max_length=2000, description="where the deployment is posted to")
    secret_env: str = Field(description="the environment variable that holds the secret it is signed with")
    allow_private: StrictBool = Field(
        False, description="let the address be a loopback or private one, and the URL begin with http://"
    )

    @field_validator("secret_env")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not VARIABLE.fullmatch(value):
            raise ValueError("must be the name of an environment variable, not the secret itself")
        return value

    @model_validator(mode="after")
    def _is_an_address(self) -> Settings:
        try:
            self.target()
        except ValueError as error:
            raise ValueError(f"url {error}") from None
        return self

    def target(self) -> Target:
        """Where to send."""
        return target(self.url, allow_private=self.allow_private)


class Http:
    """See the README's “Tell a receiver of your own”."""

    name = "http"
    config = Settings

    def variables(self, config: Settings) -> Sequence[Variable]:
        return [Variable(config.secret_env)]

    def may_run_again(self, config: Settings, remembered: Mapping[str, Any]) -> bool:
        return True  # the same delivery id says so, and the receiver minds it

    def run(self, config: Settings, work: Work, reporter: Reporter) -> Outcome:
        delivery = work.remembered.get("delivery") or str(uuid.uuid4())
        callback = reporter.callback()
        if not work.remembered.get("taken"):
            reporter.remember({"delivery": delivery})
            ended = _Sending(config, work, reporter, delivery, callback).send()
            if ended is not None:
                return ended
            reporter.remember({"delivery": delivery, "taken": True})
        if callback is None:
            return success(f"{config.target().shown} took it")
        return _heard(reporter)

    def wind_up(self, config: Settings, work: Work, reporter: Reporter) -> None:
        """The receiver hears of it by its next report."""

    def prove(self, config: Settings, trial: Trial) -> str:
        """Nothing is sent: a receiver would take it for a deployment."""
        place = config.target()
        try:
            resolved(place, allow_private=config.allow_private)
        except (Forbidden, Unreached) as error:
            raise Fault(str(error)) from None
        return f"{place.shown} leads to an address that may be sent to"


PROVIDER = Http()


def body_of(work: Work, delivery: str, callback: Callback | None, attempt: int, now: datetime) -> bytes:
    """What is posted: the deployment as JSON. Of one delivery only `attempt` and `sent_at` change."""
    return msgspec.json.encode(
        {
            "event": "deployment",
            "delivery": delivery,
            "attempt": attempt,  # since the work was begun, or taken up again
            "sent_at": now.isoformat(timespec="seconds"),
            "app": work.app,
            "environment": work.environment,
            "repository": work.repository,
            "ref": work.ref,
            "sha": work.sha,
            "task": work.task,
            "hosts": work.hosts,
            "user": work.user,
            "deployment_id": work.deployment_id,
            "number": work.number,
            "payload": work.payload,
            "callback": {"url": callback.url, "token": callback.token} if callback is not None else None,
        }
    )


def signature(secret: str, body: bytes) -> str:
    """What stands in X-Shipbot-Signature-256."""
    return f"sha256={hmac.digest(secret.encode(), body, 'sha256').hex()}"


class _Sending:
    """Posts until it is taken, refused, or too late."""

    def __init__(
        self, config: Settings, work: Work, reporter: Reporter, delivery: str, callback: Callback | None
    ) -> None:
        self._config = config
        self._place = config.target()
        self._work = work
        self._reporter = reporter
        self._delivery = delivery
        self._callback = callback

    def send(self) -> Outcome | None:
        """How it ended; None when it was taken and goes on. Raises Fault when it can't be sent there."""
        attempt, wait = 0, FIRST_WAIT
        self._reporter.in_progress(f"Telling {self._place.shown}")
        while True:
            attempt += 1
            answered, again = None, None
            try:
                answered = self._exchange(attempt)
            except Forbidden as error:
                raise Fault(f"{error}") from None
            except NotTrusted as error:
                raise Fault(f"{self._place.shown} can't prove who it is: {error}") from None
            except Unreached as error:
                problem = f"{self._place.shown}: {error}"
            else:
                self._show(answered)
                if 200 <= answered.status < 300:
                    return self._taken(answered)
                problem = f"{self._place.shown} answered HTTP {answered.status}"
                again = _retry_after(answered, _now(self._reporter))
            if self._ended_meanwhile() is not None:
                return None
            if answered is not None and answered.status < 500 and answered.status not in AGAIN:
                return self._refused(answered)
            pause = wait if again is None else max(again, 0.0)
            self._reporter.write(f"{problem}; next try in {pause:.0f} s\n")
            if pause >= self._reporter.seconds_left():
                return failed(f"{problem}, and the time is up after {_times(attempt)}")
            self._reporter.in_progress(f"{problem}; trying again")
            self._rest(pause)
            wait = min(wait * 2, LONGEST_WAIT)

    def _exchange(self, attempt: int) -> Answered:
        body = body_of(self._work, self._delivery, self._callback, attempt, _now(self._reporter))
        secret = self._work.variables[self._config.secret_env]
        self._reporter.write(f"POST to {self._place.shown}, delivery {self._delivery}, try {attempt}\n")
        exchange = Exchange(
            self._place,
            body,
            {
                "Content-Type": "application/json",
                "User-Agent": "shipbot",
                "X-Shipbot-Event": "deployment",
                "X-Shipbot-Delivery": self._delivery,
                "X-Shipbot-Signature-256": signature(secret, body),
            },
            allow_private=self._config.allow_private,
            largest=LARGEST,
        )
        until = time.monotonic() + ANSWER_WITHIN
        try:
            while not exchange.done(LOOK):
                self._reporter.check()
                if time.monotonic() >= until:
                    exchange.give_up()
                    raise Unreached(f"no whole answer within {ANSWER_WITHIN:.0f} s")
        except Stopped:
            exchange.give_up()
            raise
        return exchange.result()

    def _show(self, answered: Answered) -> None:
        text = answered.body.decode("utf-8", "replace")
        more = "" if answered.whole and len(text) <= SHOWN else "\n[… the rest is left out …]"
        self._reporter.write(f"HTTP {answered.status}\n{text[:SHOWN].rstrip()}{more}".rstrip() + "\n")

    def _taken(self, answered: Answered) -> Outcome | None:
        self._reporter.in_progress(f"{self._place.shown} took it")
        try:
            told = read_told(answered.body)
        except NotAReport:
            return None  # it says what it likes
        return _passed_on(told, self._reporter)

    def _refused(self, answered: Answered) -> Outcome:
        shown = self._place.shown
        if answered.status < 400:
            return failed(f"{shown} redirects (HTTP {answered.status}), which is not followed: put its real url there")
        words = _words(answered)
        return failure(f"{shown} refused it (HTTP {answered.status}){': ' + words if words else ''}")

    def _ended_meanwhile(self) -> Told | None:
        """The end that was reported by the callback although the POST got no good answer."""
        told = self._reporter.told()
        return told if told is not None and told.state != "in_progress" else None

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._reporter.wait(left)
            if self._ended_meanwhile() is not None:
                return


def _heard(reporter: Reporter) -> Outcome:
    """What is reported by the callback, until the end."""
    known = None
    while True:
        told = reporter.told()
        if told is not None and told != known:
            known = told
            ended = _passed_on(told, reporter)
            if ended is not None:
                return ended
        try:
            reporter.wait(POLL)
        except Stopped:
            told = reporter.told()
            ended = _passed_on(told, reporter) if told is not None and told.state != "in_progress" else None
            if ended is not None:
                return ended  # it was acknowledged just before
            raise


def _passed_on(told: Told, reporter: Reporter) -> Outcome | None:
    """Reports it; the outcome when it is an end."""
    if told.log_url:
        reporter.log_url(told.log_url)
    if told.environment_url:
        reporter.environment_url(told.environment_url)
    reporter.write(f"{told.state}: {told.description}".rstrip(": ") + "\n")
    if told.state == "in_progress":
        reporter.in_progress(told.description)
        return None
    return Outcome(told.state, told.description)


def _words(answered: Answered) -> str:
    """Why it was refused: what JSON calls so, else the first line of a text; no markup."""
    text = answered.body.decode("utf-8", "replace").strip()
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        line = text.partition("\n")[0]
        return "" if line.startswith("<") else "".join(letter for letter in line if letter.isprintable())
    if isinstance(read, dict):
        found = next((read[key] for key in ("description", "message", "error", "detail") if key in read), "")
        if isinstance(found, str):
            return "".join(letter for letter in found if letter.isprintable())
    return ""


def _now(reporter: Reporter) -> datetime:
    return reporter.deadline - timedelta(seconds=reporter.seconds_left())


def _retry_after(answered: Answered, now: datetime) -> float | None:
    """The seconds that it asks to be left alone for: a number or a date."""
    value = answered.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()


def _times(number: int) -> str:
    return "1 try" if number == 1 else f"{number} tries"
