"""`python -m bot jobs`: what died, and trying it again. Works beside a running `serve`, on SQLite too."""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from bot.deploys.clock import SystemClock
from bot.deploys.config_file import ConfigError, load_config
from bot.logs import HIDDEN, Hiding
from bot.providers.needed import secret_names
from bot.settings import config_path, known_secrets, variables
from bot.store import dead
from bot.store.engine import Store
from bot.upkeep import Refused, open_store

NOTE = 160  # characters of a note in a list
# What lets somebody speak for Slack or a person, by the name of its key.
_SECRET_KEY = re.compile(r"token|secret|password|response_url|trigger_id|private_key|handle", re.IGNORECASE)


def run(given: argparse.Namespace, url: str) -> None:
    """Lists, shows or retries. Raises Refused and StoreError."""
    store = open_store(url)
    try:
        match given.action:
            case "list":
                _list(store, every=given.all)
            case "show":
                _show(store, _number(given.id))
            case _:
                _retry(store, None if given.all else _number(given.id))
    finally:
        store.close()


def _list(store: Store, *, every: bool) -> None:
    mask = _Mask()
    found = 0
    with store.read() as connection:
        for row in dead.listed(connection, every=every):
            found += 1
            note = mask.text(row.note or "")
            since = row.finished_at or row.created_at
            tried = f"{row.attempts} attempt{'' if row.attempts == 1 else 's'}"
            say(f"J{row.id}  {row.state:7}  {row.kind}  since {_moment(since)}  {tried}  {_line(note)[:NOTE]}")
    if not found:
        say("nothing is waiting, under way or dead" if every else "there are no dead letters")


def _show(store: Store, number: int) -> None:
    with store.read() as connection:
        row = dead.find(connection, number)
    if row is None:
        raise Refused(f"there is no job J{number}")
    mask = _Mask()
    for name, value in row._mapping.items():
        if name != "payload" and value is not None:
            told = _moment(value) if isinstance(value, datetime) else mask.text(str(value))
            say(f"{name}: {_line(told)}")
    say("payload: " + json.dumps(mask.value(_parsed(row.payload)), indent=2, ensure_ascii=True))


def _retry(store: Store, number: int | None) -> None:
    now = SystemClock().now()
    if number is not None:
        with store.write() as connection:
            revived = dead.revive(connection, number, now)
            row = dead.find(connection, number)
        if not revived:
            is_what = f"is {row.state}, and no dead letter" if row is not None else "is not there"
            raise Refused(f"J{number} {is_what}: `python -m bot jobs list` names those that can be tried again")
        say(f"J{number} is ready again; a running bot takes it up within a second or two")
        return
    revived_in_all = last = 0
    while True:
        with store.read() as connection:
            page = dead.numbers(connection, after=last)
        if not page:
            break
        for each in page:  # one by one, so that nobody waits long for a turn to write
            with store.write() as connection:
                revived_in_all += dead.revive(connection, each, now)
        last = page[-1]
    say(
        f"{revived_in_all} {'is' if revived_in_all == 1 else 'are'} ready again"
        if revived_in_all
        else "nothing is dead"
    )


def _number(text: str) -> int:
    """`12`, or the reference `J12` that people were given."""
    found = re.fullmatch(r"[Jj]?([0-9]{1,18})", text)
    if found is None:
        raise Refused(f"{text!r} is no job: write its number, such as 12 or J12")
    return int(found[1])


def _parsed(payload: str) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return payload


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _line(text: str) -> str:
    """On one line, and nothing in it that a terminal would obey."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in " ".join(text.split()))


class _Mask:
    """Takes secrets out of what is shown: those of this environment, and what stands under the name of one."""

    def __init__(self) -> None:
        found: Iterable[str] = known_secrets()
        with contextlib.suppress(ConfigError):  # then there are no providers to know of
            found = [*found, *variables(secret_names(load_config(config_path()))).values()]
        self.text = Hiding(found)

    def value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {
                self.text(key): HIDDEN if _SECRET_KEY.search(key) and item else self.value(item)
                for key, item in value.items()
            }
        return value


def say(text: str) -> None:
    """A line for whoever runs the command."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
