"""`docs/security.md` is held to the tests: each line names one or more that are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def lines() -> list[list[str]]:
    """The rows of the first table."""
    table = TEXT.partition("|---|---|---|---|\n")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]


def known_tests() -> set[str]:
    """The names of all tests there are, but for those that are always skipped."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                skipped = any("skip" in ast.unparse(each) for each in node.decorator_list)
                found |= set() if skipped else {node.name}
    return found


def test_every_line_names_tests_that_are_there() -> None:
    known = known_tests()
    assert len(lines()) > 20
    for who, could, held, named in lines():
        assert who, named
        assert could, who
        assert held, who
        names = re.findall(r"`(\w+)`", named)
        assert names, who
        assert named == ", ".join(f"`{name}`" for name in names), who
        assert not [name for name in names if name not in known], who


def test_every_threat_has_its_line() -> None:
    told = " ".join(who for who, *_ in lines())
    for word in (
        "stolen webhook secret",
        "stolen signing secret",
        "config does not name",
        "guest",
        "copies an id",
        "names of branches, tags, authors and commits",
        "app's file",
        "addresses in statuses",
        "fork",
        "database file",
        "what it prints",
        "log page",
        "sends it again",
        "giant bodies",
        "slowly",
    ):
        assert word in told, word
