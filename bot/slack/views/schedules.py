"""The words about what is to go later, and again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bot.deploys.model import Deploy, Problem
from bot.deploys.times import local
from bot.reader import Upcoming
from bot.slack.views.card import CANCEL
from bot.slack.views.problems import explain
from bot.slack.views.replies import short_line
from bot.slack.views.text import (
    Block,
    Links,
    Message,
    actions,
    aloud,
    button,
    clock_time,
    code,
    context,
    count,
    duration_of,
    escape,
    name,
    plain,
    room,
    section,
)

TOLD = frozenset({"schedule_skipped", "schedule_failed"})  # what `told` has words for
MOST = 20  # listed with buttons; Slack lets 50 blocks into a message


def goes_at(deploy: Deploy, zone: ZoneInfo) -> Message:
    """To the person who asked: when it goes, in words and by their own clock."""
    assert deploy.due_at is not None
    there = local(deploy.due_at, zone)
    seconds = f":{there:%S}" if there.second else ""
    when = f"{there:%A}, {there.day} {there:%B} at {there:%H:%M}{seconds} ({zone.key})"
    where = f" Its card is in {room(deploy.room)}." if not deploy.room.startswith("D") else ""
    words = f"#{deploy.number} goes on {when}.{where} {code(f'/deploy unschedule {deploy.number}')} takes it back."
    return Message(plain(words), [section(f":alarm_clock: {words}")])


def unscheduled(number: int) -> Message:
    """To the person who took it back."""
    words = f"#{number} does not go any more."
    return Message(words, [section(words)])


def listed(once: Sequence[Deploy], again: Sequence[Upcoming], links: Links) -> Message:
    """What goes later and can be taken back, and what the config asks for again and again."""
    blocks: list[Block] = []
    for deploy in once[:MOST]:
        assert deploy.due_at is not None
        line = f":alarm_clock: {clock_time(deploy.due_at)}: {name(deploy.app)} · "
        line += short_line(deploy, links, deploy.environment)
        blocks += [section(line), actions(button(CANCEL, f"Cancel #{deploy.number}", str(deploy.number)))]
    if len(once) > MOST:
        blocks.append(context(f"and {count(len(once) - MOST, 'more deploy')}"))
    if again:
        lines = [_recurring(item) for item in again]
        blocks += [section("\n".join(lines[start : start + 10])) for start in range(0, min(len(lines), 50), 10)]
        if len(lines) > 50:
            blocks.append(context(f"and {len(lines) - 50} more of my config"))
    if not blocks:
        words = "Nothing is scheduled. `/deploy APP to ENV at 16:00` does, and `in 30m` in place of a time."
        return Message(plain(words), [section(words)])
    return aloud(blocks, f"{count(len(once), 'deploy')} scheduled, {len(again)} again and again")


def _recurring(item: Upcoming) -> str:
    schedule = item.schedule
    task = "" if schedule.whole_task == "deploy" else f" {code(schedule.whole_task, 40)}"
    ref = f" {code(schedule.ref, 60)}" if schedule.ref else ""
    when = f"{code(schedule.cron, 60)} ({escape(schedule.timezone)})"
    where = f"{name(schedule.app)}{ref}{task} to {name(schedule.environment)}"
    return f":repeat: {clock_time(item.at)}: {where} · by my config, {when}"


def told(what: str, facts: Mapping[str, Any]) -> Message:
    """Word for a room, of a deploy on schedule that did not come to be."""
    at = clock_time(datetime.fromisoformat(facts["at"]))
    which = f"{name(facts['app'])} to {name(facts['environment'])}, on schedule for {at}"
    if what == "schedule_skipped":
        late = duration_of(facts["late"])
        words = f":alarm_clock: Skipped {which}: I was not there then, and {late} later nobody expects it any more."
    else:
        problem = Problem.from_json(facts["problem"])
        assert problem is not None
        words = f":no_entry: {which}, came to nothing. {explain(problem)}"
    return Message(plain(words), [section(words)])
