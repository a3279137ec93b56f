"""`python -m bot demo --tour`: two deploys from command to success, as a chat in the terminal.

What a deployer would report of the first, the tour reports; the second a provider of the bot carries out.
"""

from __future__ import annotations

import re
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from bot.playground.demo import say
from bot.playground.seed import FIRST_COMMAND, OPS, PEOPLE, REAL_COMMAND
from bot.playground.server import DESCRIPTIONS
from bot.playground.slack import Message
from bot.playground.stage import BotFailed, Stage

REPOSITORY = "acme/web"
RUN_HERE = "acme/docs"
PATIENCE = 15.0  # seconds that each step may take
QUIET = 0.8  # seconds without a change after which the story is told
PAUSE = 1.2  # seconds between two steps, for people who read along
EMOJI = {
    "large_green_circle": "🟢",
    "large_yellow_circle": "🟡",
    "large_orange_circle": "🟠",
    "large_blue_circle": "🔵",
    "red_circle": "🔴",
    "white_circle": "⚪",
    "white_check_mark": "✅",
    "hourglass": "⌛",
    "hourglass_flowing_sand": "⏳",
    "lock": "🔒",
    "x": "❌",
    "warning": "⚠️",
    "rocket": "🚀",
    "no_entry": "⛔",
}


class NoAnswer(Exception):
    """Something did not happen in time; the message says what."""


