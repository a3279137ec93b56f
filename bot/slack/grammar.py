"""The language of `/deploy`: one table from which commands are parsed and help is written.

It knows words, not apps: whether `web` is an app and `prod` an environment is found out later, by the config.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from bot.deploys.nearest import nearest

LONGEST = 2000  # characters of a command; Slack itself lets a message have many more


@dataclass(frozen=True, slots=True)
class Command:
    """A parsed command. `name` is the form's; the rest is empty where it was not said.

    `target` is `APP`, `APP/REF` or `APP@REF`; `task` is GitHub's (`deploy`, `deploy:migrations`).
    """

    name: str
    target: str = ""
    environment: str = ""
    hosts: str = ""
    task: str = ""
    force: bool = False
    reason: str = ""
    topic: str = ""
    # A deploy said without the word: what was taken for an app may be a slip for a command.
    bare: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Clause:
    """A part that starts with a keyword: any of `words`, then one word, or all the `rest` of the text."""

    words: tuple[str, ...]
    slot: str
    name: str
    rest: bool = False

    @property
    def usage(self) -> str:
        return f"[{self.words[0]} {self.slot}]{'[!]' if self.slot == 'ENV[/HOSTS]' else ''}"


@dataclass(frozen=True, slots=True)
class Form:
    """One command: what is parsed, and what help says of it. `slot` is its first word, if it takes one."""

    name: str
    summary: str
    slot: str = ""
    holds: str = ""
    required: bool = False
    clauses: tuple[Clause, ...] = ()
    examples: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def usage(self) -> str:
        """The form as people type it, optional parts in brackets."""
        if self.name == "deploy":
            head = "[deploy][:TASK][!] APP[/REF | @REF][!]"
        else:
            slot = self.slot if self.required else f"[{self.slot}]"
            head = f"{self.name} {slot}" if self.slot else self.name
        return " ".join([head, *(clause.usage for clause in self.clauses)])


_WHERE = ("to", "on", "in")
_TO = Clause(_WHERE, "ENV[/HOSTS]", "environment")
_IN = Clause(("in", "to", "on"), "ENV", "environment")
_BECAUSE = Clause(("because",), "REASON", "reason", rest=True)

FORMS: tuple[Form, ...] = (
    Form(
        "deploy",
        "Put a branch, tag or commit of an app into an environment",
        slot="APP[/REF | @REF]",
        holds="target",
        required=True,
        clauses=(_TO, _BECAUSE),
        examples=(
            "web",
            "web/topic to staging",
            "web@v1.4 to production/fe1,fe2 because the fix is urgent",
            "deploy:migrations web/topic to staging",
            "deploy! web to production",
        ),
        notes=(
            "Without a ref the app's default branch goes; without an environment, the default environment.",
            "`!` forces: checks are skipped, and everyone can see it.",
        ),
    ),
    Form("help", "Say what can be typed", slot="TOPIC", holds="topic", examples=("help", "help deploy")),
    Form("apps", "List the apps and their environments"),
    Form(
        "where",
        "Say what is live in each environment of an app",
        slot="APP",
        holds="target",
        required=True,
        examples=("where web",),
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
        "history",
        "List past deploys of an app, of one ref or in one environment",
        slot="APP[/REF]",
        holds="target",
        required=True,
        clauses=(_IN,),
        examples=("history web", "history web/topic in staging"),
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
)
BY_NAME = {form.name: form for form in FORMS}

_DEPLOY = re.compile(r"(?i:deploy)?(?::(?P<task>[\w.:-]+))?(?P<force>!)?")


class ParseError(Exception):
    """The text is no command. `start` and `end` say which characters of `text` are at fault.

    `nearest` is a command that the text is one slip away from, where there is one.
    """

    def __init__(self, text: str, start: int, end: int, expected: str, form: Form | None) -> None:
        super().__init__(f"{expected} expected at {start}")
        self.text = text
        self.start = start
        self.end = end
        self.expected = expected
        self.form = form
        self.nearest = ""


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    start: int
    end: int


def parse(text: str) -> Command:
    """The command in `text` (what follows `/deploy` or the bot's name). Raises ParseError.

    An empty text asks for help.
    """
    try:
        return _parse(text)
    except ParseError as error:
        error.nearest = _nearest(error)
        raise


def _parse(text: str) -> Command:
    if len(text) > LONGEST:
        raise ParseError(text[:80] + "…", 0, 80, f"a command of at most {LONGEST} characters", None)
    words = [_Word(match.group(), match.start(), match.end()) for match in re.finditer(r"\S+", text)]
    if not words:
        return Command("help")
    first = words[0].text
    form = BY_NAME.get(first.lower())
    if form is not None and form.name != "deploy":
        return _simple(form, text, words[1:])
    head = _DEPLOY.fullmatch(first)
    if head is None:
        return _deploy(text, words, force=False, task="", bare=True)
    task = f"deploy:{head['task']}" if head["task"] else ""
    return _deploy(text, words[1:], force=bool(head["force"]), task=task, bare=False)


def render(command: Command) -> str:
    """The command as text; parsing it gives the same command again."""
    form = BY_NAME[command.name]
    mark = "!" if command.force else ""
    parts = [(command.task or command.name) + mark, command.target or command.topic]
    for clause in form.clauses:
        value = getattr(command, clause.name)
        if clause.name == "environment" and command.hosts:
            value = f"{value}/{command.hosts}"
        if value:
            parts += [clause.words[0], value]
    return " ".join(part for part in parts if part)


def nearest_form(word: str) -> Form | None:
    """The form whose name is most like a word somebody typed."""
    names = nearest(word, BY_NAME, limit=1)
    return BY_NAME[names[0]] if names else None


def _nearest(error: ParseError) -> str:
    """The text with the word at fault read as the keyword it is most like, or with the missing one before it."""
    text, start, end = error.text, error.start, error.end
    word, form = text[start:end], error.form
    missing = re.match(r"`(\w+)", error.expected)  # `to ENV`, `because REASON`, or a command's name
    if form is None or missing is None or not word:
        return ""
    keywords = [form.name, *(keyword for clause in form.clauses for keyword in clause.words)]
    attempts = [text[:start] + keyword + text[end:] for keyword in nearest(word, keywords, limit=1)]
    if word.lower() not in keywords:
        attempts.append(f"{text[:start]}{missing[1]} {text[start:]}")
    for attempt in attempts:
        try:
            _parse(attempt)
        except ParseError:
            continue
        return " ".join(attempt.split())
    return ""


def _deploy(text: str, words: list[_Word], *, force: bool, task: str, bare: bool) -> Command:
    form = BY_NAME["deploy"]
    if not words:
        raise ParseError(text, len(text), len(text), "an app", form)
    target, forced = _unforced(words[0].text)
    if not target or target[0] in "/@":
        raise ParseError(text, words[0].start, words[0].end, "an app", form)
    values: dict[str, Any] = {"target": target}
    rest = words[1:]
    if bare and rest and rest[0].text != "!" and not _starts_clause(form, rest[0]):
        # Two words that no form begins with: the first is likelier a slip for a command than an app.
        form = nearest_form(words[0].text) or form
        word = words[0] if form.name != "deploy" else rest[0]
        expected = f"`{form.name}`" if form.name != "deploy" else _clause_words(form)
        raise ParseError(text, word.start, word.end, expected, form)
    force = force or forced
    position = 0
    while position < len(rest):
        word = rest[position]
        if word.text == "!":
            force = True
            position += 1
            continue
        clause, value, position = _clause(form, text, rest, position, values)
        if clause.name == "environment":
            value, forced = _unforced(value)
            force = force or forced
            value, _, values["hosts"] = value.partition("/")
            if not value:
                raise ParseError(text, rest[position - 1].start, rest[position - 1].end, "an environment", form)
        values[clause.name] = value
    return Command("deploy", task=task, force=force, bare=bare, **values)


def _simple(form: Form, text: str, words: list[_Word]) -> Command:
    values: dict[str, Any] = {}
    position = 0
    if form.slot and words and not _starts_clause(form, words[0]):
        values[form.holds] = words[0].text
        position = 1
    if form.required and form.holds not in values:
        place = words[0] if words else _Word("", len(text), len(text))
        raise ParseError(text, place.start, place.end, "an app", form)
    while position < len(words):
        clause, value, position = _clause(form, text, words, position, values)
        values[clause.name] = value
    if values.get("environment") and not values.get("target"):
        raise ParseError(text, words[0].start, words[0].end, "an app", form)
    return Command(form.name, **values)


def _clause(
    form: Form, text: str, words: list[_Word], position: int, values: dict[str, Any]
) -> tuple[Clause, str, int]:
    """The clause that starts at `position`, its value and the position behind it."""
    word = words[position]
    clause = next((item for item in form.clauses if word.text.lower() in item.words), None)
    if clause is None or clause.name in values:
        raise ParseError(text, word.start, word.end, _clause_words(form, values), form)
    if position + 1 >= len(words):
        wanted = "a reason" if clause.rest else "an environment"
        raise ParseError(text, len(text), len(text), wanted, form)
    if clause.rest:
        return clause, " ".join(text[words[position + 1].start :].split()), len(words)
    return clause, words[position + 1].text, position + 2


def _clause_words(form: Form, taken: dict[str, Any] | None = None) -> str:
    left = [clause for clause in form.clauses if clause.name not in (taken or {})]
    return " or ".join(f"`{clause.words[0]} {clause.slot}`" for clause in left) or "the end"


def _starts_clause(form: Form, word: _Word) -> bool:
    return any(word.text.lower() in clause.words for clause in form.clauses)


def _unforced(text: str) -> tuple[str, bool]:
    return (text[:-1], True) if text.endswith("!") else (text, False)
