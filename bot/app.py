"""The one place that builds things and puts them together."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from bot import structs
from bot.callbacks import PATH as CALLBACKS
from bot.callbacks import Callbacks
from bot.deploys import states
from bot.deploys.clock import Clock, SystemClock
from bot.deploys.config import Config
from bot.deploys.events import ChecksChanged
from bot.github.asking import app_tokens, given_token
from bot.github.client import GitHubClient
from bot.github.limits import Limits, giving_way
from bot.github.objects import Malformed
from bot.github.payloads import EVENTS, parse_webhook
from bot.github.webhooks import KIND, PATH, Webhooks
from bot.metrics import CONTENT_TYPE, Metrics
from bot.pages.log import PREFIX, LogPages
from bot.reader import Reader
from bot.runner import Runner
from bot.scheduler import Scheduler
from bot.service import Service
from bot.service.configured import Configured
from bot.service.core import (
    ANSWER,
    BRANCH,
    CARD,
    CHANGE,
    CREATE,
    DECIDE,
    DELIVERIES,
    FILE,
    GONE,
    HEAD,
    LOCK_TIMER,
    LOOK,
    PAST,
    PREVIEW,
    PROMOTE,
    REVIEW,
    SCHEDULE_TIMER,
    STOP,
    TELL,
    WATCH,
)
from bot.service.linking import LOGIN
from bot.settings import Settings, variables
from bot.slack.answers import Answers
from bot.slack.clicks import Clicks
from bot.slack.client import SlackClient
from bot.slack.commands import Commands
from bot.slack.conversation import Conversation
from bot.slack.home import OPENED, Home
from bot.slack.listeners import CLICK, COMMAND, EVENT, VIEW, SlackEvents, SocketMode, build_app
from bot.slack.modal import Modal
from bot.slack.outbox import Outbox
from bot.slack.reviews import Reviews
from bot.slack.said import Said
from bot.slack.sender import Sender
from bot.slack.strangers import Strangers
from bot.slack.views.text import Links
from bot.store import jobs, logs, paces, retention, rooms, runs, sends
from bot.store.engine import Store
from bot.store.intake import Intake
from bot.store.jobs import Job
from bot.store.retention import Pruner
from bot.web import App, Gone, Receive, Scope, Send, answer
from bot.worker import Handler, Workers

if TYPE_CHECKING:
    from bot.store.wire import Wire

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

WORKERS = 4
REPORTING = 1.0  # seconds of those below
STOP_WITHIN = 6.0  # seconds for what was received and what is claimed; the whole stop must fit ten


class Bot:
    """The running bot: an ASGI application with its workers and its scheduler.

    `store` is migrated and stays the caller's to close.
    """

    def __init__(self, settings: Settings, config: Config, store: Store, clock: Clock | None = None) -> None:
        structs.work_out()
        self.store = store
        self.clock = clock or SystemClock()
        self.metrics = Metrics()
        self.github = github_client(settings, self.clock, self.metrics)
        self.slack = slack_client(settings, self.clock, self.metrics)
        links = Links(web_url(settings.github_api_url))
        self._configured = Configured(store, config)
        self.service = Service(store, self.github, self.slack, self._configured, self.clock, self._count_state)
        self.service.public_url = settings.public_url or ""
        self.runner = Runner(
            store,
            self.clock,
            self._configured,
            self.github.repository,
            variables,
            settings.public_url or "",
            seal=settings.github_webhook_secret.get_secret_value(),
        )
        self._callbacks = Callbacks(store, self.clock, self.runner.heard, self._counter("callbacks"))
        reader = Reader(store, self.github, self._configured, self.clock)
        sender = Sender(store, self.slack, self.clock, config.slack)
        answers = Answers(self.slack, sender)
        commands = Commands(self.service, reader, self.slack, answers, links, self.clock)
        self._form = Modal(self.service, reader, self.slack, answers, links, self.clock)
        self._clicks = Clicks(self.service, reader, answers, links, self.clock, self._in_view)
        self._home = Home(self.service, reader, self.slack, answers, links, self.clock, self._form, self._clicks.act)
        self._conversation = Conversation(self.service, commands, answers, self.clock, self._form)
        self._strangers = Strangers(self.slack, answers, self._configured)
        self._outbox = Outbox(store, self.slack, sender, links, self.clock, self.service.onward)
        self._reviews = Reviews(store, sender, links)
        self._intake = Intake(store, self.clock)
        self.workers = Workers(
            store,
            self.clock,
            self.metrics,
            self._handlers(),
            self._apologise,
            self._intake.pressed,
            self.service.died,
        )
        self._wire: Wire | None = None  # to the other replicas
        self._pruner = Pruner()
        self._scheduler = Scheduler(store.bell.ring, self._sweep)
        bot_token = settings.slack_bot_token.get_secret_value()
        form = self._form
        bolt = build_app(self._intake, bot_token, taken_in=form.taken_in, suggest=form.suggest, faults=form.faults)
        secret = settings.github_webhook_secret.get_secret_value()
        self.webhooks = Webhooks(secret, self._intake, self._counter("github"))
        self._routes: dict[str, App] = {
            PATH: self.webhooks,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
        }
        self._logs = LogPages(store, self.clock, links.web)
        self._socket: SocketMode | None = None
        if settings.slack_app_token is not None:
            app_token = settings.slack_app_token.get_secret_value()
            self._socket = SocketMode(bolt, app_token, bot_token, settings.slack_api_url)
        elif settings.slack_signing_secret is not None:
            secret = settings.slack_signing_secret.get_secret_value()
            self._routes["/slack/events"] = SlackEvents(bolt, secret, self._counter("slack"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI (https://asgi.readthedocs.io)."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        path = scope["path"]
        route = self._routes.get(path)
        if path.startswith(CALLBACKS):
            route = self._callbacks
        elif path.startswith(PREFIX):
            route, path = self._logs, PREFIX  # what follows is a secret
        if route is None:
            await answer(send, 404, "there is nothing here")
            return
        try:
            await route(scope, receive, send)
        except Gone:
            log.info("hung_up", path=path)
        except Exception:  # what could not be stored is not acknowledged: the sender comes again
            log.exception("not_taken_in", path=path)
            await answer(send, 503, "can't be taken in right now")

    def hang_up(self) -> None:
        """The process is about to stop: ends the streams that would not end by themselves. For the event loop."""
        self._logs.hang_up()

    def start(self) -> None:
        """Sets the workers to work."""
        if not self.store.sqlite:
            from bot.store.wire import Wire  # here, since a process on SQLite need not hold PostgreSQL's driver

            self._wire = Wire(self.store, self.runner.hear_of)
            self._wire.start()
        self.service.start()
        self.workers.start(WORKERS)
        self.runner.start()
        self._scheduler.start()

    def stop(self) -> None:
        """Finishes what is claimed and stores what was received."""
        until = time.monotonic() + STOP_WITHIN
        self._scheduler.stop()
        self.runner.halt()
        self._intake.close(STOP_WITHIN)  # a database that does not answer keeps nobody from stopping
        self.runner.stop(
            max(0.0, until - REPORTING - time.monotonic())
        )  # the workers are still there to report what that ended
        self.workers.stop(max(REPORTING, until - time.monotonic()))
        if self._wire is not None:  # last, so that the others go on at once with what was put back
            self._wire.stop(REPORTING)

    def close(self) -> None:
        """For a bot that was never started: stores what was received."""
        self._intake.close()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await asyncio.to_thread(self.start)
        if self._socket is not None:
            self._socket.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if self._socket is not None:
            await self._socket.stop()
        await asyncio.to_thread(self.stop)
        await send({"type": "lifespan.shutdown.complete"})

    def _handlers(self) -> Mapping[str, Handler]:
        handlers: dict[str, Handler] = {
            COMMAND: self._conversation.command,
            EVENT: self._of_ours(self._event),
            CLICK: self._of_ours(self._clicks.click),
            VIEW: self._of_ours(self._form.submitted),
            TELL: self._conversation.tell,
            CARD: self._outbox.show,
            REVIEW: self._reviews.show,
            CREATE: self._about_deploy(self.service.create),
            PAST: self._past,
            FILE: lambda job: self.service.read_file(job.json()["app"]),
            LOGIN: self._login,
            LOCK_TIMER: lambda job: self.service.lock_due(job.json()["lock"]),
            SCHEDULE_TIMER: self._ring,
            DECIDE: self._about_deploy(self.service.decide),
            ANSWER: self._about_deploy(self.service.answer),
            WATCH: self._about_deploy(self.service.watch),
            PROMOTE: self._promote,
            BRANCH: lambda job: self.service.look_at_branch(job.json()["branch"]),
            LOOK: self._look,
            HEAD: lambda job: self.service.look_at_head(job.json()["branch"], job.json()["sha"]),
            DELIVERIES: lambda job: self.service.redeliver(job.json()["repository"]),
            STOP: self._about_deploy(self.service.stop),
            PREVIEW: lambda job: self.service.bring_about(job.json()["preview"]),
            GONE: self._about_deploy(self.service.put_away),
            runs.REPORT: lambda job: self.service.report(job.json()["run"]),
            CHANGE: self._about_deploy(self.service.describe_change),
        }
        handlers |= {KIND + event: self._webhook for event in EVENTS}
        return {kind: self._up_to_date(handler) for kind, handler in handlers.items()}

    def _up_to_date(self, handler: Handler) -> Handler:
        """Each job is done by the config as it holds when it begins; what nobody notices gives way at GitHub."""

        def handle(job: Job) -> None:
            self._configured.refresh()
            with giving_way() if job.priority == jobs.BACKGROUND else contextlib.nullcontext():
                handler(job)

        return handle

    def _of_ours(self, handler: Handler) -> Handler:
        """The handler of what people do, for those who are no strangers."""

        def handle(job: Job) -> None:
            if not self._strangers.turned_away(job):
                handler(job)

        return handle

    def _in_view(self, job: Job, said: Said, body: Mapping[str, Any]) -> bool:
        """Clicks in the form and on the home tab, before those on messages."""
        return self._form.clicked(job, said, body) or self._home.clicked(job, said, body)

    def _event(self, job: Job) -> None:
        if job.json()["event"]["type"] == OPENED:
            self._home.opened(job)
        else:
            self._conversation.event(job)

    def _about_deploy(self, verb: Callable[[int], None]) -> Handler:
        """The handler of a job that is a verb for one deploy."""

        def handle(job: Job) -> None:
            number = job.json()["deploy"]
            structlog.contextvars.bind_contextvars(deploy=number)
            verb(number)

        return handle

    def _look(self, job: Job) -> None:
        data = job.json()
        structlog.contextvars.bind_contextvars(deploy=data["deploy"])
        self.service.look(data["deploy"], data["etag"])

    def _promote(self, job: Job) -> None:
        data = job.json()
        self.service.carry_on(data["deploy"], data["environment"])

    def _ring(self, job: Job) -> None:
        data = job.json()
        self.service.ring(data["schedule"], datetime.fromisoformat(data["at"]))

    def _login(self, job: Job) -> None:
        data = job.json()
        self.service.login_due(data["user"], data["handle"], timedelta(seconds=data["every"]))

    def _past(self, job: Job) -> None:
        self.service.read_past(job.json()["repository"])

    def _webhook(self, job: Job) -> None:
        try:
            event = parse_webhook(job.kind.removeprefix(KIND), job.payload)
        except Malformed as error:
            log.warning("webhook_malformed", places=str(error))
            return
        deploy = self.service.on_event(event)
        if isinstance(event, ChecksChanged):
            self.runner.poke(event.repository, event.sha)
        if deploy is not None:
            structlog.contextvars.bind_contextvars(deploy=deploy.number)
        log.info("webhook", known=deploy is not None)

    def _apologise(self, job: Job, reference: str) -> None:
        if job.kind in (COMMAND, EVENT, CLICK, VIEW):
            self._conversation.apologise(job, reference)
        elif job.kind in (CREATE, ANSWER):
            deploy = self.service.lose(job.json()["deploy"])
            self._conversation.apologise_for(deploy, reference)
        elif job.kind == DECIDE and (waiting := self.service.deploy(job.json()["deploy"])) is not None:
            self._conversation.apologise_for(waiting, reference)

    def _sweep(self) -> None:
        self.workers.renew()
        self._configured.refresh()  # for the forms, which are suggested from it without a job
        self.runner.renew()
        with self.store.write() as connection:
            jobs.release_expired(connection, self.clock.now())
            runs.release_expired(connection, self.clock.now())
        self.service.wind()
        self._forget()

    def _forget(self) -> None:
        """Deletes some of what need not be kept any more: little at a time, so that nobody waits for it."""
        now, keep = self.clock.now(), self._configured.config.retention
        with self.store.write() as connection:
            jobs.forget(connection, now - keep.inbox)
            logs.purge(connection, now - keep.logs)
            sends.forget(connection, now - keep.inbox)
            paces.forget(connection, now)
            rooms.forget(connection, now)
        if keep.timeline is None:
            return
        with self.store.read() as connection:
            over = self._pruner.next(connection, now - keep.timeline)
        if over:
            with self.store.write() as connection:
                retention.prune(connection, over)

    def _count_state(self, app: str, environment: str, state: str) -> None:
        # Others may report any state on any environment, and each pair of labels is kept for ever.
        configured = self.service.config.apps.get(app)
        known = environment if configured and environment in configured.environments else "other"
        if configured and configured.pull(environment) is not None:
            known = "preview"
        self.metrics.deploys.labels(app, known, state if states.is_known(state) else "other").inc()

    def _counter(self, source: str) -> Callable[[str], None]:
        answers: dict[str, Any] = {}  # finding a label's counter costs more than counting

        def count(status: str) -> None:
            counter = answers.get(status) or answers.setdefault(status, self.metrics.received.labels(source, status))
            counter.inc()

        return count

    async def _healthz(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await answer(send, 200, "ok")

    async def _readyz(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        if not (self.workers.running and self.runner.running):
            await answer(send, 503, "the workers are not running")
        elif not await asyncio.to_thread(self.store.ready):
            await answer(send, 503, "the database does not answer")
        else:
            await answer(send, 200, "ok")

    async def _metrics(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        body = await asyncio.to_thread(self._metrics_text)
        headers = [(b"content-type", CONTENT_TYPE.encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _metrics_text(self) -> bytes:
        with self.store.read() as connection:
            waiting, closed = jobs.counts(connection), len(rooms.closed(connection))
        return self.metrics.text(waiting, closed, self.github.limits.known())


def github_client(settings: Settings, clock: Clock, metrics: Metrics | None = None) -> GitHubClient:
    """The client that the settings ask for: with a token, or as a GitHub App."""
    limits = Limits(metrics.held if metrics else None, paced=is_githubs_own(settings.github_api_url))
    if settings.github_app_id is not None:
        tokens = app_tokens(settings.github_app_id, settings.github_app_pem, settings.github_api_url, clock, limits)
    else:
        assert settings.github_token is not None
        tokens = given_token(settings.github_token.get_secret_value(), limits)
    return GitHubClient(
        settings.github_api_url,
        tokens,
        clock,
        metrics.observer("github") if metrics else None,
        web_url=web_url(settings.github_api_url),
        seal=settings.github_webhook_secret.get_secret_value(),
    )


def slack_client(settings: Settings, clock: Clock, metrics: Metrics | None = None) -> SlackClient:
    """The Web API client that the settings ask for."""
    token = settings.slack_bot_token.get_secret_value()
    return SlackClient(settings.slack_api_url, token, clock, metrics.observer("slack") if metrics else None)


def is_githubs_own(api_url: str) -> bool:
    """Whether it is GitHub that serves it, and not somebody's Enterprise Server."""
    host = urlsplit(api_url).hostname or ""
    return host == "api.github.com" or host.endswith(".ghe.com")


def web_url(api_url: str) -> str:
    """GitHub's root for people, from its API's: github.com, or an Enterprise Server's own."""
    if api_url == "https://api.github.com":
        return "https://github.com"
    return api_url.removesuffix("/api/v3")
