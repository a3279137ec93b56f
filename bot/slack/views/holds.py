"""The words about locks, freezes, votes and who is who, for rooms and for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.deploys.model import Asker, Freezing, Lock, Login, Person, Problem
from bot.service.locking import Taken
from bot.slack.views import repository_configs
from bot.slack.views.card import RELEASE, STEAL
from bot.slack.views.problems import explain
from bot.slack.views.text import (
    Block,
    Message,
    actions,
    aloud,
    button,
    clock_time,
    code,
    context,
    count,
    duration,
    escape,
    flat,
    link,
    listed,
    person,
    quoted,
    scope,
    section,
)

MOST = 20  # locks listed with buttons; Slack lets 50 blocks into a message


def _say(words: str, *more: Block) -> Message:
    return aloud([section(words), *more])


def _because(reason: str) -> str:
    return f": {quoted(reason)}" if reason else ""


def _until(moment: datetime | None) -> str:
    return f" (until {clock_time(moment)})" if moment else ""


def locked(taken: Taken) -> Message:
    """To the room: somebody has taken a lock."""
    lock = taken.lock
    did = "renewed the lock on" if taken.renewed else "locked"
    if taken.stolen is not None:
        did = "took over the lock on"
    what = f"{person(lock.user_id, lock.user_name)} {did} {scope(lock.app, lock.environment)}"
    words = f":lock: {what}{_because(lock.reason)}{_until(lock.expires_at)}"
    more = []
    if taken.stolen is not None:
        more.append(context(f"It was {person(taken.stolen.user_id, taken.stolen.user_name)}'s, who is told"))
    if taken.under_way:
        numbers = listed([f"#{deploy.number}" for deploy in taken.under_way])
        more.append(context(f"{numbers} was already under way and goes on; what comes after waits"))
    return _say(words, *more, actions(button(RELEASE, "Unlock", lock.label)))


def unlocked(lock: Lock, by: Asker) -> Message:
    """To the room: a lock is gone."""
    whose = "" if lock.user_id == by.id else f", which {person(lock.user_id, lock.user_name)} had locked"
    return _say(f":unlock: {person(by.id, by.name)} unlocked {scope(lock.app, lock.environment)}{whose}")


def unlocked_mine(locks: Sequence[Lock]) -> Message:
    """To the person: all that they had locked is free."""
    if not locks:
        return _say("You hold no lock.")
    what = listed([scope(lock.app, lock.environment) for lock in locks])
    return _say(f":unlock: Unlocked {what}.")


def frozen(freeze: Freezing) -> Message:
    """To the room: nothing is deployed there for now."""
    what = f"{person(freeze.user_id, freeze.user_name)} froze {scope(freeze.app, freeze.environment)}"
    end = _until(freeze.until) or " until somebody unfreezes it"
    return _say(f":snowflake: {what}{end}{_because(freeze.reason)}")


def unfrozen(freeze: Freezing, by: Asker) -> Message:
    """To the room: it may be deployed again."""
    return _say(f":sunny: {person(by.id, by.name)} unfroze {scope(freeze.app, freeze.environment)}")


def listed_holds(locks: Sequence[Lock], freezes: Sequence[Freezing], now: datetime) -> Message:
    """Every lock and freeze that holds, each lock with what can be done about it."""
    blocks: list[Block] = []
    for lock in locks[:MOST]:
        by = code(lock.user_name or lock.user_id, 40)
        age = duration(now - lock.at)
        what = scope(lock.app, lock.environment)
        words = f":lock: {what} by {by} for {age}{_because(lock.reason)}{_until(lock.expires_at)}"
        blocks += [section(words), actions(button(RELEASE, "Unlock", lock.label), _take(lock))]
    if len(locks) > MOST:
        blocks.append(context(f"and {len(locks) - MOST} more locks"))
    for freeze in freezes[:MOST]:
        blocks.append(section(f":snowflake: {frozen_line(freeze)}"))
    if not blocks:
        return _say("Nothing is locked, and nothing is frozen.")
    return aloud(blocks, f"{count(len(locks), 'lock')}, {count(len(freezes), 'freeze')}")


def frozen_line(freeze: Freezing) -> str:
    """One freeze in a listing; nobody is mentioned."""
    called = f" “{escape(flat(freeze.name, 60))}”" if freeze.name else ""
    by = f" by {code(freeze.user_name or freeze.user_id, 40)}" if freeze.user_id else " by the config"
    end = _until(freeze.until) or " until somebody unfreezes it"
    return f"{scope(freeze.app, freeze.environment)}{by}{called}{_because(freeze.reason)}{end}"


def _take(lock: Lock) -> Block:
    whose = flat(lock.user_name or "somebody", 40)
    return button(STEAL, "Take over", lock.label, confirm=f"Take over the lock that {whose} holds? They are told.")


def voted(number: int, *, approves: bool) -> Message:
    """To the person who voted by command; the card shows the rest."""
    return _say(f"You {'approved' if approves else 'rejected'} #{number}.")


def cancelled(number: int) -> Message:
    return _say(f"You cancelled #{number}.")


def login(begun: Login) -> Message:
    """To the person alone: what to type where, so that GitHub tells who they are."""
    words = (
        f"Open {link(begun.address, begun.address)} and type {code(begun.code)} there, "
        f"by {clock_time(begun.until)}. I only ask GitHub for your login and keep nothing else."
    )
    return _say(f":key: {words}")


def logged_out(forgotten: bool, configured: str) -> Message:
    if configured:
        said = "I have forgotten what you told me. " if forgotten else ""
        return _say(
            f"{said}My config says that you are {code(configured)} at GitHub, and only whoever runs me can change that."
        )
    return _say("I don't know your GitHub login any more." if forgotten else "I did not know your GitHub login.")


def whoami(who: Person) -> Message:
    at_github = f"{code(who.login)} at GitHub" if who.login else "nobody I know at GitHub; `/deploy login` links you"
    return _say(f"You are {person(who.id, who.name)}, and {at_github}.")


def told(what: str, facts: Mapping[str, Any]) -> Message:
    """Word for one person, in the conversation with the bot, or for a room."""
    return _say(_TOLD[what](facts))


def _place(facts: Mapping[str, Any]) -> str:
    return scope(facts["app"], facts["environment"])


def _age(facts: Mapping[str, Any]) -> str:
    return clock_time(datetime.fromisoformat(facts["at"]))


def _stolen(facts: Mapping[str, Any]) -> str:
    by = person(facts["by_id"], facts["by_name"])
    return f":lock: {by} took over your lock on {_place(facts)}{_because(facts['by_reason'])}"


def _released(facts: Mapping[str, Any]) -> str:
    return f":unlock: {person(facts['by_id'], facts['by_name'])} unlocked {_place(facts)}, which you had locked"


def _expired(facts: Mapping[str, Any]) -> str:
    return f":unlock: Your lock on {_place(facts)} has run out, as you wanted"


def _reminder(facts: Mapping[str, Any]) -> str:
    app, place = facts["app"] or "all", facts["environment"]
    command = f"/deploy unlock {app}" + (f" in {place}" if place else "")
    return (
        f":alarm_clock: You have locked {_place(facts)} since {_age(facts)}{_because(facts['reason'])}. "
        f"Still needed? Else {code(command)}"
    )


def _linked(facts: Mapping[str, Any]) -> str:
    return f":key: You are {code(facts['login'])} at GitHub. `/deploy logout` makes me forget it."


def _problem(facts: Mapping[str, Any]) -> str:
    problem = Problem.from_json(facts)
    assert problem is not None
    return f":no_entry: {explain(problem)}"


def _died(facts: Mapping[str, Any]) -> str:
    number = facts["id"]
    return (
        f":coffin: I could not do a job ({code(facts['kind'])}) and have put it aside; my log says why under "
        f"{code(facts['reference'])}. Where I run, {code(f'python -m bot jobs show {number}')} shows it, and "
        f"{code(f'python -m bot jobs retry {number}')} lets me try again."
    )


def _many_died(facts: Mapping[str, Any]) -> str:
    return (
        f":coffin: {facts['number']} jobs died within an hour, so I tell of each no more. Where I run, "
        f"{code('python -m bot jobs list')} shows them, and once it is mended {code('python -m bot jobs retry --all')} "
        "lets me try again."
    )


_TOLD = {
    "lock_stolen": _stolen,
    "lock_released": _released,
    "lock_expired": _expired,
    "lock_reminder": _reminder,
    "linked": _linked,
    "job_died": _died,
    "jobs_died": _many_died,
    "problem": _problem,
    **repository_configs.TOLD,
}
