"""`docs/architecture.md` is held to the code: states, tables, files, kinds of jobs."""

from __future__ import annotations

import re
from pathlib import Path

from bot.deploys import states
from bot.github.payloads import EVENTS
from bot.github.webhooks import KIND
from bot.service.core import (
    ANSWER,
    CARD,
    CHANGE,
    CREATE,
    DECIDE,
    DELIVERIES,
    FILE,
    GONE,
    HEAD,
    LOCK_TIMER,
    LOOK,
    PAST,
    PREVIEW,
    REVIEW,
    SCHEDULE_TIMER,
    STOP,
    TELL,
    WATCH,
)
from bot.service.linking import LOGIN
from bot.slack.listeners import CLICK, COMMAND, EVENT
from bot.store.runs import REPORT
from bot.store.schema import metadata

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def arrows(title: str) -> set[tuple[str, str]]:
    """The transitions of the state diagram below a heading."""
    diagram = TEXT.partition(f"## {title}\n")[2].partition("```mermaid\nstateDiagram-v2\n")[2].partition("```")[0]
    return {(start, end) for start, end in re.findall(r"^ *(\S+) --> ([^\s:]+)", diagram, re.MULTILINE)}


def test_the_state_diagram_is_that_of_the_code() -> None:
    drawn = arrows("The states of a deploy")
    assert {state for arrow in drawn for state in arrow} - {"[*]"} == states.REPORTED | states.OURS
    assert {start for start, end in drawn if end == "[*]"} == states.FINAL
    assert {end for start, end in drawn if start == "[*]"} == {states.HELD, states.ASKED, states.CREATED}
    assert {end for start, end in drawn if start == states.CREATED} == states.REPORTED | {states.CANCELLED, states.LOST}
    for start, end in drawn - {(start, end) for start, end in drawn if "[*]" in (start, end)}:
        assert not states.is_final(start)
        if end in states.REPORTED:
            assert states.advance(start, end, newer=True) == end


def test_every_table_is_described() -> None:
    section = TEXT.partition("## The tables\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == set(metadata.tables)


def test_the_states_of_a_job_are_those_of_the_store() -> None:
    drawn = {state for arrow in arrows("How a job lives") for state in arrow} - {"[*]"}
    written = set(re.findall(r'"(ready|running|done|dead)"', (ROOT / "bot/store/jobs.py").read_text(encoding="utf-8")))
    assert drawn == written == {"ready", "running", "done", "dead"}


def test_the_kinds_of_jobs_are_those_there_are() -> None:
    section = TEXT.partition("## How a job lives\n")[2].partition("\n## ")[0]
    items = [
        item
        for item in re.split(r"\n(?=- |\n)", section)
        if item.startswith(("- **Inbox", "- **Outbox", "- **Work", "- **Timers"))
    ]
    named = set(re.findall(r"`([a-z_.]+)`", " ".join(items))) - {"delivery", "subject"}
    at_github = {CREATE, CHANGE, STOP, REPORT, PAST, FILE, LOGIN, DELIVERIES, PREVIEW, GONE, ANSWER}
    timers = {DECIDE, WATCH, LOCK_TIMER, SCHEDULE_TIMER, LOOK, HEAD}
    inside = {CARD, TELL, REVIEW, *at_github, *timers}
    kinds = {COMMAND, CLICK, EVENT, *inside} | {KIND + event for event in EVENTS}
    assert named <= kinds
    assert {COMMAND, CLICK, EVENT, *inside} <= named


def test_every_file_that_is_named_is_there() -> None:
    house = TEXT.partition("## The house\n")[2].partition("\n## ")[0]
    door = Path()
    for line in house.splitlines():
        if found := re.match(r"    (?:  door  )?(bot/[\w./]+)", line):
            path = Path(found[1])
            assert (ROOT / path).exists(), path
            door = path
        if found := re.match(r"      (?:door  \S+|  {8,})\s+(\w+\.py|views/) ", line):
            assert (ROOT / door / found[1]).exists(), found[1]
    for name in re.findall(r"`(bot/[\w./]+)`", TEXT):
        assert (ROOT / name).exists(), name


def test_the_house_is_complete() -> None:
    house = TEXT.partition("## The house\n")[2].partition("\n## ")[0]
    for path in (ROOT / "bot").iterdir():
        if path.suffix == ".py" and path.name != "__init__.py":
            assert path.name in house, path.name
        elif path.is_dir() and path.name != "__pycache__":
            assert f"bot/{path.name}/" in house, path.name
