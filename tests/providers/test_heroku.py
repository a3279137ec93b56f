"""`heroku` through the front door: signed webhooks in, a simulated Platform API behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bot import reporter
from bot.playground.heroku import App, Dyno, SimulatedHeroku
from bot.providers import heroku, heroku_api
from tests.front.chat import cards, newest, thread
from tests.providers.places import carry_out, in_background, output, statuses, until
from tests.world import World

Make = Callable[..., World]

PROVIDER = "{type: heroku, app: web-prod}"
TOKEN = "HRKU-0a1b2c3d-playground"


class Place:
    """A world whose `web` goes to the app `web-prod` at a simulated Heroku."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.heroku = SimulatedHeroku(now=world.clock.now, token=TOKEN)
        self.heroku.url = f"{world.servers.outside_url}/heroku"
        world.servers.outside.apps["/heroku"] = self.heroku.asgi
        self.app: App = self.heroku.add_app("web-prod", {"web": 2, "worker": 1, "clock": 0})
        self.threads: list[threading.Thread] = []

    def deploy(self, words: str = "web/topic to production") -> None:
        self.world.say("U0ANA", f"/deploy {words}")
        carry_out(self.world)

    def begin(self) -> None:
        """The deploy is asked for, and carried out in a thread of its own."""
        self.world.say("U0ANA", "/deploy web/topic to production")
        self.world.deliver()
        self.go_on()

    def go_on(self) -> None:
        self.threads.append(in_background(self.world))

    def lose_process(self) -> None:
        """The process that runs it is gone without a word, and another bot takes over."""
        self.world.restart()
        self.world.advance(minutes=2)  # the lease runs out
        self.world.bot._sweep()
        self.go_on()

    def finish(self) -> None:
        for one in self.threads:
            one.join(20)
            assert not one.is_alive()
        self.world.advance(seconds=10)  # what is said while it goes on is written to GitHub every ten seconds
        carry_out(self.world)

    @property
    def end(self) -> tuple[str, str]:
        return statuses(self.world)[-1]

    @property
    def log(self) -> str:
        return output(self.world.store)

    def posts(self, path: str = "/apps/web-prod/builds") -> int:
        return sum(asked.method == "POST" and asked.path == path for asked in self.heroku.requests)


