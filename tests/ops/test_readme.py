"""`README.md` is held to the code: commands, config, environment, metrics, paths, examples."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from bot.check.github import APP_EVENT_NAMES, EVENT_NAMES, NEEDED_EVENTS
from bot.deploys.config import App, Config, Environment
from bot.deploys.config_file import ConfigError, read_config
from bot.deploys.ports import RepositoryFile
from bot.deploys.repository_file import APP_KEYS, ENVIRONMENT_KEYS, filled_in
from bot.github.payloads import OF_APPS
from bot.metrics import Metrics
from bot.settings import Settings
from bot.slack.grammar import FORMS, parse
from tests.world import World

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text below a heading, up to the next of its rank or a higher one."""
    match = re.search(rf"^(#+) {re.escape(title)}$", README, re.MULTILINE)
    assert match is not None, title
    rest = README[match.end() :]
    end = re.search(rf"^#{{1,{len(match[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def table(title: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]
    return [[cell.replace("\\|", "|") for cell in row] for row in cells]


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def unquoted(cell: str) -> str:
    assert cell.startswith("`"), cell
    assert cell.endswith("`"), cell
    return cell[1:-1]


def test_the_command_table_is_the_grammars() -> None:
    assert table("Commands") == [[f"`{form.usage}`", form.summary] for form in FORMS]


def test_the_example_commands_parse() -> None:
    examples = re.findall(r"^    /(deploy.*)$", section("Commands"), re.MULTILINE)
    assert len(examples) >= 4
    for example in examples:
        words = example.removeprefix("deploy ")
        assert parse(words).name == "deploy"
    assert parse("deploy! web to production").force


SCHEMA = Config.model_json_schema()


def followed(node: dict[str, Any]) -> dict[str, Any]:
    if "anyOf" in node:  # the thing itself, or null
        node = node["anyOf"][0]
    return SCHEMA["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node


def keys(node: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Every key of the config by its path, with its default; `...` where there is none."""
    found: dict[str, Any] = {}
    for name, each in node["properties"].items():
        place = f"{path}.{name}".lstrip(".")
        value = followed(each)
        inner = followed(value.get("items", value))
        if "patternProperties" in value:  # names of the user's own
            place += ".NAME"
            (inner,) = map(followed, value["patternProperties"].values())
        if "properties" not in value:
            found[place] = each.get("default", ...)
        if "properties" in inner:
            found |= keys(inner, place)
    return found


def test_the_config_table_has_every_key() -> None:
    known = keys(SCHEMA)
    rows = table("Config")
    assert sorted(unquoted(key) for key, _, _ in rows) == sorted(known)
    for key, default, words in rows:
        value = known[unquoted(key)]
        assert (default == "required") == (value is ...), key
        if default.startswith("`") and " " not in default:
            assert yaml.safe_load(unquoted(default)) == value, key
        elif value is not ...:
            assert value in (None, [], {}), key
        assert words


def test_the_table_of_the_repository_file_has_every_key() -> None:
    rows = {where: re.findall(r"`(\w+)`", keys) for where, keys in table("A file in the repository")}
    assert rows == {"the app": sorted(APP_KEYS), "its environments": sorted(ENVIRONMENT_KEYS)}


def test_the_environment_table_has_every_variable() -> None:
    rows = table("Environment")
    assert sorted(unquoted(name).lower() for name, _, _ in rows) == sorted(Settings.model_fields)
    for name, default, words in rows:
        field = Settings.model_fields[unquoted(name).lower()]
        assert (default == "required") == field.is_required(), name
        if default.startswith("`"):
            assert unquoted(default) == str(field.default), name
        elif not field.is_required():
            assert (default, field.default) == ("", None), name
        assert words
    levels = [value for value in get_args(Settings.model_fields["log_level"].annotation) if isinstance(value, str)]
    assert all(f"`{level}`" in rows[-1][2] for level in levels)


def test_the_metrics_are_those_there_are() -> None:
    named = set(re.findall(r"shipbot_[a-z_]+", section("Watch it")))
    counted = {
        f"{metric.name}_total" if metric.type == "counter" else metric.name for metric in Metrics().registry.collect()
    }
    assert named == counted


def test_the_paths_are_those_that_are_served(world: World) -> None:
    named = set(re.findall(r"`(?:GET )?(/(?:[a-z]+z|metrics|slack/[a-z]+|github/[a-z]+))`", README))
    assert named == set(world.bot._routes)


@pytest.mark.parametrize("text", fenced("yaml"))
def test_the_yaml_is_what_it_says_it_is(text: str) -> None:
    if text.startswith("on: deployment"):
        workflow = yaml.safe_load(text)
        assert workflow["permissions"]["deployments"] == "write"
        states = re.findall(r"-f state=(\w+)", text)
        assert states == ["in_progress", "success", "failure"]
    else:
        try:
            assert read_config(text).apps
        except ConfigError:
            environments = {"staging": Environment(), "production": Environment()}
            app = App(repository="acme/web", environments=environments)
            assert filled_in(app, RepositoryFile("", text)).payload == {"team": "shop"}


def test_the_payload_is_the_one_that_is_sent(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic to production/fe1,fe2")
    sent = world.github.deployments("acme/web")[0]["payload"]
    (text,) = fenced("json")
    shown = json.loads(text)

    def shape(value: Any) -> Any:
        return {key: shape(item) for key, item in value.items()} if isinstance(value, dict) else type(value)

    assert shape(shown) == shape(sent)


def test_links_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in re.findall(r"^#+ (.*)$", README, re.M)
    }
    for target in re.findall(r"\]\(([^)]+)\)|<img src=\"([^\"]+)\"", README):
        address = "".join(target)
        if address.startswith("#"):
            assert address[1:] in headings, address
        elif not address.startswith("https://"):
            assert (ROOT / address).is_file(), address


def test_the_events_of_the_webhook_are_those_that_are_taken() -> None:
    assert set(EVENT_NAMES) == NEEDED_EVENTS
    step = " ".join(README.split("**3. The webhook.**")[1].split("**4. ")[0].split())
    of_hook, of_app = re.findall(r"(?:just|subscribe it to) (\*[^.]+\*)\.", step)
    names = list(EVENT_NAMES.values())
    assert of_hook == f"*{'*, *'.join(names[:-1])}* and *{names[-1]}*"
    (of_gates,) = re.findall(r"it takes (\*.+?\*) as well", step)
    assert set(APP_EVENT_NAMES) == OF_APPS
    assert of_gates == "*{}* and *{}*".format(*APP_EVENT_NAMES.values())
    of_one = [re.sub("(?<=us|sh)es$|s$", "", name) for name in names]
    assert of_app == f"*{'*, *'.join(of_one[:-1])}* and *{of_one[-1]}*"