def run() -> int:
    """Plays the deploys and prints the room line by line as it happens.

    Returns the exit code: 0 when both went from the command to success, else 1, with what was missing.
    """
    try:
        with Stage() as stage:
            Tour(stage, pause=PAUSE if sys.stdout.isatty() else 0.0).play()
    except (BotFailed, NoAnswer) as error:
        say("", str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


class Tour:
    """Two deploys on a stage. `pause` is the time between its steps in seconds."""

    def __init__(self, stage: Stage, *, pause: float = 0.0) -> None:
        self._stage = stage
        self._pause = pause
        self._changed = threading.Event()
        self._names = {person.id: f"@{person.name}" for person in PEOPLE} | {stage.slack.bot_user_id: "shipbot"}
        self._shown = {message.ts: self._lines(message) for message in self._messages()}
        stage.slack.on_change.append(self._changed.set)
        stage.github.on_change.append(self._changed.set)

    def play(self) -> None:
        """Raises `NoAnswer` for what did not come, or `BotFailed` when the bot ends."""
        say("", "#ops", "")
        self._play_deployer()
        self._settle()
        time.sleep(self._pause)
        self._aside("The docs have no deployer: a program that the bot runs releases them")
        self._play_provider()
        self._settle()
        say("", "Those were two deploys. `python -m bot demo` opens the playground, where you do it yourself.")

    def _play_deployer(self) -> None:
        new = self._ask(FIRST_COMMAND, REPOSITORY)
        for state, when in (("in_progress", "The deployer starts"), ("success", "The deployer is done")):
            time.sleep(self._pause)
            card, replies = self._lines(self._cards()[0]), len(self._replies())
            self._aside(f"GitHub: {when} and reports “{state}”: {DESCRIPTIONS[state]}")
            self._report(new["id"], state)
            self._until(
                f"shown “{state}” on the card and in its thread",
                lambda card=card, replies=replies: (  # type: ignore[misc]
                    self._lines(self._cards()[0]) != card and len(self._replies()) > replies
                ),
            )

    def _play_provider(self) -> None:
        new = self._ask(REAL_COMMAND, RUN_HERE)
        replies = len(self._replies())
        status = self._until("reported that the docs are out", lambda: self._success(new["id"]))
        self._until("told the thread of it", lambda: len(self._replies()) > replies)
        self._settle()
        printed = self._log(status["log_url"])
        self._aside("Its log ends with: " + " · ".join(printed.splitlines()[-2:]))

    def _ask(self, command: str, repository: str) -> dict[str, Any]:
        """Ana types it; returns the deployment that follows, once its card is there."""
        before = {each["id"] for each in self._deployments(repository)}
        cards = len(self._cards())
        answer = self._stage.slack.say(PEOPLE[0].id, OPS, command)
        self._show()
        if not answer.ok:
            raise NoAnswer(f"The bot did not take the command (HTTP status {answer.status}).{self._why()}")
        new: dict[str, Any] = self._until(
            "created a deployment",
            lambda: [each for each in self._deployments(repository) if each["id"] not in before],
        )[0]
        self._until("posted a card", lambda: len(self._cards()) > cards)
        self._aside(f"GitHub: deployment {new['id']} of {new['sha'][:7]} to {new['environment']} was created")
        return new

    def _success(self, deployment: int) -> dict[str, Any] | None:
        statuses = self._stage.github.statuses(RUN_HERE, deployment)
        return next((status for status in statuses if status["state"] == "success"), None)

    def _log(self, url: str) -> str:
        """What stands at a run's log page, as text."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{url}.txt", timeout=PATIENCE) as answer:
                text: str = answer.read().decode()
        except (OSError, urllib.error.URLError) as error:
            raise NoAnswer(f"The log can't be read: {error}.{self._why()}") from error
        if not text.strip():
            raise NoAnswer(f"The log is empty.{self._why()}")
        return text

    def _report(self, deployment: int, state: str) -> None:
        url = self._stage.url
        self._stage.github.report(
            REPOSITORY,
            deployment,
            state,
            description=DESCRIPTIONS[state],
            log_url=f"{url}/playground/log/{REPOSITORY}/{deployment}",
            environment_url=f"{url}/playground/site/{REPOSITORY}/at/staging" if state == "success" else "",
        )

    def _until(self, what: str, true: Callable[[], Any]) -> Any:
        """Shows the room's changes until `true()` is, and returns that."""
        end = time.monotonic() + PATIENCE
        while True:
            self._changed.clear()
            result = true()
            self._show()
            if result:
                return result
            self._stage.check()
            if not self._changed.wait(min(0.5, max(0.0, end - time.monotonic()))) and time.monotonic() >= end:
                raise NoAnswer(f"After {PATIENCE:.0f} seconds the bot has not {what}.{self._why()}")

    def _settle(self) -> None:
        """Shows what still comes, until nothing has changed for a moment."""
        end = time.monotonic() + PATIENCE
        while self._changed.wait(QUIET) and time.monotonic() < end:
            self._changed.clear()
            self._show()

    def _why(self) -> str:
        return self._stage.last_words()

    def _deployments(self, repository: str) -> list[dict[str, Any]]:
        return self._stage.github.deployments(repository)

    def _messages(self) -> list[Message]:
        return self._stage.slack.messages(OPS, commands=True)

    def _cards(self) -> list[Message]:
        bot = self._stage.slack.bot_user_id
        return [each for each in self._messages() if each.user == bot and not each.is_reply and not each.ephemeral_for]

    def _replies(self) -> list[Message]:
        return [each for each in self._messages() if each.is_reply]

    def _show(self) -> None:
        """Prints what is new in the room, and messages that were edited, as they are now."""
        for message in self._messages():
            lines = self._lines(message)
            before = self._shown.get(message.ts)
            if lines == before:
                continue
            self._shown[message.ts] = lines
            name = self._names.get(message.user, "slackbot")
            lead = "  ↳ " if message.is_reply else ""
            mark = f" (only @{PEOPLE[0].name} sees)" if message.ephemeral_for else " (edits the card)" if before else ""
            first, *rest = lines
            say(f"{lead}{name}{mark}: {first}", *(f"{' ' * len(lead)}    {line}" for line in rest))

    def _lines(self, message: Message) -> list[str]:
        text = re.sub(
            r":([a-z0-9_]+):", lambda match: EMOJI.get(match[1], match[0]), self._stage.slack.text_of(message)
        )
        return text.splitlines() or [""]

    def _aside(self, text: str) -> None:
        say("", f"    · {text} ·", "")
