"""Jobs: stored once, claimed by one worker, never lost, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import msgspec
import pytest
import sqlalchemy as sa

from bot.deploys.errors import Paced, RateLimited, Unavailable
from bot.metrics import Metrics
from bot.store import jobs, records
from bot.store.engine import Store
from bot.store.jobs import Job, NewJob
from bot.store.schema import deploys
from bot.store.schema import jobs as table
from bot.worker import FAILURES, Workers, wait_before
from tests.world import START, FixedClock, World

NOW = START
LATER = jobs.LEASE + timedelta(seconds=1)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = Store(database_url)
    yield store
    store.close()


def add(store: Store, *new: NewJob) -> None:
    for job in new:
        with store.write() as connection:
            jobs.add(connection, job, NOW)


def claim(store: Store, worker: str = "one", after: timedelta = timedelta()) -> Job | None:
    with store.write() as connection:
        return jobs.claim(connection, worker, NOW + after)


def rows(store: Store, *columns: str) -> list[tuple[object, ...]]:
    with store.read() as connection:
        query = sa.select(*(table.c[name] for name in columns)).order_by(table.c.id)
        return [tuple(row) for row in connection.execute(query)]


# Claims and leases


def test_a_job_is_claimed_once(store: Store) -> None:
    add(store, NewJob("card", '{"deploy": 1}'))
    job = claim(store)
    assert job is not None
    assert (job.kind, job.json(), job.attempts, job.created_at) == ("card", {"deploy": 1}, 1, NOW)
    assert claim(store, "two") is None
    with store.write() as connection:
        jobs.finish(connection, job, NOW)
    assert rows(store, "state", "finished_at", "claimed_by", "lease_until") == [("done", NOW, None, None)]


def test_a_job_waits_for_its_time(store: Store) -> None:
    add(store, NewJob("card", run_at=NOW + timedelta(seconds=5)))
    assert claim(store) is None
    with store.read() as connection:
        assert not jobs.any_due(connection, NOW)
        assert jobs.any_due(connection, NOW + timedelta(seconds=5))
    assert claim(store, after=timedelta(seconds=5)) is not None


def test_people_first_then_rooms_then_the_rest_each_by_age(store: Store) -> None:
    new = [("d", jobs.BACKGROUND), ("b", jobs.NORMAL), ("a", jobs.FIRST), ("c", jobs.NORMAL)]
    add(store, *(NewJob(kind, priority=priority) for kind, priority in new))
    add(store, NewJob("aa", priority=jobs.FIRST, run_at=NOW - timedelta(seconds=1)))
    taken = [claim(store) for _ in range(5)]
    assert [job.kind for job in taken if job] == ["aa", "a", "b", "c", "d"]


def test_a_lease_that_ended_is_taken_over_and_the_late_worker_settles_nothing(store: Store) -> None:
    add(store, NewJob("card"))
    late = claim(store, "late")
    with store.write() as connection:
        assert jobs.release_expired(connection, NOW + jobs.LEASE) == 0
        assert jobs.release_expired(connection, NOW + LATER) == 1
    second = claim(store, "second", LATER)
    assert late is not None
    assert second is not None
    assert second.attempts == 2
    for settle in (jobs.finish, lambda *all: jobs.bury(*all, "why"), lambda *all: jobs.put_off(*all, "why")):
        with store.write() as connection:
            settle(connection, late, NOW)
        assert rows(store, "state", "claimed_by") == [("running", "second")]
    with store.write() as connection:
        jobs.finish(connection, second, NOW)
    assert rows(store, "state") == [("done",)]


def test_a_start_takes_up_what_an_end_left(store: Store) -> None:
    add(store, NewJob("card"), NewJob("card"), NewJob("card"))
    claim(store)
    claim(store, after=timedelta(seconds=30))
    with store.write() as connection:
        assert jobs.release_all(connection, NOW) == 2
        assert jobs.release_all(connection, NOW) == 0
    assert rows(store, "state") == [("ready",)] * 3
    assert max(rows(store, "run_at")) == (NOW + jobs.UNSETTLED,)


def test_a_restart_goes_on_where_the_last_bot_died(world: World) -> None:
    world.slack.command("U0ANA", "C0OPS", "web/topic to staging")
    assert claim(world.store, "the worker that dies") is not None
    world.restart()
    assert world.waiting() == ["slack.command"]
    world.clock.moment += LATER
    with world.store.write() as connection:
        jobs.release_expired(connection, world.clock.now())
    world.settle()
    assert "*web* to *staging*" in world.room()


def test_the_same_delivery_is_stored_once(store: Store) -> None:
    same = NewJob("github.ping", '{"zen": 1}', delivery="github:1")
    add(store, same, same)
    with store.write() as connection:
        jobs.add_received(connection, [same, same, NewJob("github.ping", delivery="github:2")], NOW)
    assert rows(store, "delivery") == [("github:1",), ("github:2",)]


# Subjects


def test_ten_wishes_are_one_job(store: Store) -> None:
    add(store, *[NewJob("card", subject="card:1")] * 10)
    assert rows(store, "subject", "state") == [("card:1", "ready")]


def test_the_soonest_time_and_the_highest_priority_count(store: Store) -> None:
    add(
        store,
        NewJob("card", subject="s", priority=jobs.NORMAL, run_at=NOW + timedelta(minutes=5)),
        NewJob("card", subject="s", priority=jobs.FIRST, run_at=NOW + timedelta(minutes=9)),
        NewJob("card", subject="s", priority=jobs.BACKGROUND, run_at=NOW + timedelta(minutes=1)),
    )
    assert rows(store, "priority", "run_at") == [(jobs.FIRST, NOW + timedelta(minutes=1))]


def test_one_runs_and_one_waits_for_it(store: Store) -> None:
    add(store, NewJob("card", subject="s"))
    running = claim(store)
    assert running is not None
    add(store, *[NewJob("card", subject="s")] * 5, NewJob("card", subject="other"))
    assert rows(store, "subject", "state") == [("s", "running"), ("s", "ready"), ("other", "ready")]
    other = claim(store)
    assert other is not None
    assert other.subject == "other"
    assert claim(store) is None
    with store.write() as connection:
        jobs.finish(connection, running, NOW)
    waited = claim(store)
    assert waited is not None
    assert waited.subject == "s"


def test_what_is_put_off_gives_way_to_a_newer_one(store: Store) -> None:
    add(store, NewJob("card", subject="s"))
    job = claim(store)
    assert job is not None
    add(store, NewJob("card", subject="s"))
    with store.write() as connection:
        jobs.put_off(connection, job, NOW + timedelta(minutes=1), "why")
    assert [(state, str(note)[:10]) for state, note in rows(store, "state", "note")] == [
        ("done", "taken over"),
        ("ready", "None"),
    ]


def test_a_worker_that_went_away_gives_way_too_and_the_others_are_released(store: Store) -> None:
    add(store, NewJob("card", subject="s"), NewJob("card"))
    claim(store)
    claim(store)
    add(store, NewJob("card", subject="s"))
    with store.write() as connection:
        assert jobs.release_expired(connection, NOW + LATER) == 2
    assert rows(store, "state") == [("done",), ("ready",), ("ready",)]


@pytest.mark.parametrize(
    ("patient", "priority", "comes"),
    [
        (False, jobs.NORMAL, timedelta()),
        (True, jobs.NORMAL, timedelta(minutes=1)),
        (True, jobs.BACKGROUND, timedelta(minutes=1)),
        (True, jobs.FIRST, timedelta()),
    ],
)
def test_one_that_is_patient_brings_none_forward_that_was_put_off(
    store: Store, patient: bool, priority: int, comes: timedelta
) -> None:
    """But for one that matters more."""
    new = NewJob("card", subject="card:1", patient=patient)
    add(store, msgspec.structs.replace(new, run_at=NOW + timedelta(seconds=5)), new)
    assert rows(store, "run_at") == [(NOW,)], "it was not put off"
    job = claim(store)
    assert job is not None
    with store.write() as connection:
        jobs.put_off(connection, job, NOW + timedelta(minutes=1), "why")
    add(store, msgspec.structs.replace(new, priority=priority))
    assert rows(store, "run_at") == [(NOW + comes,)]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer at a time
def test_one_that_is_added_while_it_is_put_off_is_waited_for(store: Store) -> None:
    """The twin is not committed yet when the other is put off: a look before the write would not see it."""
    add(store, NewJob("card", subject="s"))
    job = claim(store)
    assert job is not None

    def put_off() -> None:
        with store.write() as connection:
            jobs.put_off(connection, job, NOW + timedelta(minutes=1), "why")

    with store.write() as connection:
        jobs.add(connection, NewJob("card", subject="s"), NOW)
        thread = threading.Thread(target=put_off)
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
    thread.join(10)
    assert rows(store, "state") == [("done",), ("ready",)]


def test_never_two_of_a_subject_at_once_with_workers_and_wishes_racing(store: Store) -> None:
    guard = threading.Lock()
    at_work: dict[str, int] = {}
    worst: list[int] = []
    done: list[int] = []

    def work(name: str) -> None:
        for _ in range(400):
            try:
                job = claim(store, name)
            except sa.exc.IntegrityError:
                continue  # another worker claimed the same subject in the same moment
            if job is None:
                if stop.is_set():
                    return
                continue
            with guard:
                at_work[job.subject] = at_work.get(job.subject, 0) + 1
                worst.append(at_work[job.subject])
            with store.read() as connection:
                running = table.c.state == "running", table.c.subject == job.subject
                worst.append(connection.execute(sa.select(sa.func.count()).where(*running)).scalar_one())
            with guard:
                at_work[job.subject] -= 1
                done.append(job.id)
            with store.write() as connection:
                if job.attempts == 1 and job.id % 3 == 0:
                    jobs.put_off(connection, job, NOW, "again")
                else:
                    jobs.finish(connection, job, NOW)

    def wish(number: int) -> None:
        for turn in range(40):
            add(store, NewJob("card", subject=f"s{(turn + number) % 3}"))

    stop = threading.Event()
    with ThreadPoolExecutor(6) as pool:
        workers = [pool.submit(work, f"worker-{number}") for number in range(4)]
        wishes = [pool.submit(wish, number) for number in range(2)]
        for each in wishes:
            each.result()
        stop.set()
        for each in workers:
            each.result()
    assert max(worst) == 1
    while (left := claim(store)) is not None:
        with store.write() as connection:
            jobs.finish(connection, left, NOW)
    assert {state for (state,) in rows(store, "state")} == {"done"}


# Workers


class Shop:
    """Workers with one handler, told what to do by a test."""

    def __init__(self, store: Store, clock: FixedClock, handler: Callable[[Job], None]) -> None:
        self.store = store
        self.clock = clock
        self.told: list[tuple[str, str]] = []
        self.metrics = Metrics()
        self.workers = Workers(store, clock, self.metrics, {"card": handler}, self.apologise)

    def apologise(self, job: Job, reference: str) -> None:
        self.told.append((job.kind, reference))

    def settle(self) -> int:
        done = 0
        while self.workers.step():
            done += 1
        return done


def raising(error: Exception) -> Callable[[Job], None]:
    def handler(job: Job) -> None:
        raise error

    return handler


def test_a_ring_wakes_one_worker_and_its_find_the_next(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four that are all woken share the interpreter with the one that has something to do."""
    begin, looks, waits = threading.Event(), threading.Semaphore(0), threading.Semaphore(0)
    shop = Shop(store, FixedClock(), lambda job: begin.wait(20) and None)
    claim, wait = shop.workers._claim, store.bell.wait

    def counted(name: str) -> Job | None:
        looks.release()
        return claim(name)

    def waited(seen: int, seconds: float) -> None:
        waits.release()
        wait(seen, seconds)

    monkeypatch.setattr(shop.workers, "_claim", counted)
    monkeypatch.setattr(store.bell, "wait", waited)
    shop.workers.start(4)
    assert waits.acquire(timeout=20)
    add(store, NewJob("card"))
    assert waits.acquire(timeout=20)
    taken = [looks.acquire(blocking=False) for _ in range(4)]
    begin.set()
    shop.workers.stop(20)
    assert taken == [True, True, True, False], "the first found nothing, then something, and the second nothing"
    assert rows(store, "state") == [("done",)]


