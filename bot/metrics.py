"""What is counted, for `GET /metrics`. One registry for each bot, so that two in one process don't mix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Budget(Protocol):
    """What is left of a limit, and until when."""

    @property
    def limit(self) -> int: ...
    @property
    def remaining(self) -> int: ...
    @property
    def reset(self) -> datetime: ...


class Metrics:
    """The bot's counters. Thread-safe, as prometheus-client is."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.received = Counter(
            "shipbot_received_total",
            "Requests taken in, by where they came from and how they were answered",
            ["source", "answer"],
            registry=self.registry,
        )
        self.jobs = Counter(
            "shipbot_jobs_total",
            "Jobs worked on, by kind and outcome",
            ["kind", "outcome"],
            registry=self.registry,
        )
        self.job_seconds = Histogram(
            "shipbot_job_seconds", "Time a job took its worker", ["kind"], registry=self.registry
        )
        self.waiting = Gauge(
            "shipbot_jobs_waiting",
            "Jobs that are not done, by kind and state",
            ["kind", "state"],
            registry=self.registry,
        )
        self.calls = Counter(
            "shipbot_calls_total",
            "Calls made, by service and outcome",
            ["service", "outcome"],
            registry=self.registry,
        )
        self.call_seconds = Histogram("shipbot_call_seconds", "Time a call took", ["service"], registry=self.registry)
        # By account, a name such as `token` or `installation 7`, and by resource: https://docs.github.com/en/rest/rate-limit
        self.github = [
            Gauge(f"shipbot_github_{name}", what, ["account", "resource"], registry=self.registry)
            for name, what in (
                ("limit", "Requests that GitHub allows in an hour"),
                ("remaining", "Requests that are left of them"),
                ("reset_seconds", "When there are as many again, in seconds since 1970"),
            )
        ]
        self.github_held = Counter(
            "shipbot_github_held_total",
            "Requests to GitHub put off unsent, by what kept them: limit, reserve or pace",
            ["why"],
            registry=self.registry,
        )
        self.rooms_closed = Gauge(
            "shipbot_rooms_closed", "Rooms that Slack does not let the bot write to", registry=self.registry
        )
        self.deploys = Counter(
            "shipbot_deploys_total",
            "Deploys that reached a state, by app, environment and state",
            ["app", "environment", "state"],
            registry=self.registry,
        )

    def observer(self, service: str) -> Callable[[str, float], None]:
        """What a client tells of each of its calls: the outcome and the seconds."""

        def observe(outcome: str, seconds: float) -> None:
            self.calls.labels(service, outcome).inc()
            self.call_seconds.labels(service).observe(seconds)

        return observe

    def held(self, why: str) -> None:
        """A request to GitHub is put off: because of a `limit`, for the `reserve`, or as a write by its `pace`."""
        self.github_held.labels(why).inc()

    def text(
        self, waiting: dict[tuple[str, str], int], rooms_closed: int, budgets: Mapping[tuple[str, str], Budget]
    ) -> bytes:
        """Everything in Prometheus' text format.

        `waiting` counts the jobs by (kind, state), `rooms_closed` the rooms that take no messages; `budgets` are
        GitHub's primary limits by (account, resource).
        """
        self.rooms_closed.set(rooms_closed)
        self.waiting.clear()
        for (kind, state), number in waiting.items():
            self.waiting.labels(kind, state).set(number)
        for gauge in self.github:
            gauge.clear()
        for (account, resource), budget in budgets.items():
            values = (budget.limit, budget.remaining, budget.reset.timestamp())
            for gauge, value in zip(self.github, values, strict=True):
                gauge.labels(account, resource).set(value)
        return generate_latest(self.registry)
