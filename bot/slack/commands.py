"""What each command does. Words are answered by views; what a command does is a verb's."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import structlog

from bot.deploys.clock import Clock
from bot.deploys.errors import LookupFailed, UnknownEnvironment, UnknownTime
from bot.deploys.model import Wanted
from bot.deploys.times import parse_duration, parse_time
from bot.reader import STATS_DAYS, Reader
from bot.service import Service
from bot.slack.answers import Answers
from bot.slack.client import SlackClient
from bot.slack.grammar import Command
from bot.slack.said import Said
from bot.slack.views import holds, replies, schedules, stats
from bot.slack.views import subscriptions as views
from bot.slack.views.text import Links, Message

# What only tells, and can be done however late.
READING = frozenset("apps check diff help history locks schedules stats status where whoami".split())


class Commands:
    """Does what a command says. Raises the person's errors, and TryLater."""

    def __init__(
        self, service: Service, reader: Reader, slack: SlackClient, answers: Answers, links: Links, clock: Clock
    ) -> None:
        self._service = service
        self._reader = reader
        self._slack = slack
        self._answers = answers
        self._links = links
        self._clock = clock

    def obey(self, command: Command, said: Said) -> Message | None:
        """Does what was asked; returns the answer to the person alone, None where a card or the room has it."""
        match command.name:
            case "deploy":
                return self._deploy(command, said)
            case "check":
                self._service.config.check_room(self._service.config.target(command.target)[0], said.room)
                asked = self._service.foresee(_wanted(command), self._answers.named(said.asker), room=said.room)
                return replies.foreseen(asked, self._links)
            case "approve":
                self._service.approve(command.number, self._answers.named(said.asker), source=said.source)
                return holds.voted(command.number, approves=True)
            case "reject":
                self._service.reject(
                    command.number, self._answers.named(said.asker), command.reason, source=said.source
                )
                return holds.voted(command.number, approves=False)
            case "cancel":
                self._service.cancel(command.number, self._answers.named(said.asker), source=said.source)
                return holds.cancelled(command.number)
            case "unschedule":
                self._service.unschedule(command.number, self._answers.named(said.asker), source=said.source)
                return schedules.unscheduled(command.number)
            case "retry" | "rollback" | "promote":
                self._again(command, said)
                return None
            case "lock" | "unlock" | "freeze" | "unfreeze":
                return self._hold(command, said)
            case "subscribe" | "unsubscribe":
                self._subscribe(command, said)
                return None
            case "login":
                return holds.login(self._service.login(said.asker))
            case "logout":
                known = self._service.config.users.get(said.asker.id, "")
                return holds.logged_out(self._service.logout(said.asker, source=said.source), known)
            case "whoami":
                return holds.whoami(self._service.whoami(said.asker))
            case _:
                return self._read(command, said)

    def _read(self, command: Command, said: Said) -> Message:
        """The commands that only tell."""
        now = self._clock.now()
        place = command.environment or None
        match command.name:
            case "apps":
                here, subscribed = self._reader.apps(said.room), self._reader.subscriptions(said.room)
                return replies.apps(here, self._links, subscribed, self._reader.repository_configs())
            case "where":
                places = self._reader.where(command.target, said.room)
                return replies.where(places, self._links, self._reader.previews(command.target))
            case "status":
                places = self._reader.status(command.target, place, said.room)
                up = self._reader.previews(command.target) if command.target and not place else ()
                return replies.status(places, self._links, now, up)
            case "history":
                if number := re.fullmatch(r"#(\d{1,18})", command.target):
                    return replies.audit(self._reader.audit(int(number[1]), said.room), self._links)
                return replies.history(self._reader.history(command.target, place, said.room), self._links, now)
            case "diff":
                return replies.diff(self._reader.diff(command.target, place, said.room), self._links)
            case "stats":
                return stats.stats(self._reader.stats(command.target, said.room), STATS_DAYS)
            case "schedules":
                return schedules.listed(*self._reader.schedules(said.room), self._links)
            case "locks":
                return holds.listed_holds(self._reader.locks(), self._reader.freezes(), now)
            case _:
                return replies.help_topic(command.topic) if command.topic else replies.help_overview()

    def _deploy(self, command: Command, said: Said) -> Message | None:
        """The card is the answer; when it goes later, that is said in the person's own time too."""
        command = self._placed(command)
        due_at, zone = self._due(command, said)
        deploy = self._service.request(
            replace(_wanted(command), due_at=due_at),
            self._answers.named(said.asker),
            room=said.room,
            source=said.source,
            message_id=said.message_id,
            thread_id=said.thread_id,
        )
        structlog.contextvars.bind_contextvars(deploy=deploy.number)
        return schedules.goes_at(deploy, zone) if deploy.scheduled else None

    def _placed(self, command: Command) -> Command:
        """`in 1d` is an environment where the app has one that is called so."""
        if command.duration and not command.environment:
            app, _, _ = self._service.config.target(command.target)
            try:
                place, _ = self._service.config.environment(app, command.duration)
            except UnknownEnvironment:
                return command
            return replace(command, environment=place, duration="")
        return command

    def _due(self, command: Command, said: Said) -> tuple[datetime | None, ZoneInfo]:
        """When a deploy is to go, None for now; and the zone that the person is in."""
        if command.at:
            zone = self._zone(said)
            return self._time(command.at, said, zone), zone
        if command.duration:
            try:
                zone = self._zone(said)
            except LookupFailed:  # nothing hangs on it but the words
                zone = ZoneInfo("UTC")
            return (said.at or self._clock.now()) + parse_duration(command.duration), zone
        return None, ZoneInfo("UTC")

    def _again(self, command: Command, said: Said) -> None:
        """Deploys that another one leads to; the card is the answer."""
        asker = self._answers.named(said.asker)
        where = {"room": said.room, "source": said.source}
        match command.name:
            case "retry":
                self._service.retry(command.number, asker, **where)
            case "rollback":
                place = command.environment or None
                self._service.rollback(command.target, place, command.ref, asker, reason=command.reason, **where)
            case _:
                self._service.promote(command.target, command.origin, command.environment, asker, **where)

    def _hold(self, command: Command, said: Said) -> Message | None:
        """Locks and freezes concern everyone in the room, so they are said aloud."""
        asker = self._answers.named(said.asker)
        if command.name == "unlock" and command.everything:
            return holds.unlocked_mine(self._service.unlock_mine(asker, source=said.source))
        scope = self._service.scope(command.target, command.environment, either=command.either)
        match command.name:
            case "lock":
                taken = self._service.lock(
                    scope,
                    asker,
                    room=said.room,
                    source=said.source,
                    reason=command.reason,
                    length=parse_duration(command.duration) if command.duration else None,
                    steal=command.force,
                )
                self._answers.aloud(said, holds.locked(taken))
            case "unlock":
                ended = self._service.unlock(scope, asker, room=said.room, source=said.source)
                self._answers.aloud(said, holds.unlocked(ended, asker))
            case "freeze":
                until = self._time(command.until, said, self._zone(said)) if command.until else None
                made = self._service.freeze(
                    scope, asker, room=said.room, source=said.source, reason=command.reason, until=until
                )
                self._answers.aloud(said, holds.frozen(made))
            case _:
                thawed = self._service.unfreeze(scope, asker, room=said.room, source=said.source)
                self._answers.aloud(said, holds.unfrozen(thawed, asker))
        return None

    def _subscribe(self, command: Command, said: Said) -> None:
        """What the room hears of is said aloud, so that everyone there knows."""
        asker = self._answers.named(said.asker)
        place = command.environment or None
        if command.name == "subscribe":
            made = self._service.subscribe(command.target, place, command.states, asker, room=said.room)
            unheard = views.subscribed(made, asker, unheard=True)
            self._answers.aloud(said, views.subscribed(made, asker), otherwise=unheard)
        else:
            ended = self._service.unsubscribe(command.target, place, asker, room=said.room, source=said.source)
            self._answers.aloud(said, views.unsubscribed(ended, asker))

    def _zone(self, said: Said) -> ZoneInfo:
        return ZoneInfo(self._slack.time_zone(said.asker.id))

    def _time(self, text: str, said: Said, zone: ZoneInfo) -> datetime:
        """A moment as the person meant it when they said so, in their own time zone."""
        try:
            return parse_time(text, said.at or self._clock.now(), zone)
        except ValueError as error:
            raise UnknownTime(text, str(error)) from None


def _wanted(command: Command) -> Wanted:
    return Wanted(
        target=command.target,
        environment=command.environment or None,
        hosts=command.hosts,
        task=command.task or "deploy",
        force=command.force,
        reason=command.reason,
    )
