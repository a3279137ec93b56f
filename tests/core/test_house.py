"""The house: lower floors know nothing of those above, doors know nothing of one another, one place for each thing.

Nothing is imported here; the source is read.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.deploys import errors
from bot.slack.views.problems import codes

ROOT = Path(__file__).parents[2]

# From the ground up. What is named first wins, so that a module can stand elsewhere than its package.
FLOORS: list[tuple[str, ...]] = [
    ("bot.deploys",),
    ("bot.store",),
    ("bot.service", "bot.reader"),
    ("bot.slack", "bot.github", "bot.providers", "bot.pages"),
    (
        "bot.worker",
        "bot.attempt",
        "bot.runner",
        "bot.reporter",
        "bot.callbacks",
        "bot.scheduler",
        "bot.app",
        "bot.server",
        "bot.check",
        "bot.upkeep",
    ),
    ("bot.playground",),
    ("bot.__main__",),
]
# Tools that belong to no floor: anyone may use them, and they use nothing of the house.
TOOLS = ("bot.web", "bot.metrics", "bot.logs", "bot.settings", "bot.structs")
DOORS = FLOORS[3]


def sources() -> dict[str, ast.Module]:
    found = {}
    for path in sorted((ROOT / "bot").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_text(encoding="utf-8"))
    return found


SOURCES = sources()
PRODUCTION = {name: tree for name, tree in SOURCES.items() if not name.startswith("bot.playground")}


def within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def floor(module: str) -> int:
    return next(number for number, packages in enumerate(FLOORS) if within(module, *packages))


def imports(module: str) -> Iterator[tuple[str, int]]:
    """The modules that a module imports anywhere in it, each with its line."""
    for node in ast.walk(SOURCES[module]):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: a relative import"
            for alias in node.names:  # a name may be a module itself
                whole = f"{node.module}.{alias.name}"
                yield (whole if whole in SOURCES else str(node.module)), node.lineno


def outside(package: str, allowed: tuple[str, ...], modules: dict[str, ast.Module]) -> list[str]:
    """Where a foreign package is imported though it is not allowed there."""
    return [
        f"{module}:{line} imports {name}"
        for module in modules
        if not within(module, *allowed)
        for name, line in imports(module)
        if within(name, package)
    ]


def literals(tree: ast.Module) -> Iterator[ast.Constant]:
    """The texts in a module that are no docstrings."""
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr):
                docstrings.add(id(first.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node


def dotted(node: ast.AST) -> str:
    """`a.b.c` of an attribute's expression."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "…"


def test_every_module_has_its_floor() -> None:
    homeless = [module for module in SOURCES if module != "bot" and not within(module, *TOOLS, *sum(FLOORS, ()))]
    assert homeless == []


def test_lower_floors_know_nothing_of_those_above() -> None:
    upward = [
        f"{module}:{line} imports {name}"
        for module in SOURCES
        if module != "bot" and module not in TOOLS
        for name, line in imports(module)
        if within(name, "bot") and name != "bot" and name not in TOOLS and floor(name) > floor(module)
    ]
    assert upward == []


def test_tools_use_nothing_of_the_house() -> None:
    assert [f"{tool}:{line}" for tool in TOOLS for name, line in imports(tool) if within(name, "bot")] == []


def test_doors_do_not_know_one_another() -> None:
    across = [
        f"{module}:{line} imports {name}"
        for module in SOURCES
        if within(module, *DOORS)
        for name, line in imports(module)
        if within(name, *(door for door in DOORS if not within(module, door)))
    ]
    assert across == []


def test_production_does_not_know_the_simulators() -> None:
    assert outside("bot.playground", ("bot.__main__",), PRODUCTION) == []


