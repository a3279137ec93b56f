"""The real process: from the environment to exit, through death and back."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from bot.playground.stage import free_port
from bot.store.engine import Store
from bot.store.migrations import HEAD, current
from bot.store.schema import jobs
from tests.core.running import SECRETS, Running, launch, started_with
from tests.core.sending import CLIENT
from tests.world import Servers

pytestmark = pytest.mark.slow


@pytest.fixture
def run(servers: Servers, database_url: str, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts a bot; whatever is left at the end is killed."""
    made: list[Running] = []

    def start(**environment: str) -> Running:
        made.append(Running(servers, database_url, tmp_path, **environment))
        made[-1].start()
        return made[-1]

    yield start
    for running in made:
        running.kill()
        assert running.slack.violations == []


def test_a_deploy_from_start_to_stop(run: Callable[..., Running], database_url: str) -> None:
    bot = run()
    assert (bot.get("/healthz"), bot.get("/readyz"), bot.get("/metrics"), bot.get("/x")) == (200, 200, 200, 404)

    assert bot.slack.command("U0ANA", "C0OPS", "web/topic to production").ok
    bot.until(lambda: "*web* to *production*" in bot.room() and len(bot.github.deployments("acme/web")) == 1)
    bot.github.report("acme/web", bot.github.deployments("acme/web")[0]["id"], "success")
    assert set(bot.github.deliver()) == {202}
    bot.until(lambda: ":large_green_circle: *web* to *production*" in bot.room())
    assert bot.slack.command("U0ANA", "C0OPS", "where web").ok
    bot.until(lambda: "What is live of web" in bot.room())

    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(CLIENT.get(f"{bot.url}/metrics").text)
        for sample in family.samples
    }
    assert samples["shipbot_received_total", "200", "slack"] == 2
    assert samples["shipbot_deploys_total", "production", "success", "web"] == 1

    responses = [call.args.get("response_url", "") for call in bot.slack.calls]
    assert bot.stop() == 0
    told = bot.log.read_text()
    assert not [secret for secret in [*SECRETS.values(), *filter(None, responses)] if secret in told]
    assert "/response/" not in told
    found = bot.lines()
    assert [line for line in found if line["level"] not in ("debug", "info")] == []
    assert all({"event", "level", "timestamp", "logger"} <= set(line) for line in found)
    [webhook] = [line for line in found if line["event"] == "webhook" and line["kind"] == "github.deployment_status"]
    assert (webhook["deploy"], webhook["delivery"]) == (1, f"github:{bot.github.deliveries[-1].guid}")
    assert {line.get("deploy") for line in found if line.get("kind") in ("card", "create", "change")} == {1}
    assert {str(line["delivery"])[:6] for line in found if line.get("kind") == "slack.command"} == {"slack:"}
    assert found[-1]["event"] == "stopped"


@pytest.mark.parametrize("power", ["goes", "is turned off"])
def test_nothing_that_was_acknowledged_is_lost(run: Callable[..., Running], database_url: str, power: str) -> None:
    bot = run()
    bot.slack.fail("chat.postMessage", status=503, times=2)
    for number in range(5):  # five to one place: one goes, and the others wait in line
        assert bot.slack.command("U0ANA", "C0OPS", f"web/topic to production/fe{number}").ok
    if power == "goes":
        bot.kill()
        _time_passes(database_url)
    else:
        assert bot.stop() == 0
        assert _claimed(database_url) == 0
    bot.start()
    bot.until(lambda: bot.room().count("*web* to *production*") == 5)
    finish_in_turn(bot, 5)
    ids = {deployment["payload"]["shipbot"]["id"] for deployment in bot.github.deployments("acme/web")}
    assert len(ids) == 5
    assert len([one for one in bot.slack.messages("C0OPS") if not one.thread_ts]) == 5
    assert bot.stop() == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_broke_the_process_is_in_the_log(run: Callable[..., Running]) -> None:
    bot = run()
    assert bot.process is not None
    bot.process.send_signal(signal.SIGSEGV)  # as a fault of a library in C
    assert bot.process.wait(10) == -signal.SIGSEGV
    told = bot.log.read_text()
    assert "Fatal Python error: Segmentation fault" in told
    assert "bot/worker.py" in told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_was_started_in_the_background_can_be_stopped(run: Callable[..., Running], number: signal.Signals) -> None:
    """A shell lets it pass over SIGINT."""
    with started_with(signal.SIGINT, signal.SIG_IGN):
        bot = run()
    assert bot.process is not None
    bot.process.send_signal(number)
    assert bot.process.wait(10) == 0
    assert bot.lines()[-1]["event"] == "stopped"


