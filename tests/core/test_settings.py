"""The environment: all that is wrong is named at once, and no secret is ever shown."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from bot import logs
from bot.settings import Settings, SettingsError, config_path, database_url, read_settings, variables
from tests import github_app

PEM = github_app.keys()[0]
GOOD = {
    "SLACK_BOT_TOKEN": "xoxb-secret-bot",
    "SLACK_SIGNING_SECRET": "secret-signing",
    "SLACK_APP_TOKEN": "xapp-secret-app",
    "GITHUB_TOKEN": "ghp_secret_token",
    "GITHUB_WEBHOOK_SECRET": "secret-webhook",
    "DATABASE_URL": "postgresql://shipbot:secret%2Fpass@db.example:5432/shipbot",
}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*(field.upper() for field in Settings.model_fields)]:
        monkeypatch.delenv(name, raising=False)


def given(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return read_settings()


def faults(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        given(monkeypatch, environment)
    return str(caught.value).splitlines()


def test_nothing_set_names_all_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert faults(monkeypatch, {}) == [
        "SLACK_BOT_TOKEN: must be set",
        "GITHUB_WEBHOOK_SECRET: must be set",
        "SLACK_SIGNING_SECRET: must be set (or SLACK_APP_TOKEN, for Socket Mode)",
        "GITHUB_TOKEN: must be set (or GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY)",
    ]


def test_empty_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(faults(monkeypatch, dict.fromkeys(GOOD, ""))) == 4


@pytest.mark.parametrize("blank", [" ", "\n", "\t \r\n"])
def test_blank_is_not_set_either(monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    """Else it would be a secret of no letters, by which anybody could sign."""
    assert len(faults(monkeypatch, dict.fromkeys([*GOOD, "SHIPBOT_CONFIG", "PORT", "HEROKU_API_KEY"], blank))) == 4
    assert (database_url(), config_path()) == ("sqlite:///shipbot.db", Path("shipbot.yml"))
    assert variables(["HEROKU_API_KEY"]) == {}


def test_blanks_around_a_value_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = given(monkeypatch, {name: f" {value}\n" for name, value in (GOOD | {"LOG_LEVEL": "WARNING"}).items()})
    assert settings.github_webhook_secret.get_secret_value() == GOOD["GITHUB_WEBHOOK_SECRET"]
    assert (settings.database_url, settings.log_level) == (GOOD["DATABASE_URL"], "warning")


@pytest.mark.parametrize("quote", ["'", '"'])
def test_quotes_that_were_not_taken_off(monkeypatch: pytest.MonkeyPatch, quote: str) -> None:
    quoted = {name: f"{quote}{value}{quote}" for name, value in (GOOD | {"PORT": "3000"}).items()}
    assert sorted(faults(monkeypatch, quoted)) == sorted(
        f"{name}: must stand without quotes around it" for name in quoted
    )


def test_all_that_is_wrong_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {
        "SLACK_API_URL": "slack.com",
        "GITHUB_API_URL": "ftp://x",
        "GITHUB_APP_ID": "many",
        "DATABASE_URL": "mysql://x",
        "PORT": "70000",
        "PUBLIC_URL": "bot.example",
        "LOG_LEVEL": "loud",
    }
    found = faults(monkeypatch, wrong)
    names = ["SLACK_BOT_TOKEN", *wrong, "GITHUB_WEBHOOK_SECRET", "SLACK_SIGNING_SECRET", "GITHUB_APP_PRIVATE_KEY"]
    assert sorted(line.split(":")[0] for line in found) == sorted(names)
    assert "DATABASE_URL: must start with sqlite:/// or postgresql://" in found


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("sqlite:///", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:shipbot.db", "must start with"),
        ("postgresql://u:hunter2/x@db/x", "can't be read"),
        ("postgresql://u@db:port/x", "can't be read"),
    ],
)
def test_a_database_url_that_can_not_be_one(monkeypatch: pytest.MonkeyPatch, url: str, fault: str) -> None:
    [line] = faults(monkeypatch, GOOD | {"DATABASE_URL": url})
    assert line.startswith(f"DATABASE_URL: {fault}")
    assert "hunter2" not in line


def test_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: GOOD[name] for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "GITHUB_TOKEN", "GITHUB_WEBHOOK_SECRET")}
    settings = given(monkeypatch, few)
    assert settings.slack_api_url == "https://slack.com/api/"
    assert settings.github_api_url == "https://api.github.com"
    assert settings.database_url == "sqlite:///shipbot.db"
    assert settings.shipbot_config == Path("shipbot.yml")
    assert (settings.port, settings.log_level, settings.public_url) == (3000, "info", None)


def test_slashes_at_the_end_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = {"SLACK_API_URL": "http://s/api", "GITHUB_API_URL": "http://g/api/v3/", "PUBLIC_URL": "https://bot/"}
    settings = given(monkeypatch, GOOD | urls)
    assert (settings.slack_api_url, settings.github_api_url, settings.public_url) == (
        "http://s/api/",
        "http://g/api/v3",
        "https://bot",
    )


APP = {name: value for name, value in GOOD.items() if name != "GITHUB_TOKEN"} | {"GITHUB_APP_ID": "7"}


@pytest.mark.parametrize("form", ["text", "one line", "path"])
def test_the_private_key_as_text_on_one_line_or_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, form: str
) -> None:
    (tmp_path / "key.pem").write_text(PEM)
    value = {"text": PEM, "one line": PEM.replace("\n", "\\n"), "path": str(tmp_path / "key.pem")}[form]
    settings = given(monkeypatch, APP | {"GITHUB_APP_PRIVATE_KEY": value})
    assert settings.github_app_pem.strip() == PEM.strip()
    assert PEM.splitlines()[1] in settings.secrets()


UNREADABLE = "the key can't be read: give it whole and with its line breaks (or \\n for each), or its path"


def test_a_private_key_that_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key.der").write_bytes(b"\xff\xfe\x00")
    for value, words in (
        (str(tmp_path / "none.pem"), "neither a PEM nor a file to read (No such file or directory)"),
        (str(tmp_path), "neither a PEM nor a file to read (Is a directory)"),
        (str(tmp_path / "key.der"), "there is no private key in that file"),
        ("MIIE" * 2000, "neither a PEM nor a file to read (File name too long)"),
        (PEM.replace("\n", "n"), UNREADABLE),
        (PEM[:200] + PEM[-200:], UNREADABLE),
    ):
        assert faults(monkeypatch, APP | {"GITHUB_APP_PRIVATE_KEY": value}) == [f"GITHUB_APP_PRIVATE_KEY: {words}"]
    assert faults(monkeypatch, APP | {"GITHUB_APP_PRIVATE_KEY": ""}) == [
        "GITHUB_APP_PRIVATE_KEY: must be set when GITHUB_APP_ID is"
    ]


def test_the_secrets_are_complete_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = given(monkeypatch, GOOD | {"GITHUB_APP_ID": "7", "GITHUB_APP_PRIVATE_KEY": PEM})
    hidden = set(settings.secrets())
    assert {value for name, value in GOOD.items() if name != "DATABASE_URL"} <= hidden
    assert {"secret%2Fpass", "secret/pass", PEM.strip(), PEM.splitlines()[2]} <= hidden
    for shown in (repr(settings), str(settings)):
        assert not [secret for secret in hidden if secret in shown.replace(settings.database_url, "")]


def test_a_password_in_the_query_is_a_secret_too(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql:///shipbot?host=db&password=hunter%202"
    assert "hunter 2" in given(monkeypatch, GOOD | {"DATABASE_URL": url}).secrets()


# Logs


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is logged, with logging put back afterwards."""
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr("sys.stderr", stream)
    logs.set_up("debug", ["xoxb-secret", "hunter2", "hunter2-and-more", "abc"])
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_every_line_is_a_json_object_without_secrets(written: io.StringIO) -> None:
    class Holder:
        def __repr__(self) -> str:
            return "Holder(hunter2)"

    log = structlog.get_logger("ours")
    log.info("told", token="xoxb-secret", deep={"a": ["hunter2", ("x hunter2-and-more",)]}, other=Holder())
    logging.getLogger("theirs").warning("a %s\nof %r", "hunter2", Holder())
    try:
        raise ValueError("xoxb-secret is wrong")
    except ValueError:
        log.exception("broken", path="/x")
        logging.getLogger("theirs").exception("broken")
    found = lines(written)
    assert [line["event"] for line in found] == ["told", "a [hidden]\nof Holder([hidden])", "broken", "broken"]
    assert "hunter2" not in written.getvalue()
    assert "xoxb-secret" not in written.getvalue()
    assert "-and-more" not in written.getvalue()
    assert found[0]["deep"] == {"a": ["[hidden]", ["x [hidden]"]]}
    assert "[hidden] is wrong" in str(found[2]["exception"])
    assert {tuple(sorted({"level", "logger", "timestamp"} - set(line))) for line in found} == {()}


def test_what_is_bound_stands_on_every_line(written: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(deploy=42, delivery="github:1"):
        structlog.get_logger("ours").info("a")
        logging.getLogger("theirs").warning("b")
    structlog.get_logger("ours").info("c")
    assert [(line.get("deploy"), line.get("delivery")) for line in lines(written)] == [
        (42, "github:1"),
        (42, "github:1"),
        (None, None),
    ]


def test_libraries_do_not_write_down_requests(written: io.StringIO) -> None:
    for name in ("github.Requester", "urllib3.connectionpool", "slack_sdk.web", "slack_bolt.App"):
        logging.getLogger(name).debug("token=%s", "x")
        logging.getLogger(name).info("token=%s", "x")
    assert lines(written) == []


def test_a_line_break_behind_a_secret_is_not_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = given(monkeypatch, {name: f" {value}\n" for name, value in GOOD.items()})
    assert settings.github_token is not None
    assert settings.github_token.get_secret_value() == GOOD["GITHUB_TOKEN"]
    assert settings.database_url == GOOD["DATABASE_URL"]