def test_waits_between_attempts() -> None:
    seconds = [wait_before(attempt).total_seconds() for attempt in (1, 2, 3, 4, 5, 6, 7, 8, 100, 10**9)]
    assert seconds == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_what_breaks_is_tried_five_times_then_kept_and_owned_up_to(store: Store) -> None:
    shop = Shop(store, FixedClock(), raising(ValueError("no such thing")))
    add(store, NewJob("card"))
    for _ in range(FAILURES):
        assert shop.settle() == 1
        shop.clock.moment += timedelta(minutes=1)
    assert shop.settle() == 0
    assert rows(store, "state", "attempts", "note") == [("dead", 5, "ValueError: no such thing")]
    assert shop.told == [("card", "J1")]
    assert shop.metrics.registry.get_sample_value("shipbot_jobs_total", {"kind": "card", "outcome": "dead"}) == 1


def test_what_nobody_does_is_kept_too(store: Store) -> None:
    shop = Shop(store, FixedClock(), raising(ValueError()))
    add(store, NewJob("unheard of"))
    for _ in range(9):  # as long as a newer replica may be beside it, it waits for that
        shop.settle()
        shop.clock.moment += timedelta(minutes=1)
    assert rows(store, "state", "failures") == [("ready", 0)]
    for _ in range(FAILURES + 1):
        shop.clock.moment += timedelta(minutes=1)
        shop.settle()
    assert rows(store, "state", "note") == [("dead", "LookupError: nobody does jobs of the kind unheard of")]


