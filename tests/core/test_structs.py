"""No two threads come to find out at once what a struct holds."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import msgspec

import bot
from bot import structs
from bot.service.redelivering import Hooks
from tests.world import World

# What a bot does at its start, in the process that is given as text: many threads read something for the first time.
RACE = """
import sys, threading, msgspec
{first}
from bot.service.redelivering import Hooks
sys.setswitchinterval(1e-6)
start = threading.Barrier(8)
def read():
    start.wait()
    msgspec.convert({{"hidden": True, "hooks": {{"1": {{"seen": "2026-03-02T09:00:00Z"}}}}}}, Hooks)
threads = [threading.Thread(target=read) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@contextlib.contextmanager
def found_out() -> Iterator[list[str]]:
    """The names of the structs that msgspec meanwhile finds out about."""
    names: list[str] = []

    def called(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code.co_name == "get_class_annotations":
            names.append(frame.f_locals["obj"].__name__)

    sys.setprofile(called)
    try:
        yield names
    finally:
        sys.setprofile(None)


def test_a_bot_knows_its_structs_before_it_has_threads(world: World) -> None:
    class Early(msgspec.Struct):
        number: int

    with found_out() as names:
        world.restart()
    assert "Early" in names
    with found_out() as names:
        msgspec.json.decode(b'{"number": 1}', type=Early)
    assert names == []


def test_there_is_none_that_can_not_be_found_out_about() -> None:
    for module in pkgutil.walk_packages(bot.__path__, "bot."):
        if not module.name.endswith("__main__") and "migrations" not in module.name:
            importlib.import_module(module.name)
    ours = [kind for kind in structs._below(msgspec.Struct) if kind.__module__.startswith("bot.")]
    assert Hooks in ours
    structs.work_out()
    with found_out() as names:
        for kind in ours:
            msgspec.json.Decoder(kind)
    assert names == []


def test_many_threads_read_their_first() -> None:
    first = "from bot import structs\nfrom bot.service import redelivering\nstructs.work_out()"
    for _ in range(5):
        ended = subprocess.run([sys.executable, "-c", RACE.format(first=first)], capture_output=True, check=False)
        assert (ended.returncode, ended.stderr) == (0, b"")
