"""One game: people, deployers and webhooks by a seed, deaths and trouble between them, and then the verdict."""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.chaos.databases import Files, Server
from tests.chaos.judge import ENDS, Verdict, judge
from tests.chaos.nest import Nest
from tests.chaos.scene import PEOPLE, REPOSITORIES, Said, Scene, Stuck

PLACES = (
    "web/topic to staging",
    "web to staging",
    "web/other to production",
    "web/topic to production",
    "web/topic to production/fe1",
    "api/topic to production",
    "api/topic to canary",
    "api/other to production",
    "api to canary",
)
TAILS = ("", "", "", "", "!", " because the login loops", " in 5m", " in 2m because it can wait")
CARD_BUTTONS = ("deploy_approve", "deploy_cancel", "deploy_reject", "deploy_force", "deploy_retry", "deploy_rollback")
EVERY_FIFTH = 5  # seed on PostgreSQL
ENDINGS = 25  # rounds in which deployers end what is under way


@dataclass
class Played:
    """How a game went. `faults` is empty for a clean one; `deaths` are the steps at which the bot died."""

    name: str
    database: str
    faults: list[str] = field(default_factory=list)
    verdict: Verdict | None = None
    deaths: list[str] = field(default_factory=list)
    troubles: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    story: list[str] = field(default_factory=list)
    room: str = ""


class Table:
    """Where games are played one after another: the process that forks bots, and the databases to copy."""

    def __init__(self) -> None:
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(prefix="shipbot-chaos-", dir=memory if memory.is_dir() else None))
        self.folder.chmod(0o755)  # PostgreSQL runs as somebody else when we are root
        self.nest = Nest()
        self.files = Files(self.folder)
        self._server: Server | None = None

    @property
    def server(self) -> Server:
        """A PostgreSQL, started when it is first wanted."""
        if self._server is None:
            self._server = Server(self.folder)
        return self._server

    def close(self) -> None:
        self.nest.close()
        if self._server is not None:
            self._server.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def play(self, seed: int) -> Played:
        """Plays the game of a seed."""
        postgres = seed % EVERY_FIFTH == 0
        server = self.server if postgres else None
        return self.game(f"seed {seed}", lambda scene: Game(scene, Random(seed), server).play(), postgres=postgres)

    def game(self, name: str, script: Callable[[Scene], None], *, postgres: bool) -> Played:
        """Plays a script to its end. What it finds stands in `faults`; it raises for nothing that the bot does."""
        began = time.monotonic()
        home = Path(tempfile.mkdtemp(prefix="game-", dir=self.folder))
        scene = Scene(home, self.nest, (self.server if postgres else self.files).copy(home), name)
        played = Played(name, "postgresql" if postgres else "sqlite")
        try:
            script(scene)
            played.verdict = judge(scene)
            played.faults = played.verdict.faults
        except AssertionError as stuck:
            played.faults = [str(stuck)]
        finally:
            for trouble in scene.trouble.values():
                played.troubles += trouble.made
            played.room = scene.slack.transcript("C0OPS")
            if played.faults and (log := home / "bot.log").exists():
                scene.tell(f"the log ends with\n{log.read_text()[-6000:]}")
            scene.close()
            shutil.rmtree(home, ignore_errors=True)
        played.story = scene.story
        played.deaths = [life.died for life in scene.lives if life.died]
        played.seconds = time.monotonic() - began
        return played