def test_what_is_not_possible_yet_is_tried_without_end(store: Store) -> None:
    shop = Shop(store, FixedClock(), raising(Unavailable("GitHub", "HTTP 502")))
    add(store, NewJob("card"))
    for _ in range(30):
        assert shop.settle() == 1
        shop.clock.moment += timedelta(minutes=1)
    [(state, attempts, run_at, note)] = rows(store, "state", "attempts", "run_at", "note")
    assert (state, attempts, run_at) == ("ready", 30, NOW + timedelta(minutes=30))
    assert "HTTP 502" in str(note)
    assert shop.told == []


def test_an_outage_uses_up_none_of_the_attempts_that_a_failure_has(store: Store) -> None:
    errors: list[Exception] = [Unavailable("GitHub", "HTTP 502")] * 20 + [ValueError("once")]

    def handler(job: Job) -> None:
        if errors:
            raise errors.pop(0)

    shop = Shop(store, FixedClock(), handler)
    add(store, NewJob("card"))
    for _ in range(22):
        assert shop.settle() == 1
        shop.clock.moment += timedelta(minutes=1)
    assert rows(store, "state", "failures") == [("done", 1)]
    assert shop.told == []


def test_a_rate_limit_is_waited_for(store: Store) -> None:
    shop = Shop(store, FixedClock(), raising(RateLimited("GitHub", NOW + timedelta(minutes=20))))
    add(store, NewJob("card"))
    assert shop.settle() == 1
    assert rows(store, "run_at") == [(NOW + timedelta(minutes=20),)]


