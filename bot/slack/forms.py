"""The forms of commands: the one table from which they are parsed and help is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Clause:
    """A part that starts with a keyword: any of `words`, the first of which help shows.

    It `takes` one word, all words up to the next keyword of the form, or all the rest of the text.
    """

    words: tuple[str, ...]
    slot: str
    name: str
    wanted: str
    takes: Literal["word", "words", "rest"] = "word"
    # A keyword after which the app may stand, with its environment before: `lock production on web`.
    turned: str = ""
    # A `!` that stands alone behind the rest forces, and is not part of it.
    mark: bool = False
    # A command without it is none.
    needed: bool = False
    # The clause, by its name, that says the same in another way: of the two there is one.
    instead: str = ""

    @property
    def usage(self) -> str:
        return f"{self.words[0]} {self.slot}"


@dataclass(frozen=True, slots=True)
class Form:
    """One command: what is parsed, and what help says of it.

    `slot` is its first word, if it takes one, and `holds` the field of Command that gets it; `everything`: `all`
    may stand there. `force`: it takes a `!`. `anywhere`: an environment needs no app. `written` is the usage
    where it is not simply slot and clauses.
    """

    name: str
    summary: str
    slot: str = ""
    holds: str = ""
    required: bool = False
    everything: bool = False
    force: bool = False
    anywhere: bool = False
    clauses: tuple[Clause, ...] = ()
    written: str = ""
    examples: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    # What else people call it; no command, but understood as a slip for this one.
    also: tuple[str, ...] = ()

    @property
    def usage(self) -> str:
        """The form as people type it, optional parts in brackets."""
        if self.written:
            return self.written
        slot = self.slot if self.required or not self.slot else f"[{self.slot}]"
        return " ".join([self.name, *([slot] if slot else []), *map(_optional, self.clauses)])


def _optional(clause: Clause) -> str:
    return clause.usage if clause.needed else f"[{clause.usage}]"


HOSTS = Clause(("to", "on", "in"), "ENV[/HOSTS]", "environment", "an environment")
_IN = Clause(("in", "to", "on"), "ENV", "environment", "an environment")
_PLACE = Clause(("in", "to", "on"), "ENV", "environment", "an environment", turned="on")
_FROM = Clause(("from",), "ENV", "origin", "an environment", needed=True)
_THERE = Clause(("to",), "ENV", "environment", "an environment", needed=True)
_HERE = Clause(("in", "on"), "ENV", "environment", "an environment")
_BACK_TO = Clause(("to",), "REF", "ref", "a branch, tag or commit")
_AT = Clause(("at",), "TIME", "at", "a time such as 16:00 or Fri 16:00", takes="words", instead="duration")
_AFTER = Clause(("in",), "DURATION", "duration", "a length of time such as 30m or 2h", instead="at")
_FOR = Clause(("for",), "DURATION", "duration", "a length of time such as 30m or 2h")
_UNTIL = Clause(("until",), "TIME", "until", "a time such as 16:00 or Fri 16:00", takes="words")
_BECAUSE = Clause(("because",), "REASON", "reason", "a reason", takes="rest")
_ALWAYS_IN = Clause(("in", "to"), "ENV", "environment", "an environment")
_STATES = Clause(("on",), "STATE,…", "states", "states such as success,failure", takes="words")
_BECAUSE_OR_COLON = Clause(("because", ":"), "REASON", "reason", "a reason", takes="rest", mark=True)

FORMS: tuple[Form, ...] = (
    Form(
        "deploy",
        "Put a branch, tag or commit of an app into an environment",
        slot="APP[/REF | @REF]",
        holds="target",
        required=True,
        force=True,
        clauses=(HOSTS, _AT, _AFTER, _BECAUSE),
        written="[deploy][:TASK][!] APP[/REF | @REF][!] [to ENV[/HOSTS]][!] [at TIME | in DURATION] [because REASON]",
        examples=(
            "web",
            "web/topic to staging",
            "web@v1.4 to production/fe1,fe2 because the fix is urgent",
            "deploy:migrations web/topic to staging",
            "deploy! web to production",
            "web/topic to production at fri 16:00",
            "web to staging in 30m",
        ),
        notes=(
            "Without a ref the app's default branch goes; without an environment, the default environment.",
            "`!` forces: checks are skipped, and everyone can see it.",
            "With a time, in your own time zone, it goes then: what would be refused now is judged at that time.",
        ),
        also=("redeploy", "release", "ship", "push", "schedule"),
    ),
    Form(
        "check",
        "Say whether a deploy could go out now, and what is in its way",
        slot="APP[/REF]",
        holds="target",
        required=True,
        force=True,
        clauses=(HOSTS,),
        examples=("check web/topic to production", "check web! to production"),
        notes=("Nothing is deployed and nobody is asked.", "With `!` it is about a forced deploy."),
    ),
    Form("help", "Say what can be typed", slot="TOPIC", holds="topic", examples=("help", "help deploy")),
    Form("apps", "List the apps and their environments", also=("list", "ls")),
    Form(
        "where",
        "Say what is live in each environment of an app",
        slot="APP",
        holds="target",
        required=True,
        examples=("where web",),
        also=("live", "what"),
    ),
    Form(
        "status",
        "Say what is under way and how the last deploys went",
        slot="APP",
        holds="target",
        clauses=(_IN,),
        examples=("status", "status web in production"),
    ),
    Form(
        "stats",
        "Say how often an app was deployed, and how that went",
        slot="APP",
        holds="target",
        examples=("stats", "stats web"),
        notes=("It is about the last 30 days; of an app with very many deploys about the newest thousand.",),
    ),
    Form(
        "history",
        "List past deploys of an app, of one ref or in one environment",
        slot="APP[/REF]",
        holds="target",
        required=True,
        clauses=(_IN,),
        examples=("history web", "history web/topic in staging"),
        notes=("`history #42` tells all that happened to one deploy: who asked, who agreed, what was reported.",),
    ),
    Form(
        "diff",
        "Say what is not out yet",
        slot="APP[/REF]",
        holds="target",
        required=True,
        clauses=(_IN,),
        examples=("diff web", "diff web/topic in staging"),
    ),
    Form(
        "approve",
        "Agree to a deploy that waits for it",
        slot="N",
        holds="number",
        required=True,
        examples=("approve 42", "approve #42"),
        notes=("The number is on the deploy's card.",),
        also=("lgtm", "accept"),
    ),
    Form(
        "reject",
        "Say no to a deploy that waits for approval",
        slot="N",
        holds="number",
        required=True,
        clauses=(_BECAUSE,),
        examples=("reject 42 because tests are flaky", "reject #42"),
        also=("deny",),
    ),
    Form(
        "cancel",
        "Take back a deploy that waits or is under way",
        slot="N",
        holds="number",
        required=True,
        examples=("cancel 42",),
        also=("stop", "abort", "kill"),
    ),
    Form("schedules", "List what goes later, and what goes again and again"),
    Form(
        "unschedule",
        "Take back a deploy that is to go later",
        slot="N",
        holds="number",
        required=True,
        examples=("unschedule 42",),
    ),
    Form(
        "retry",
        "Try a deploy again that did not make it",
        slot="N",
        holds="number",
        required=True,
        examples=("retry 42",),
        notes=("The same commit, environment, task and hosts, through the same gates.",),
    ),
    Form(
        "rollback",
        "Go back to what was live before",
        slot="APP",
        holds="target",
        required=True,
        clauses=(_HERE, _BACK_TO, _BECAUSE),
        examples=("rollback web in production", "rollback web in production to v1.3 because prices are wrong"),
        notes=("Checks and order are skipped; locks, freezes and approvals are not.",),
        also=("undo", "revert"),
    ),
    Form(
        "promote",
        "Carry what is live in one environment on to another",
        slot="APP",
        holds="target",
        required=True,
        clauses=(_FROM, _THERE),
        examples=("promote web from staging to production",),
        notes=("That very commit goes, whatever its branch has become.",),
    ),
    Form(
        "lock",
        "Keep others from deploying an app",
        slot="APP",
        holds="target",
        required=True,
        everything=True,
        force=True,
        clauses=(_PLACE, _FOR, _BECAUSE_OR_COLON),
        written="lock ([ENV on] APP [in ENV] | all) [for DURATION] [because REASON | : REASON][!]",
        examples=(
            "lock web in production because demo day",
            "lock production on web for 2h: demo day",
            "lock web! because mine now",
            "lock all because incident",
        ),
        notes=(
            "`all` locks every app.",
            "`!` takes the lock over from whoever holds it. Behind a reason it stands alone: `because mine now !`.",
        ),
    ),
    Form(
        "unlock",
        "Lift a lock",
        slot="APP",
        holds="target",
        required=True,
        everything=True,
        clauses=(_PLACE,),
        written="unlock [ENV on] APP [in ENV] | unlock all",
        examples=("unlock web in production", "unlock all"),
        notes=("`unlock all` lifts every lock of yours.",),
    ),
    Form("locks", "List what is locked, and by whom"),
    Form(
        "freeze",
        "Let nothing out for a while, of one app or of all",
        slot="APP",
        holds="target",
        anywhere=True,
        clauses=(_IN, _UNTIL, _BECAUSE),
        examples=(
            "freeze until Fri 16:00 because audit",
            "freeze web in production until 2026-12-24 18:00",
            "freeze because incident",
        ),
        notes=("Without an app it holds for all of them; without a time, until somebody types `unfreeze`.",),
    ),
    Form(
        "unfreeze",
        "Lift a freeze",
        slot="APP",
        holds="target",
        anywhere=True,
        clauses=(_IN,),
        examples=("unfreeze", "unfreeze web in production"),
    ),
    Form(
        "subscribe",
        "Let this room hear of an app's deploys",
        slot="APP",
        holds="target",
        required=True,
        clauses=(_ALWAYS_IN, _STATES),
        examples=("subscribe web", "subscribe web in production on success,failure"),
        notes=(
            "What comes to one of the states gets a card here, wherever it was asked for; with none named, all does.",
            "Said again for the same app and environment, it replaces what was said before. In a message to me it is "
            "about our conversation.",
        ),
    ),
    Form(
        "unsubscribe",
        "Let this room hear of it no more",
        slot="APP",
        holds="target",
        required=True,
        clauses=(_IN,),
        examples=("unsubscribe web in production", "unsubscribe web"),
        notes=("Without an environment it is about everything of the app. What the config announces here stays.",),
    ),
    Form("login", "Connect yourself with your GitHub account"),
    Form("logout", "Forget your GitHub account"),
    Form("whoami", "Say who you are at GitHub"),
)
BY_NAME = {form.name: form for form in FORMS}