@pytest.mark.parametrize(
    ("package", "room"),
    [
        ("github", ("bot.github.asking", "bot.github.client")),
        ("slack_sdk", ("bot.slack",)),
        ("slack_bolt", ("bot.slack",)),
        ("apscheduler", ("bot.scheduler", "bot.deploys")),  # the ground for its CronTrigger, which holds no state
        ("alembic", ("bot.store.migrations",)),
        (
            "sqlalchemy",
            (
                "bot.store",
                "bot.service",
                "bot.worker",
                "bot.attempt",
                "bot.runner",
                "bot.reporter",
                "bot.check",
                "bot.upkeep",
                "bot.slack.outbox",
                "bot.slack.reviews",
                "bot.slack.sender",
            ),
        ),
        ("prometheus_client", ("bot.metrics",)),
        ("uvicorn", ("bot.server",)),
        ("pydantic_settings", ("bot.settings",)),
        ("starlette", ()),
        ("requests", ("bot.github", "bot.providers")),
    ],
)
def test_each_library_has_its_room(package: str, room: tuple[str, ...]) -> None:
    assert outside(package, room, PRODUCTION) == []


def test_one_road_leads_to_slacks_rooms() -> None:
    """What is posted or edited elsewhere would know no pace, and be said twice when its answer is lost."""
    astray = [
        f"{module}:{node.lineno}"
        for module, tree in PRODUCTION.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and re.search(r"\bslack\.(post|update)$|_slack\.(post|update)$", dotted(node.func))
        if module != "bot.slack.sender"
    ]
    assert astray == []


def test_the_ground_is_pure() -> None:
    ground = {name: tree for name, tree in PRODUCTION.items() if within(name, "bot.deploys")}
    for package in ("sqlalchemy", "requests", "urllib.request", "http", "socket", "threading", "asyncio", "structlog"):
        assert outside(package, (), ground) == []


def test_the_environment_is_read_in_one_place() -> None:
    names = {"environ", "environb", "getenv"}
    reads = [
        f"{module}:{node.lineno}"
        for module, tree in PRODUCTION.items()
        if module != "bot.settings"
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and dotted(node) in {f"os.{name}" for name in names})
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and names & {one.name for one in node.names})
    ]
    assert reads == []


def test_the_clock_is_read_in_one_place() -> None:
    reads = [
        f"{module}:{node.lineno} calls {dotted(node.func)}"
        for module, tree in PRODUCTION.items()
        if module != "bot.deploys.clock"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and dotted(node.func).endswith(
            ("datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns")
        )
    ]
    assert reads == []


BLOCK_KIT = {"mrkdwn", "plain_text", "section", "divider", "header", "button", "blocks", "elements", "modal"}


def test_blocks_are_written_in_one_place() -> None:
    written = [
        f"{module}:{node.lineno} says {node.value!r}"
        for module, tree in PRODUCTION.items()
        if not within(module, "bot.slack.views")
        for node in literals(tree)
        if node.value in BLOCK_KIT - ({"blocks"} if module == "bot.slack.client" else set())  # which passes them on
    ]
    assert written == []


def test_words_for_people_are_written_in_one_place() -> None:
    """What names the command, or wears an emoji, is said to people in Slack."""
    said = [
        f"{module}:{node.lineno} says {node.value!r}"
        for module, tree in PRODUCTION.items()
        if not within(module, "bot.slack.views", "bot.check", "bot.__main__")
        for node in literals(tree)
        if "/deploy " in str(node.value) or re.fullmatch(r":[a-z_]+:", str(node.value))
    ]
    assert said == []


def test_nobody_sleeps() -> None:
    """Waiting is a row with a time, so that a restart does not lose it and a worker is never held up. Only for the
    database itself no row can wait."""
    sleeps = [
        f"{module}:{node.lineno}"
        for module, tree in PRODUCTION.items()
        if module != "bot.store.awaiting"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and dotted(node.func) == "time.sleep"
    ]
    assert sleeps == []


def test_every_problem_has_its_words() -> None:
    bases = (errors.PersonError, errors.TryLater)
    kinds = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, bases) and value not in bases
    }
    assert codes() == kinds | endings()


def endings() -> set[str]:
    """What a verb ends a deploy with that is nobody's error: the names that it makes problems with."""
    found = {
        node.args[0].value
        for module, tree in SOURCES.items()
        if within(module, "bot.service")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and dotted(node.func) == "Problem" and isinstance(node.args[0], ast.Constant)
    }
    assert "Cancelled" in found
    return found


def test_every_module_says_what_it_is_for() -> None:
    assert [module for module, tree in SOURCES.items() if not ast.get_docstring(tree)] == []
