"""Providers are found by entry point, and their part of the config is held to their own model."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from bot.__main__ import main
from bot.deploys import integrators
from bot.deploys.config import Config
from bot.deploys.config_file import ConfigError, read_config
from bot.providers.command import PROXIES
from bot.providers.needed import missing, secret_names
from tests.providers.places import carry_out, output, statuses
from tests.world import World

ROOT = Path(__file__).parents[2]
CONFIG = """
apps:
  web:
    repository: acme/web
    environments:
      production:
        provider: {provider}
"""


def faults(provider: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        read_config(CONFIG.format(provider=provider))
    return [str(fault) for fault in raised.value.faults]


PLACE = "line 7: apps.web.environments.production.provider"


@pytest.mark.parametrize(
    ("provider", "found"),
    [
        ("{type: comand, run: [x]}", [f"{PLACE}: there is no provider “comand”; did you mean command?"]),
        ("{run: [x]}", [f"{PLACE}: must name its type, one of actions, command, heroku, http"]),
        ("command", [f"{PLACE}: must hold keys and values ({{}} for none)"]),
        ("{type: command}", [f"{PLACE}.run: must be given"]),
        ("{type: command, run: []}", [f"{PLACE}.run: must not be empty"]),
        ("{type: command, run: ['']}", [f"{PLACE}.run: must begin with a program"]),
        ("{type: command, run: ./release.sh}", [f"{PLACE}.run: must be a list"]),
        ("{type: command, run: [x], shell: true}", [f"{PLACE}.shell: no such key"]),
        (
            "{type: command, run: [x, 5], rerun: 1}",
            [f"{PLACE}.run.1: must be text", f"{PLACE}.rerun: must be true or false"],
        ),
        ("{type: command, run: [x], env: [SHIPBOT_SHA]}", [f"{PLACE}.env.0: SHIPBOT_SHA is set by the bot itself"]),
        ("{type: command, run: [x], env: ['A=B']}", [f"{PLACE}.env.0: must be the name of an environment variable"]),
        (
            "{type: command, run: [x], checkout: 'ext::sh -c x'}",
            [
                f"{PLACE}.checkout: must be true, false or an address that git fetches from "
                "(https://…, ssh://… or file://…)"
            ],
        ),
    ],
)
def test_faults_are_named_like_those_of_the_rest(provider: str, found: list[str]) -> None:
    assert faults(provider) == found


def test_the_schema_knows_their_keys() -> None:
    schema = Draft202012Validator(Config.model_json_schema())

    def fits(provider: object) -> bool:
        environments = {"production": {"provider": provider}}
        return schema.is_valid({"apps": {"web": {"repository": "acme/web", "environments": environments}}})

    assert fits({"type": "command", "run": ["x"], "checkout": False})
    assert not fits({"type": "command", "run": ["x"], "shell": True})
    assert not fits({"type": "command"})
    assert not fits({"type": "nothing"})
    assert fits(None)


def test_those_of_the_package_are_those_of_the_table() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"][integrators.GROUP] == integrators.OURS


def test_only_those_that_are_named_are_imported() -> None:
    config = CONFIG.format(provider="{}").replace("        provider: {}\n", "        timeout: 1h\n")
    program = (
        "import sys; from bot.deploys.config_file import read_config; import bot.app;"
        f"read_config({config!r}); print([n for n in sys.modules if n.startswith('bot.providers.')])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not re.search(r"command|supervise|heroku|http'|actions", done.stdout)


# The package that docs/providers.md shows


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Installs it, as far as Python can tell."""
    text = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
    project, module = (re.search(rf"```{kind}\n(.*?)```", text, re.DOTALL)[1] for kind in ("toml", "python"))  # type: ignore[index]
    (tmp_path / "shipbot_bucket.py").write_text(module)
    made = tmp_path / "shipbot_bucket-1.0.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: shipbot-bucket\nVersion: 1.0\n")
    points = tomllib.loads(project)["project"]["entry-points"]
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in named.items()) for group, named in points.items()]
    (made / "entry_points.txt").write_text("".join(lines))
    monkeypatch.syspath_prepend(str(tmp_path))
    integrators.find.cache_clear()
    yield
    integrators.find.cache_clear()
    sys.modules.pop("shipbot_bucket", None)


def test_a_team_ships_its_own(bucket: None, make_place: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    assert integrators.names() == ["actions", "bucket", "command", "heroku", "http"]
    assert faults("{type: bucket, bucket: x, y: 1}") == [f"{PLACE}.y: no such key"]
    monkeypatch.setenv("BUCKET_KEY", "k3y-of-the-bucket")
    world = make_place("{type: bucket, bucket: web-files}")
    world.say("U0ANA", "/deploy web/topic to production")
    carry_out(world)
    assert statuses(world)[-1] == ("success", "web is in web-files")
    assert output(world.store).count(", with ***\n") == 3
    assert "k3y-of-the-bucket" not in json.dumps(
        world.github.statuses("acme/web", world.github.deployments("acme/web")[0]["id"])
    )


def test_a_provider_that_breaks(
    bucket: None, make_place: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUCKET_KEY", "k3y-of-the-bucket")
    world = make_place("{type: bucket, bucket: web-files}")
    provider = integrators.find("bucket")
    monkeypatch.setattr(type(provider), "run", lambda *_: 1 / 0)
    world.say("U0ANA", "/deploy web/topic to production")
    carry_out(world)
    words = "The provider bucket is broken (ZeroDivisionError); its log has more under R1."
    assert statuses(world)[-1] == ("error", words)
    monkeypatch.setattr(type(provider), "run", lambda *_: provider_outcome("inactive"))
    world.say("U0ANA", "/deploy web/topic to production/fe1")
    carry_out(world)
    assert statuses(world)[-1] == ("error", "The provider bucket ended with “inactive”, which is no end.")


def provider_outcome(state: str) -> object:
    from bot.providers.base import Outcome

    return Outcome(state)


def test_what_is_no_provider_is_a_fault_of_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "odd-1.0.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
    (made / "entry_points.txt").write_text("[shipbot.providers]\nodd = json:dumps\ngone = nowhere_at_all:X\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert faults("{type: odd}") == [f"{PLACE}: the provider odd is no provider: its `config` is not a ProviderConfig"]
    assert faults("{type: gone}")[0].startswith(f"{PLACE}: the provider gone can't be imported (ModuleNotFoundError")
    integrators.find.cache_clear()


def test_variables_that_are_missing_are_named_with_who_asks() -> None:
    config = read_config(CONFIG.format(provider="{type: command, run: [x], env: [DEPLOY_KEY, OTHER]}"))
    place = "apps.web.environments.production.provider"
    assert missing(config, lambda names: {"OTHER": "x"}) == [("DEPLOY_KEY", place)]
    assert set(secret_names(config)) == {"DEPLOY_KEY", "OTHER", *PROXIES}


def test_the_bot_does_not_start_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "shipbot.yml"
    path.write_text(CONFIG.format(provider="{type: command, run: [x], env: [KEY_THAT_NOBODY_SETS]}"))
    given = {
        "SHIPBOT_CONFIG": str(path),
        "SLACK_BOT_TOKEN": "xoxb-1",
        "SLACK_SIGNING_SECRET": "s",
        "GITHUB_TOKEN": "g",
        "GITHUB_WEBHOOK_SECRET": "w",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert main(["serve"]) == 2
    words = f"KEY_THAT_NOBODY_SETS: must be set (apps.web.environments.production.provider in {path})"
    assert words in capsys.readouterr().err
