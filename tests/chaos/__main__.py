"""`make chaos`: many games, each by a seed that plays it again.

CHAOS_RUNS: how many, 1000 unless given. CHAOS_SEED: the first seed; alone it plays just that one and tells its story.
CHAOS_WALK: in their place one deploy is killed at each of its steps in turn, on SQLite and then on PostgreSQL.
CHAOS_WORKERS: how many are played side by side, 2 unless given.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator

from tests.chaos.game import Played, play_all
from tests.chaos.walk import walk_all

Part = tuple[Callable[..., None], tuple[object, ...]]

SILENCE = 300.0  # seconds without a game's end after which something is wrong with the games themselves


def main() -> int:
    """Plays; 1 when anything was found."""
    alone = "CHAOS_SEED" in os.environ and "CHAOS_RUNS" not in os.environ
    first = int(os.environ.get("CHAOS_SEED", "1"))
    runs = 1 if alone else int(os.environ.get("CHAOS_RUNS", "1000"))
    walking = "CHAOS_WALK" in os.environ
    workers = min(runs, int(os.environ.get("CHAOS_WORKERS", "2")))
    began = time.monotonic()
    played = []
    parts: list[Part] = [(play_all, (range(first + index, first + runs, workers),)) for index in range(workers)]
    if walking:
        parts = [(walk_all, (1 + index, workers)) for index in range(workers)]
    for game in _play(parts):
        played.append(game)
        if game.faults or alone:
            print(f"\n{game.name} on {game.database}: {'; '.join(game.faults) or 'clean'}")
            print(*(f"    {line}" for line in game.story), sep="\n")
            print("  the room:", *game.room.splitlines(), sep="\n    ", flush=True)
        else:
            print(f"{game.name} {game.database} {len(game.deaths)} deaths {game.seconds:.1f} s clean", flush=True)
    _sum_up("the walk" if walking else f"from seed {first} on", played, time.monotonic() - began)
    return 1 if any(game.faults for game in played) else 0


def _play(parts: list[Part]) -> Iterator[Played]:
    """The games of all parts as they end, each part in a process of its own."""
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[Played | None] = context.Queue()
    processes = [context.Process(target=play, args=(*given, results)) for play, given in parts]
    for process in processes:
        process.start()
    left = len(processes)
    while left:
        game = results.get(timeout=SILENCE)
        if game is None:
            left -= 1
        else:
            yield game
    for process in processes:
        process.join()


def _sum_up(which: str, played: list[Played], seconds: float) -> None:
    bad = [game.name for game in played if game.faults]
    verdicts = [game.verdict for game in played if game.verdict is not None]
    troubles: Counter[str] = Counter()
    for game in played:
        troubles += game.troubles
    print(f"\n{len(played)} games, {which}, in {seconds:.0f} s")
    print(f"  {sum(game.database == 'postgresql' for game in played)} of them on PostgreSQL, the others on SQLite")
    print(f"  {sum(v.commands for v in verdicts)} commands, {sum(v.deploys for v in verdicts)} deploys")
    print(f"  {sum(len(game.deaths) for game in played)} deaths")
    print(
        "  answers that went wrong:", ", ".join(f"{kind} {count}" for kind, count in sorted(troubles.items())) or "none"
    )
    print(f"  not clean: {', '.join(bad) or 'none'}")


if __name__ == "__main__":
    sys.exit(main())