class Game:
    """The acts, each drawn by chance."""

    def __init__(self, scene: Scene, chance: Random, server: Server | None) -> None:
        self.scene = scene
        self.chance = chance
        self.server = server
        self.deaths = chance.choice((0, 1, 1, 2, 2, 3, 4))
        scene.next_death = self._next_death
        self.rate = chance.choice((0.0, 0.1, 0.2, 0.35))
        self.catastrophe_at = chance.choice((-1, 3, 7))  # the act before which the database or the disk fails

    def play(self) -> None:
        scene, chance = self.scene, self.chance
        scene.revive()
        self._trouble(self.rate)
        acts: list[tuple[float, Callable[[], None]]] = [
            (5.0, self._deploy),
            (6.0, self._report),
            (2.0, self._vote),
            (1.0, self._cancel),
            (2.0, self._lock),
            (1.0, self._again),
            (1.0, self._ask),
            (1.0, self._click),
            (0.7, self._push),
            (0.7, lambda: scene.forward(seconds=chance.choice((5, 20, 70, 200)))),
            (0.4, scene.kill),
        ]
        for number in range(chance.randint(8, 18)):
            if number == self.catastrophe_at:
                self._catastrophe()
            scene.revive()
            chance.choices([act for _, act in acts], [weight for weight, _ in acts])[0]()
            after = chance.random()
            if after < 0.3:
                scene.rest(chance)
            elif after < 0.7:
                scene.deliver(chance)
        self._end()

    def _end(self) -> None:
        """All trouble is over; deployers end what is under way, and time passes."""
        self._trouble(0.0)
        self.deaths = 0
        scene = self.scene
        scene.tell("from here on all goes well")
        for _ in range(ENDINGS):
            scene.rest()
            if not self._end_one():
                scene.rest(timers=True)
                if not self._end_one():
                    return
        raise Stuck("deploys without end")

    def _end_one(self) -> bool:
        """Deployers report the end of whatever has none; whether there was anything."""
        under_way = self._under_way()
        for repository, deployment in under_way:
            self._say_status(repository, deployment, self.chance.choice(("success", "success", "success", "failure")))
        return bool(under_way)

    # what goes wrong

    def _trouble(self, rate: float) -> None:
        for trouble in self.scene.trouble.values():
            trouble.rate = rate

    def _next_death(self) -> tuple[int, str]:
        """Anywhere, or where it hurts: around a write, or with what was just committed."""
        if self.deaths == 0:
            return 0, ""
        self.deaths -= 1
        chance = self.chance
        return chance.choice(
            (
                (chance.randint(1, 40), ""),
                (chance.randint(30, 160), ""),
                (chance.randint(1, 15), "POST"),
                (chance.randint(1, 6), "after sending POST"),
                (chance.randint(5, 40), "after a commit"),
            )
        )

    def _catastrophe(self) -> None:
        """The database goes away, or there is no room for it; what is said meanwhile is not acknowledged."""
        scene = self.scene
        scene.revive()
        if self.server is not None:
            scene.tell("the database dies")
            scene.out_of_order = True
            self.server.die()
            try:
                for _ in range(self.chance.randint(1, 3)):
                    self._deploy()
                scene.deliver(self.chance)
            finally:
                self.server.start()
            scene.note_death()
            scene.out_of_order = False
            scene.tell("the database is back")
            return
        scene.tell("the disk is full")
        scene.fill_disk()
        for _ in range(self.chance.randint(1, 3)):
            self._deploy()
            if not scene.process or scene.process.dead:
                return
        scene.deliver(self.chance)
        scene.empty_disk()
        scene.tell("there is room again")

    # what people do

    def _say(self, text: str, person: str = "") -> None:
        person = person or self.chance.choice(list(PEOPLE))
        way = self.chance.random()
        if way < 0.75:
            said = self.scene.say(person, f"/deploy {text}")
        elif way < 0.9:
            said = self.scene.say(person, f"@shipbot {text}")
        else:
            said = self.scene.say(person, text, "dm")
        self._insist(said)

    def _insist(self, said: Said) -> None:
        """What was not acknowledged is sent again, by Slack or by a proxy on the way, or not."""
        for _ in range(2):
            if said.acknowledged or self.chance.random() < 0.3:
                return
            self.scene.revive()
            self.scene.again(said)

    def _deploy(self) -> None:
        verb = self.chance.choice(("", "deploy "))
        self._say(verb + self.chance.choice(PLACES) + self.chance.choice(TAILS))

    def _vote(self) -> None:
        verb = self.chance.choice(("approve", "approve", "approve", "reject"))
        self._say(f"{verb} {self._number()}", self.chance.choice(("U0BEN", "U0CAL")))

    def _cancel(self) -> None:
        self._say(f"cancel {self._number()}")

    def _again(self) -> None:
        where = self.chance.choice(("web in staging", "web in production", "api in production", "api in canary"))
        self._say(self.chance.choice((f"retry {self._number()}", f"rollback {where}")))

    def _lock(self) -> None:
        where = self.chance.choice(("web in staging", "api in production", "api"))
        what = self.chance.choice(
            (
                f"lock {where}",
                f"lock {where} for 10m because of the demo",
                f"unlock {where}",
                f"lock {where}!",
                "unlock all",
            )
        )
        self._say(what)

    def _ask(self) -> None:
        self._say(self.chance.choice(("where web", "status", "history api", "locks", "whoami", "nonsense", "help")))

    def _click(self) -> None:
        """A button of one of the cards that are to be seen."""
        chance, scene = self.chance, self.scene
        cards = scene.cards("C0OPS")
        if not cards:
            return
        card = chance.choice(cards)
        for action in chance.sample(CARD_BUTTONS, len(CARD_BUTTONS)):
            try:
                self._insist(scene.click(chance.choice(list(PEOPLE)), card, action))
            except LookupError:
                continue
            return

    def _number(self) -> int:
        return self.chance.randint(max(1, self._newest() - 3), self._newest() + 1)

    def _newest(self) -> int:
        numbers = [card.metadata["event_payload"]["number"] for card in self.scene.cards("C0OPS") if card.metadata]
        return max(numbers, default=1)

    # what happens at GitHub

    def _push(self) -> None:
        self.scene.pushed = self.scene.github.push("acme/web", "main", f"Change {self.chance.randint(1, 1000)}")
        self.scene.tell("pushed to main of acme/web")

    def _report(self) -> None:
        under_way = self._under_way()
        if under_way:
            states = ("queued", "in_progress", "in_progress", "success", "success", "failure")
            self._say_status(*self.chance.choice(under_way), self.chance.choice(states))

    def _say_status(self, repository: str, deployment: int, state: str) -> None:
        self.scene.github.report(repository, deployment, state)
        self.scene.tell(f"deployment {deployment} of {repository} is {state}")

    def _under_way(self) -> list[tuple[str, int]]:
        found = []
        for repository in REPOSITORIES:
            for deployment in reversed(self.scene.github.deployments(repository)):
                states = {status["state"] for status in self.scene.github.statuses(repository, deployment["id"])}
                if not states & {*ENDS, "inactive"}:
                    found.append((repository, deployment["id"]))
        return found


def play_all(seeds: range, results: multiprocessing.Queue[Played | None]) -> None:
    """Plays one game after the other, as a process of its own; None comes last."""
    table = Table()
    try:
        for seed in seeds:
            results.put(table.play(seed))
    finally:
        table.close()
        results.put(None)