def test_a_hang_up_is_a_stop_and_with_nohup_is_none(run: Callable[..., Running]) -> None:
    """Untold, Python would die of it in the midst of things."""
    with started_with(signal.SIGHUP, signal.SIG_DFL):
        bot = run()
    assert bot.process is not None
    assert bot.slack.command("U0ANA", "C0OPS", "web/topic to production").ok
    bot.process.send_signal(signal.SIGHUP)
    assert bot.process.wait(10) == 0
    assert bot.lines()[-1]["event"] == "stopped"
    with started_with(signal.SIGHUP, signal.SIG_IGN):  # as by `nohup`
        bot.start()
    bot.process.send_signal(signal.SIGHUP)
    bot.until(lambda: "*web* to *production*" in bot.room())
    assert bot.stop() == 0


def test_an_upgrade_is_no_fault_of_ours(run: Callable[..., Running]) -> None:
    bot = run()
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert CLIENT.get(f"{bot.url}/slack/events", headers=headers).status_code == 405
    assert bot.stop() == 0


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_database_that_goes_away_and_comes_back(run: Callable[..., Running], database_url: str) -> None:
    bot = run()
    name = sa.make_url(database_url).database
    server = sa.make_url(database_url).set(drivername="postgresql+psycopg", database="postgres")
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    bot.until(lambda: bot.get("/readyz") == 503)
    assert bot.get("/healthz") == 200
    assert bot.slack.command("U0ANA", "C0OPS", "apps").status == 503
    assert bot.get("/metrics") == 503
    with engine.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    engine.dispose()
    bot.until(lambda: bot.get("/readyz") == 200)
    assert bot.slack.repeat_last().ok
    bot.until(lambda: "2 apps" in str([one.text for one in bot.slack.ephemerals("U0ANA")]))
    assert bot.stop() == 0


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_replicas_share_the_work(run: Callable[..., Running], tmp_path: Path) -> None:
    bot = run()
    port = free_port()
    second = launch(bot.environment | {"PORT": str(port)}, tmp_path, tmp_path / "second.log")
    try:
        bot.until(lambda: answers(port))
        for number in range(10):
            assert bot.slack.command("U0ANA", "C0OPS", f"web/topic to production/fe{number}").ok
        bot.until(lambda: bot.room().count("*web* to *production*") == 10)
        finish_in_turn(bot, 10)
        assert bot.stop() == 0
    finally:
        second.terminate()
        assert second.wait(10) == 0
    assert len([one for one in bot.slack.messages("C0OPS") if not one.thread_ts]) == 10


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_replicas_that_start_at_once_on_an_empty_database(
    servers: Servers, database_url: str, tmp_path: Path
) -> None:
    """Both bring it up to date; neither is told anything but that it is."""
    store = Store(database_url)
    with store.write() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    first = Running(servers, database_url, tmp_path)
    port = free_port()
    second = launch(first.environment | {"PORT": str(port)}, tmp_path, tmp_path / "second.log")
    try:
        first.start()
        first.until(lambda: answers(port))
        assert current(store) == HEAD
        assert first.slack.command("U0ANA", "C0OPS", "web/topic to production").ok
        first.until(lambda: len(first.github.deployments("acme/web")) == 1)
        assert first.stop() == 0
    finally:
        first.kill()
        second.terminate()
        assert second.wait(10) == 0
        store.close()
    for log in (first.log, tmp_path / "second.log"):
        told = [json.loads(line) for line in log.read_text().splitlines()]
        assert [line for line in told if line["level"] not in ("debug", "info")] == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_what_a_replica_leaves_is_gone_on_with_at_once(run: Callable[..., Running], tmp_path: Path) -> None:
    """Deploys are asked of one that is told to stop in the same moment; the other brings them to their end."""
    bot = run()
    port = free_port()
    second = launch(bot.environment | {"PORT": str(port)}, tmp_path, tmp_path / "second.log")
    try:
        bot.until(lambda: answers(port))
        bot.slack.bot_url = f"http://127.0.0.1:{port}"
        for number in range(10):
            assert bot.slack.command("U0ANA", "C0OPS", f"web/topic to production/fe{number}").ok
        second.terminate()
        finish_in_turn(bot, 10)
        assert second.wait(10) == 0
        assert bot.stop() == 0
    finally:
        second.kill()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_second_process_on_the_same_file(run: Callable[..., Running], tmp_path: Path) -> None:
    bot = run()
    second = launch(bot.environment | {"PORT": "0"}, tmp_path, tmp_path / "second.log")
    assert second.wait(30) == 2
    assert bot.process is not None
    assert f"is in use by process {bot.process.pid}" in (tmp_path / "second.log").read_text()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_socket_mode_needs_no_address(run: Callable[..., Running]) -> None:
    bot = run(SLACK_APP_TOKEN="xapp-playground")
    bot.slack.sockets.wait(seconds=30)
    bot.slack.socket_mode = True
    assert bot.slack.command("U0ANA", "C0OPS", "apps").ok
    bot.until(lambda: "2 apps" in str([one.text for one in bot.slack.ephemerals("U0ANA")]))
    assert CLIENT.post(f"{bot.url}/slack/events").status_code == 404
    assert bot.stop() == 0
    assert "xapp-playground" not in bot.log.read_text()
    assert [line for line in bot.lines() if line["level"] not in ("debug", "info")] == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_taken_port(run: Callable[..., Running], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bot = run()
        environment = bot.environment | {
            "PORT": str(taken.getsockname()[1]),
            "DATABASE_URL": f"sqlite:///{tmp_path / 'other.db'}",
        }
        assert launch(environment, tmp_path, tmp_path / "taken.log").wait(30) in (1, 3)
    lines = [json.loads(line) for line in (tmp_path / "taken.log").read_text().splitlines()]
    errors = [line for line in lines if line["level"] == "error"]
    assert "address already in use" in errors[0]["event"]
    port = int(environment["PORT"])
    assert (errors[1]["event"], errors[1]["port"], errors[1]["see"]) == (
        "not_listening",
        port,
        "HOST and PORT say where",
    )


def test_all_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert launch({"PORT": "many", "DATABASE_URL": "mysql://x"}, tmp_path, log).wait(30) == 2
    told = log.read_text()
    for name in ("SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "GITHUB_TOKEN", "GITHUB_WEBHOOK_SECRET", "DATABASE_URL"):
        assert f"{name}: must" in told
    assert "PORT: " in told
    assert "Traceback" not in told


def test_all_that_is_wrong_in_the_config_is_named_at_once(tmp_path: Path) -> None:
    log, config = tmp_path / "log", tmp_path / "shipbot.yml"
    assert launch(SECRETS, tmp_path, log).wait(30) == 2
    assert "can't be read (No such file or directory); SHIPBOT_CONFIG says where it is" in log.read_text()
    config.write_text("apps:\n  web: {repository: web, environments: {production: {nope: 1}}}\n  status: 1\n")
    assert launch(SECRETS | {"SHIPBOT_CONFIG": str(config)}, tmp_path, log).wait(30) == 2
    told = log.read_text()
    for fault in ("line 2: apps.web.repository: ", "line 2: apps.web.environments.production.nope: ", "line 3: apps.s"):
        assert f"{config}: {fault}" in told
    assert "Traceback" not in told


def test_a_database_that_can_not_be_used(tmp_path: Path) -> None:
    (tmp_path / "shipbot.yml").write_text("apps: {web: {repository: acme/web, environments: {production: {}}}}")
    log = tmp_path / "log"
    assert launch(SECRETS | {"DATABASE_URL": f"sqlite:///{tmp_path}/no/such/place.db"}, tmp_path, log).wait(30) == 2
    assert "DATABASE_URL: can't write beside the database" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_the_schema_of_the_config(tmp_path: Path) -> None:
    assert launch({}, tmp_path, tmp_path / "out", "check", "--schema").wait(30) == 0
    schema = json.loads((tmp_path / "out").read_text())
    assert schema["required"] == ["apps"]
    assert schema["additionalProperties"] is False


def finish_in_turn(bot: Running, count: int) -> None:
    """Ends one deploy after the other, each of which lets the next one in line go; there are so many."""
    for number in range(1, count + 1):
        bot.until(lambda number=number: len(bot.github.deployments("acme/web")) == number)
        bot.github.report("acme/web", bot.github.deployments("acme/web")[0]["id"], "success")
        assert set(bot.github.deliver()) == {202}
    bot.until(lambda: bot.room().count(":large_green_circle: *web* to *production*") == count)
    assert len(bot.github.deployments("acme/web")) == count


def answers(port: int) -> bool:
    try:
        return CLIENT.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _time_passes(database_url: str) -> None:
    """The claims of the process that died have ended."""
    store = Store(database_url)
    with store.write() as connection:
        running = sa.update(jobs).where(jobs.c.state == "running")
        connection.execute(running.values(lease_until=jobs.c.created_at))
        connection.execute(sa.update(jobs).where(jobs.c.state == "ready").values(run_at=jobs.c.created_at))
    store.close()


def _claimed(database_url: str) -> int:
    store = Store(database_url)
    with store.read() as connection:
        claimed = connection.execute(sa.select(sa.func.count()).where(jobs.c.state == "running")).scalar_one()
    store.close()
    return int(claimed)