@pytest.fixture(autouse=True)
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits longer than it takes to see that they wait."""
    monkeypatch.setattr(heroku, "POLL", 0.01)
    monkeypatch.setattr(heroku, "LOOK", 0.02)
    monkeypatch.setattr(heroku, "LOST", (0.01, 0.01))
    monkeypatch.setattr(heroku_api, "PAUSES", (0.01,))
    monkeypatch.setattr(heroku_api, "LIMITED", 0.01)
    monkeypatch.setattr(reporter, "LOOK", 0.02)
    monkeypatch.setattr(reporter, "FLUSH", 0.02)


@pytest.fixture
def make_heroku(make_place: Make, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Place]:
    def make(**options: object) -> Place:
        world = make_place(PROVIDER, **options)
        monkeypatch.setenv("HEROKU_API_KEY", TOKEN)
        monkeypatch.setenv("HEROKU_API_URL", f"{world.servers.outside_url}/heroku")
        return Place(world)

    return make


@pytest.fixture
def place(make_heroku: Callable[..., Place]) -> Place:
    return make_heroku()


def test_a_deploy(place: Place) -> None:
    place.world.github.push("acme/web", "topic", "Add a Procfile", files={"Procfile": b"web: serve\n"})
    place.heroku.will(
        "web-prod",
        output=f"-----> Building “web”\n       key {TOKEN}\n".encode(),
        release_output=b"migrating\n",
    )
    place.deploy()
    (build,) = place.app.builds
    sha = place.world.github.deployments("acme/web")[0]["sha"]
    assert build.version == sha
    assert any(name.endswith(f"-{sha[:7]}/Procfile") for name in build.files)
    assert place.log == (
        f"[Heroku builds {sha[:7]} for web-prod: build {build.id}]\n"
        "-----> Building “web”\n"
        "       key ***\n"
        "[release phase of v2]\n"
        "migrating\n"
        "[success: v2 is live with 3 dynos]\n"
    )
    assert [state for state, _ in statuses(place.world)] == ["queued", "in_progress", "success"]
    status = place.world.github.statuses("acme/web", place.world.github.deployments("acme/web")[0]["id"])[0]
    assert status["environment_url"] == place.app.web_url
    assert {(dyno.name, dyno.version) for dyno in place.app.dynos} == {("web.1", 2), ("web.2", 2), ("worker.1", 2)}
    assert ":large_green_circle: *web* to *production*" in cards(place.world)[-1]
    assert "[Open] [Logs]" in cards(place.world)[-1]
    streams = [asked for asked in place.heroku.requests if asked.path.startswith("/streams/")]
    assert streams
    assert not any(asked.authorization for asked in streams)  # the token is the API's alone


def test_it_is_told_while_it_goes_on(place: Place) -> None:
    place.heroku.will("web-prod", held=frozenset({"build", "release", "dynos"}), release_output=b"migrating\n")
    place.begin()
    for what, said, seen in (
        ("build", "Heroku builds", "Launching"),
        ("release", "Release phase of v2", "migrating"),
        ("dynos", "Starting v2: 0 of 3 dynos are up", ""),
    ):
        until(lambda seen=seen: seen in place.log, f"no {seen}")  # its output is there before its end
        until(lambda said=said: place.world.advance(seconds=10) or place.end[1].startswith(said), f"no “{said}”")
        assert place.end[0] == "in_progress"
        place.heroku.let_go("web-prod", what)
    place.finish()
    assert place.end == ("success", "v2 is live with 3 dynos")
    assert "\ufffd" not in place.log  # what only keeps the connection open is no output


def test_old_dynos_that_still_run_are_waited_for(place: Place) -> None:
    place.heroku.will("web-prod", held=frozenset({"dynos"}))
    place.begin()
    until(lambda: any(dyno.version == 2 for dyno in place.app.dynos))
    old = Dyno("web.3", "web", ["up"], 1)  # as with preboot
    with place.heroku.lock:
        place.app.dynos += [old, Dyno("run.1", "run", ["up"], 1)]  # somebody's console may stay
    place.heroku.let_go("web-prod", "dynos")
    until(lambda: place.world.advance(seconds=10) or place.end[1] == "Starting v2: 3 of 3 dynos are up")
    with place.heroku.lock:
        place.app.dynos.remove(old)
    place.finish()
    assert place.end == ("success", "v2 is live with 3 dynos")


# What goes wrong at Heroku


@pytest.mark.parametrize(
    ("plan", "ended"),
    [
        ({"build": "failed"}, ("failure", "The build at Heroku failed; the log says why.")),
        (
            {"release_output": b"no such column\n", "release": "failed"},
            ("failure", "The release phase of v2 failed, so it did not go live."),
        ),
        (
            {"release_output": b"", "release": "expired"},
            ("failure", "The release phase of v2 ended as “expired”, so it did not go live."),
        ),
        (
            {"states": {"web.2": ["starting", "crashed", "starting", "crashed"]}},
            ("failure", "v2 is released, but web.2 crashed."),
        ),
        ({"states": {"web.2": ["crashed", "starting", "up"]}}, ("success", "v2 is live with 3 dynos")),
        (
            {"released": False},
            ("error", "The build at Heroku succeeded, but no release came of it. Look at web-prod there."),
        ),
    ],
)
def test_how_it_ended_is_told(place: Place, plan: dict[str, object], ended: tuple[str, str]) -> None:
    place.heroku.will("web-prod", **plan)
    place.deploy()
    assert place.end == ended
    assert place.log.endswith(f"[{ended[0]}: {ended[1]}]\n")
    live = "release" not in plan and plan.get("build") != "failed" and plan.get("released", True)
    assert {dyno.version for dyno in place.app.dynos} == {2 if live else 1}
    if ended[0] != "success":
        assert ended[1] in thread(place.world)[-1]


FAULTS = [
    (401, "unauthorized", "Heroku refuses the token in HEROKU_API_KEY: it is wrong, expired or revoked."),
    (403, "forbidden", "Heroku does not let the account of HEROKU_API_KEY do this with web-prod: told by Heroku"),
    (402, "delinquent", "Heroku refuses web-prod (HTTP 402): told by Heroku"),
    (404, "not_found", "Heroku has no app web-prod that the account of HEROKU_API_KEY can see."),
]


@pytest.mark.parametrize(("status", "name", "said"), FAULTS)
def test_what_heroku_refuses_is_told(place: Place, status: int, name: str, said: str) -> None:
    place.heroku.fail("GET", "/apps/web-prod", status=status, body={"id": name, "message": "told by\nHeroku"})
    place.deploy()
    assert place.end == ("error", said)
    assert place.posts() == 0


def test_a_token_that_is_wrong(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEROKU_API_KEY", "HRKU-another-token")
    place.deploy()
    assert place.end == ("error", FAULTS[0][2])


def test_a_netrc_does_not_replace_the_token(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ana password of-another\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    place.deploy()
    assert place.end[0] == "success"


def test_a_build_that_heroku_refuses(place: Place) -> None:
    body = {"id": "invalid_params", "message": "There are too many builds."}
    place.heroku.fail("POST", "/apps/web-prod/builds", status=422, body=body)
    place.deploy()
    assert place.end == ("error", "Heroku refuses a build (HTTP 422): There are too many builds.")


def test_a_source_that_heroku_cannot_fetch(place: Place) -> None:
    place.world.github.push("acme/web", "topic", "Another")
    place.world.github.url = f"{place.world.servers.outside_url}/nowhere"  # from where it stands
    place.deploy()
    assert place.end[0] == "failure"
    assert "Unable to fetch source" in place.log


def test_what_only_heroku_cannot_do(place: Place) -> None:
    place.deploy("web/topic to production/fe1")
    assert place.end == ("error", "Heroku deploys an app as a whole, not to “fe1” alone.")
    place.deploy("deploy:migrations web/topic to production")
    assert place.end[0] == "error"
    assert place.end[1].startswith("Heroku only deploys: it has no task “deploy:migrations”.")
    assert place.heroku.requests == []


def test_without_a_token(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEROKU_API_KEY")
    place.deploy()
    assert place.end == ("error", "The bot's environment lacks HEROKU_API_KEY.")


@pytest.mark.parametrize("token", ["HRKU-with\nline", "HRKU-ü"])
def test_a_token_that_can_be_none(place: Place, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("HEROKU_API_KEY", token)
    place.deploy()
    assert place.end == ("error", "HEROKU_API_KEY holds characters that no token has.")


def test_an_address_that_nobody_can_have(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEROKU_API_URL", "http://[::1")
    place.deploy()
    assert place.end == ("error", "HEROKU_API_URL or HEROKU_API_KEY can't be sent: InvalidURL.")


def test_an_address_that_is_none(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEROKU_API_URL", "api.heroku.com")
    place.deploy()
    assert place.end == ("error", "HEROKU_API_URL must be an address such as https://api.heroku.com.")


def test_an_app_that_shows_nobody_what_is_live(place: Place) -> None:
    place.app.maintenance = True
    place.deploy()
    assert place.end == ("success", "v2 is live with 3 dynos, but the app is in maintenance mode")


def test_an_app_without_dynos(place: Place) -> None:
    place.app.formation = {"web": 0}
    place.deploy()
    assert place.end == ("success", "v2 is released; the app has no dynos")


def test_another_release_comes_after_it(place: Place) -> None:
    place.heroku.will("web-prod", held=frozenset({"dynos"}))
    place.begin()
    until(lambda: any(dyno.version == 2 for dyno in place.app.dynos))
    place.heroku.release("web-prod", "Set LOG_LEVEL config vars")
    place.heroku.let_go("web-prod", "dynos")
    place.finish()
    assert place.end == ("success", "v2 is released; v3 came after it")


# What goes wrong on the way there


@pytest.mark.parametrize("trouble", [{"status": 503}, {"status": 200, "body": "<html>"}, {"drop": "before"}])
def test_reads_are_asked_again(place: Place, trouble: dict[str, object]) -> None:
    for path in ("", "/builds", "/builds/[^/]+", "/releases/[^/]+", "/formation", "/dynos"):
        place.heroku.fail("GET", f"/apps/web-prod{path}", times=2, **trouble)
    place.deploy()
    assert place.end == ("success", "v2 is live with 3 dynos")
    assert place.posts() == 1


@pytest.mark.parametrize("trouble", [{"status": 500}, {"drop": "before"}, {"drop": "after"}])
def test_a_build_whose_answer_is_lost_is_looked_for(place: Place, trouble: dict[str, object]) -> None:
    place.heroku.fail("POST", "/apps/web-prod/builds", **trouble)
    place.deploy()
    assert place.end == ("success", "v2 is live with 3 dynos")
    assert len(place.app.builds) == 1
    assert place.posts() == (1 if trouble == {"drop": "after"} else 2)
    assert "Heroku did not answer" in place.log


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_commit_that_was_built_before_is_built_again(place: Place, drop: str) -> None:
    place.deploy()
    place.heroku.fail("POST", "/apps/web-prod/builds", drop=drop)
    place.deploy()
    assert len(place.app.builds) == 2
    assert place.end == ("success", "v3 is live with 3 dynos")


def test_a_rate_limit_is_waited_for(place: Place) -> None:
    limited = {"id": "rate_limit", "message": "Your account reached the API rate limit"}
    place.heroku.fail("GET", "/apps/web-prod", status=429, body=limited, times=2)
    place.heroku.fail("POST", "/apps/web-prod/builds", status=429, body=limited, headers={"Retry-After": "0"})
    place.deploy()
    assert place.end == ("success", "v2 is live with 3 dynos")
    assert len(place.app.builds) == 1
    links = [asked.path for asked in place.world.github.requests if "/tarball/" in asked.path]
    assert len(links) == 2, "each try has its own, since none is good for long"


def test_heroku_does_not_answer_until_the_time_is_up(make_heroku: Callable[..., Place]) -> None:
    place = make_heroku(timeout="10m")
    place.heroku.tokens_left = 0
    place.begin()
    until(lambda: place.world.advance(seconds=1) or "rate limit" in place.end[1])
    place.world.advance(minutes=10)
    place.finish()
    assert place.end == ("error", "Stopped after 10 min, the time that it has (timeout).")


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("how", ["drop", "end"])
def test_an_output_that_is_cut_is_read_on(place: Place, how: str, ranges: bool) -> None:
    text = "".join(f"line {number} “ä”\n" for number in range(200)).encode()
    place.heroku.will("web-prod", output=text, cuts={1: how, 40: how, 1000: how}, ranges=ranges)
    place.deploy()
    assert place.log.partition("\n")[2] == text.decode() + "[success: v2 is live with 3 dynos]\n"


def test_an_output_that_cannot_be_read(place: Place) -> None:
    place.heroku.will("web-prod", streams=False, release_output=b"migrating")
    place.deploy()
    assert place.end == ("success", "v2 is live with 3 dynos")
    assert "[the rest of the build's output could not be read]\n" in place.log
    assert "[the rest of the release's output could not be read]\n" in place.log


def test_an_output_that_never_ends(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heroku_api, "SILENCE", 0.1)
    place.heroku.will("web-prod", endless=True)
    place.deploy()
    assert place.end == ("success", "v2 is live with 3 dynos")
    assert place.log.count("Launching") == 1
    assert "[the rest of the build's output could not be read]\n" in place.log


# Twice


def test_the_bot_dies_again_and_again_and_it_is_built_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heroku, "LOST", (30.0,))
    place.heroku.will("web-prod", held=frozenset({"build", "release", "dynos"}), release_output=b"migrating\n")
    place.heroku.fail("POST", "/apps/web-prod/builds", drop="after")
    place.begin()
    until(lambda: place.app.builds)  # and dies before it hears of it
    place.lose_process()
    until(lambda: "Launching" in place.log)
    place.lose_process()
    place.heroku.let_go("web-prod", "build")
    until(lambda: "migrating" in place.log)
    place.lose_process()
    place.heroku.let_go("web-prod", "release")
    until(lambda: place.app.releases[-1].status == "succeeded")
    place.lose_process()
    place.heroku.let_go("web-prod", "dynos")
    place.finish()
    assert len(place.app.builds) == 1
    assert len(place.app.releases) == 2
    assert place.end == ("success", "v2 is live with 3 dynos")
    states = [state for state, _ in statuses(place.world)]
    assert states.count("success") == 1
    assert set(states) == {"queued", "in_progress", "success"}


def test_the_bot_stops_and_goes_on_where_it_was(place: Place) -> None:
    place.heroku.will("web-prod", output=b"one\ntwo\n", held=frozenset({"build"}))
    place.begin()
    until(lambda: "two" in place.log)
    place.world.bot.runner.stop(5)
    place.world.restart()
    place.heroku.let_go("web-prod", "build")
    place.finish()
    assert len(place.app.builds) == 1
    assert not place.app.builds[0].cancelled
    assert place.log.count("one\ntwo\n") == 1
    assert place.end == ("success", "v2 is live with 3 dynos")


# How it is stopped


def cancel(place: Place) -> None:
    place.world.deliver()
    place.world.say("U0ANA", "/deploy cancel 1")
    place.finish()
    assert place.end[0] == "inactive"
    assert "Cancelled" in newest(place.world) or "ancel" in cards(place.world)[-1]


def test_cancelling_stops_the_build(place: Place) -> None:
    place.heroku.will("web-prod", held=frozenset({"build"}))
    place.begin()
    until(lambda: "Launching" in place.log)
    cancel(place)
    assert place.app.builds[0].cancelled
    assert place.log.endswith("[Heroku was told to stop the build]\n[stopped: it was cancelled]\n")


def test_cancelling_stops_a_build_whose_answer_is_lost(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heroku, "LOST", (30.0,))
    place.heroku.will("web-prod", held=frozenset({"build"}))
    place.heroku.fail("POST", "/apps/web-prod/builds", drop="after")
    place.begin()
    until(lambda: place.app.builds)
    cancel(place)
    assert place.app.builds[0].cancelled


def test_cancelling_stops_the_release_phase(place: Place) -> None:
    place.heroku.will("web-prod", release_output=b"migrating\n", held=frozenset({"release"}))
    place.begin()
    until(lambda: "migrating" in place.log)
    cancel(place)
    assert place.app.releases[-1].status == "failed"
    assert {dyno.version for dyno in place.app.dynos} == {1}
    assert "[Heroku was told to stop the release phase of v2]\n" in place.log


def test_what_is_released_already_cannot_be_stopped(place: Place) -> None:
    place.heroku.will("web-prod", held=frozenset({"dynos"}))
    place.begin()
    until(lambda: any(dyno.version == 2 for dyno in place.app.dynos))
    cancel(place)
    assert "[v2 is released already, and Heroku goes on with it]\n" in place.log


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("trouble", [{"status": 429}, {"status": 503}, {"drop": "before"}])
def test_cancelling_is_told_until_it_is_heard(place: Place, method: str, trouble: dict[str, object]) -> None:
    place.heroku.will("web-prod", held=frozenset({"build"}))
    place.begin()
    until(lambda: "Launching" in place.log)
    place.heroku.fail(method, "/apps/web-prod/builds/.*", times=2, **trouble)
    cancel(place)
    assert place.app.builds[0].cancelled
    assert "[Heroku was told to stop the build]\n" in place.log


def test_cancelling_a_build_whose_answer_is_lost_cancels_it_once(place: Place) -> None:
    place.heroku.will("web-prod", held=frozenset({"build"}))
    place.begin()
    until(lambda: "Launching" in place.log)
    place.heroku.fail("DELETE", ".*", drop="after")
    cancel(place)
    assert place.app.builds[0].cancelled
    assert "may still go live" not in place.log


@pytest.mark.parametrize("trouble", [{"status": 404}, {"drop": "before", "times": 1000}])
def test_a_build_that_cannot_be_stopped_is_told(
    place: Place, trouble: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter, "GRACE", 0.3)
    place.heroku.will("web-prod", held=frozenset({"build"}))
    place.heroku.fail("DELETE", ".*", **trouble)
    place.begin()
    until(lambda: "Launching" in place.log)
    cancel(place)
    assert not place.app.builds[0].cancelled
    assert "[Heroku could not be told to stop (" in place.log
    assert "may still go live" in place.log


def test_its_time_runs_out(make_heroku: Callable[..., Place]) -> None:
    place = make_heroku(timeout="10m")
    place.heroku.will("web-prod", held=frozenset({"build"}))
    place.begin()
    until(lambda: "Launching" in place.log)
    place.world.deliver()
    place.world.advance(minutes=10)
    place.finish()
    assert place.app.builds[0].cancelled
    assert place.end == ("error", "Stopped after 10 min, the time that it has (timeout).")


def between_attempts(place: Place) -> None:
    """Heroku builds, and the bot has stopped; the next one has not taken it up."""
    place.heroku.will("web-prod", held=frozenset({"build"}))
    place.begin()
    until(lambda: "Launching" in place.log)
    place.world.deliver()
    place.world.bot.runner.stop(5)
    place.world.restart()


def test_cancelling_between_two_attempts_stops_the_build(place: Place) -> None:
    between_attempts(place)
    cancel(place)
    assert place.app.builds[0].cancelled
    assert place.log.endswith("[Heroku was told to stop the build]\n[stopped: it was cancelled]\n")
    assert len(place.app.builds) == 1


def test_cancelling_between_two_attempts_while_heroku_is_away(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter, "WIND_UP", 0.5)
    between_attempts(place)
    place.heroku.fail("GET", ".*", times=1000, status=503)
    cancel(place)
    assert "[Heroku could not be told to stop (it does not answer): what it has begun may still go live]" in place.log


def test_its_time_runs_out_between_two_attempts(make_heroku: Callable[..., Place]) -> None:
    place = make_heroku(timeout="10m")
    between_attempts(place)
    place.world.advance(minutes=10)
    place.finish()
    assert place.app.builds[0].cancelled
    assert place.end == ("error", "The bot that ran it went away. How far it got is not known.")


# Config


@pytest.mark.parametrize("name", ["Web-Prod", "web/prod", "web.prod", "a", "../x", "wéb", "web prod"])
def test_an_app_that_can_be_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="the name of an app at Heroku"):
        heroku.Settings(type="heroku", app=name)