def test_a_place_among_those_who_wait_is_kept_to_the_moment(store: Store) -> None:
    """However often it was put off before."""
    clock = FixedClock()
    shop = Shop(store, clock, raising(RateLimited("Slack")))
    add(store, NewJob("card"))
    for _ in range(5):
        shop.settle()
        clock.moment += timedelta(minutes=1)
    at = clock.moment + timedelta(seconds=1.2)
    shop = Shop(store, clock, raising(Paced("Slack", at)))
    shop.settle()
    assert rows(store, "run_at") == [(at,)]


def test_the_person_is_told_with_a_reference(world: World) -> None:
    world.expect_dead = True
    world.say("U0ANA", "/deploy web/topic to staging")
    with world.store.write() as connection:  # a row that this version does not understand
        connection.execute(sa.update(deploys).values(change={"made": "by another version"}))
    world.slack.command("U0ANA", "C0OPS", "history #1")
    for _ in range(FAILURES):
        world.advance(minutes=1)
    [(dead, reference)] = [
        (kind, f"J{id}")
        for id, kind, state in rows(world.store, "id", "kind", "state")
        if state == "dead" and kind.startswith("slack.")
    ]
    assert dead == "slack.command"
    assert (
        f"something broke on my side. Whoever runs me finds it in my log under the reference `{reference}`"
        in world.room()
    )
    assert world.room(viewer="U0BEN").count("reference") == 0


