"""What is remembered for the forms that people fill in: the refs of a repository, and whose turn a form is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from bot.deploys.errors import PersonError, TryLater
from bot.service.core import Core
from bot.store import records

REFS_KEPT = timedelta(minutes=1)
TURNS_KEPT = timedelta(days=1)  # nobody leaves a form open for longer


@dataclass(frozen=True, slots=True)
class Refs:
    """Branches and tags as they were when GitHub was last asked; `default` is the repository's default branch."""

    default: str = ""
    names: tuple[str, ...] = ()


class Remembering(Core):
    """The verbs `refs`, `freshen_refs`, `take_turn` and `has_turn`."""

    def refs(self, repository: str) -> Refs:
        """What is remembered of a repository's refs. Asks nobody."""
        with self._store.read() as connection:
            known = records.fact(connection, f"refs:{repository}")
        return Refs(known["default"], tuple(known["names"])) if known else Refs()

    def freshen_refs(self, repository: str) -> Refs:
        """The same, asked of GitHub anew when it is older than a minute; as it was while GitHub can't be asked."""
        fact = f"refs:{repository}"
        now = self._clock.now()
        with self._store.read() as connection:
            known = records.fact_at(connection, fact)
        if known is None or now - known[1] >= REFS_KEPT:
            try:
                value = {"default": self._github.default_branch(repository), "names": self._github.refs(repository)}
            except (PersonError, TryLater):
                return self.refs(repository)  # a menu that offers less; whatever else is asked of GitHub says why
            with self._store.write() as connection:
                records.remember(connection, fact, value, now)
        return self.refs(repository)

    def take_turn(self, form: str, turn: int) -> bool:
        """Whether `turn` is the newest that came for a form; then it is remembered as that.

        Turns are numbers that grow. Several workers may be at one form; the newest choice is the one to be shown.
        """
        now = self._clock.now()
        with self._store.write() as connection:
            records.forget(connection, "form:", now - TURNS_KEPT)
            return records.remember_newest(connection, f"form:{form}", turn, now)

    def has_turn(self, form: str, turn: int) -> bool:
        """Whether nothing newer came for a form since."""
        with self._store.read() as connection:
            known = records.fact(connection, f"form:{form}")
        return known is None or bool(known <= turn)