def test_real_threads_do_what_comes_and_stop_when_told(store: Store) -> None:
    seen: list[int] = []
    all_done = threading.Event()

    def handler(job: Job) -> None:
        seen.append(job.id)
        if len(seen) == 50:
            all_done.set()

    shop = Shop(store, FixedClock(), handler)
    assert not shop.workers.running
    shop.workers.start(4)
    assert shop.workers.running
    add(store, *[NewJob("card")] * 50)
    assert all_done.wait(30)
    shop.workers.stop(10)
    assert sorted(seen) == list(range(1, 51))
    assert rows(store, "state") == [("done",)] * 50
    add(store, NewJob("card"))
    assert not shop.workers.running
    assert rows(store, "state")[-1] == ("ready",)


def test_workers_outlive_a_database_that_goes_away(store: Store) -> None:
    done = threading.Event()
    shop = Shop(store, FixedClock(), lambda job: done.set())
    with store.write() as connection:
        connection.exec_driver_sql("ALTER TABLE jobs RENAME TO gone")
    shop.workers.start(1)
    store.bell.ring()
    with store.write() as connection:
        connection.exec_driver_sql("ALTER TABLE gone RENAME TO jobs")
    add(store, NewJob("card"))
    assert done.wait(30)
    shop.workers.stop(10)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_of_two_that_wait_for_each_other_the_loser_is_tried_again_at_once(store: Store) -> None:
    """PostgreSQL finds a deadlock and undoes one of the two; its claim must not have to run out first."""
    both = threading.Barrier(2)
    done: list[int] = []
    all_done = threading.Event()
    with store.write() as connection:
        for name in ("one", "other"):
            records.remember(connection, name, 0, NOW)

    def handle(job: Job) -> None:
        order = ["one", "other"] if job.id % 2 else ["other", "one"]
        with store.write() as connection:
            records.remember(connection, order[0], job.id, NOW)
            if job.attempts == 1:
                both.wait(10)
            records.remember(connection, order[1], job.id, NOW)
        done.append(job.id)
        if len(done) == 2:
            all_done.set()

    shop = Shop(store, FixedClock(), handle)
    shop.workers.start(2)
    add(store, NewJob("card"), NewJob("card"))
    assert all_done.wait(30)
    shop.workers.stop(10)
    assert rows(store, "state") == [("done",), ("done",)]
    won, lost = sorted(attempts for (attempts,) in rows(store, "attempts"))
    assert won == 1
    assert lost > 1  # more than twice where it was back before the other one had gone on
