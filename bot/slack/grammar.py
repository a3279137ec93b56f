"""The language of `/deploy`: text becomes a command and a command text, by the table in forms.py.

It knows words, not apps: whether `web` is an app and `prod` an environment is found out later, by the config.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import unquote

from bot.deploys.nearest import nearest
from bot.deploys.times import parse_duration, parse_wall
from bot.slack.forms import BY_NAME, FORMS, HOSTS, Clause, Form

__all__ = ["BY_NAME", "FORMS", "LONGEST", "Clause", "Command", "Form", "ParseError", "nearest_form", "parse", "render"]

LONGEST = 2000  # characters of a command; Slack itself lets a message have many more


@dataclass(frozen=True, slots=True)
class Command:
    """A parsed command. `name` is the form's; the rest is empty where it was not said.

    `target` is `APP`, `APP/REF` or `APP@REF`; `task` is GitHub's (`deploy`, `deploy:migrations`); `number` is a
    deploy's; `everything` stands for `all`. `duration` is one that `parse_duration` takes; that of a deploy without
    an environment may be the name of one. `at` and `until` are moments in the person's words, not understood yet.
    `origin` is the environment that a promotion comes from, `ref` what a rollback goes to, `states` those that a room
    subscribes to, as they were typed. `freeze` and `unfreeze` may have an environment and no target.
    """

    name: str
    target: str = ""
    environment: str = ""
    hosts: str = ""
    task: str = ""
    force: bool = False
    reason: str = ""
    topic: str = ""
    number: int = 0
    everything: bool = False
    duration: str = ""
    until: str = ""
    at: str = ""
    origin: str = ""
    ref: str = ""
    states: str = ""
    # A deploy said without the word: what was taken for an app may be a slip for a command.
    bare: bool = field(default=False, compare=False)
    # `lock X on Y`, which some say for an environment X of an app Y. X is the target here and Y the environment;
    # where there is no app X, whoever reads this takes Y for the app and X for its environment.
    either: bool = field(default=False, compare=False)


# A task does not end in a colon: `:rocket:` is what Slack makes of an emoji.
_DEPLOY = re.compile(r"(?i:deploy)?(?::(?P<task>[\w.:-]*[\w.-]))?(?P<force>!)?")
_NUMBER = re.compile(r"#?([0-9]{1,18})")  # as many digits as every database keeps
_WANTED = {"target": "an app", "number": "a deploy's number"}
# What a word or a reason is put in that is pasted, stressed or shown as code.
_WRAPPED = re.compile(r"`([^`]+)`|\*([^*]+)\*|\"([^\"]+)\"|'([^']+)'|“([^“”]+)”|‘([^‘’]+)’")
_LINK = re.compile(
    r"https?://[^/\s]+/([\w.-]+/[\w.-]+?)(?:\.git)?(?:/(tree|commit|releases/tag|pull)/([^?#\s]+))?/?(?:[?#]\S*)?"
)
_ENDS = re.compile(r"(?<=\w)[.,;]+$")
_TRIFLES = frozenset("please pls plz now asap thanks thx".split())
_FORCING = frozenset("force forced --force -f".split())
_JOINING = frozenset("and or & + by it is".split())  # what begins no reason
_UNIT = re.compile(r"(?i)^(?:sec(?:ond)?s?|min(?:ute)?s?|h(?:ou)?rs?|days?|weeks?)(?=!?$)")
_HELP = frozenset("? -h --help".split())


class ParseError(Exception):
    """The text is no command. `start` and `end` say which characters of `text` are at fault.

    `nearest` are commands that the text is one slip away from, the likeliest first.
    """

    def __init__(self, text: str, start: int, end: int, expected: str, form: Form | None) -> None:
        super().__init__(f"{expected} expected at {start}")
        self.text = text
        self.start = start
        self.end = end
        self.expected = expected
        self.form = form
        self.nearest: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Word:
    """A word as it is understood, where it stands, and as it was typed."""

    text: str
    start: int
    end: int
    typed: str = ""


def parse(text: str) -> Command:
    """The command in `text` (what follows `/deploy` or the bot's name). Raises ParseError.

    An empty text asks for help. `/deploy` in front is passed over: our own answers are pasted behind a mention, since
    Slack takes no slash command in a thread.
    """
    text = re.sub(r"(?i)^/deploy(?!\S)\s*", "", _bare(text))
    try:
        return _parse(text)
    except ParseError as error:
        error.nearest = _nearest(error)
        raise


def _parse(text: str) -> Command:
    if len(text) > LONGEST:
        raise ParseError(text[:80] + "…", 0, 80, f"a command of at most {LONGEST} characters", None)
    words = [
        _Word(_linked(_bare(match.group())), match.start(), match.end(), match.group())
        for match in re.finditer(r"\S+", text)
    ]
    if not words or (len(words) == 1 and words[0].text in _HELP):
        return Command("help")
    first = words[0].text
    name, forced = _unforced(first)
    form = BY_NAME.get(name.lower())
    if form is not None and form.name != "deploy" and (form.force or not forced):
        return _Reader(form, text, words[1:], force=forced).read()
    form = BY_NAME["deploy"]
    head = _DEPLOY.fullmatch(first)
    if head is None:
        return _Reader(form, text, words, bare=True).read()
    task = f"deploy:{head['task']}" if head["task"] else ""
    return _Reader(form, text, words[1:], force=bool(head["force"]), task=task).read()


def render(command: Command) -> str:
    """The command as text; parsing it gives the same command again."""
    form = BY_NAME[command.name]
    parts = [command.task or command.name, command.target or command.topic]
    if command.force and form.name == "deploy":
        parts[0] += "!"
    if command.everything:
        parts.append("all")
    if command.number:
        parts.append(str(command.number))
    reason = ""
    for clause in form.clauses:
        value = getattr(command, clause.name)
        if clause.name == "environment" and command.hosts:
            value = f"{value}/{command.hosts}"
        if value and clause.takes == "rest":
            reason = f" {clause.words[0]} {value}"
        elif value:
            parts += [clause.words[0], value]
    mark = "!" if command.force and form.name != "deploy" else ""
    return " ".join(part for part in parts if part) + mark + reason


def nearest_form(word: str) -> Form | None:
    """The form whose name is most like a word somebody typed, or that people call so; None for what is no word, such as
    a mention."""
    if not word[:1].isalpha():
        return None
    called = next((form for form in FORMS if word.lower() in form.also), None)
    names = nearest(word, BY_NAME, limit=1)
    return called or (BY_NAME[names[0]] if names else None)


def _nearest(error: ParseError) -> tuple[str, ...]:
    """The commands that the text may have been meant as: with the word at fault read as another, or left out, or with
    what is missing before it."""
    text, start, end, form = error.text, error.start, error.end, error.form
    word = text[start:end]
    if form is None or not word:
        return ()
    before, behind = text[:start], text[end:]
    attempts = [before + form.name + behind] if error.expected == f"`{form.name}`" else []
    if form.force and word.lower() in _FORCING:
        attempts.append(f"{before}!{behind}")
    elif word.lower().rstrip(".,!") in _TRIFLES or _is_trifle(word):
        attempts += [before.rstrip(" ,") + behind, f"{before}to{behind}"]
    elif _NUMBER.fullmatch(plain := _ENDS.sub("", word)):
        attempts.append(before + plain + behind)
    if not attempts and error.expected.startswith("`"):
        attempts += _with_keyword(text, start, end, error.expected, form)
    return tuple(dict.fromkeys(" ".join(attempt.split()) for attempt in attempts if _parses(attempt)))


def _with_keyword(text: str, start: int, end: int, expected: str, form: Form) -> list[str]:
    """With the word at fault read as the keyword it is most like, with a missing one before it, or as a ref."""
    word, before = text[start:end], text[:start]
    keywords = [form.name, *(keyword for clause in form.clauses for keyword in clause.words)]
    attempts = [before + keyword + text[end:] for keyword in nearest(word, keywords, limit=1)]
    if word.lower() in keywords:
        return attempts
    missing = re.findall(r"`(\w+)", expected)  # `to ENV`, `because REASON`, or a command's name
    likely = ["for", "in"] if _is_duration(word) else ["until", "at"] if _is_time(word) else []
    missing.sort(key=lambda keyword: likely.index(keyword) if keyword in likely else len(likely))
    if _is_duration(word):
        missing = [keyword for keyword in missing if keyword in likely]
    if not likely and "at" in missing:  # which would take whatever words there are
        missing.remove("at")
    if "because" in missing and not _is_reason(form, text[start:], before):
        missing.remove("because")
    attempts += [f"{before}{keyword} {text[start:]}" for keyword in missing]
    if "/REF" in form.slot and _is_target(form, before):
        attempts.append(f"{before.rstrip()}/{text[start:]}")
    return attempts


def _is_reason(form: Form, text: str, before: str) -> bool:
    """Whether words are likelier a reason that lacks its `because` than a slip: taken for one, `topic to prod` would
    bring something else somewhere else."""
    first, *more = text.split()
    keywords = {keyword for each in FORMS for clause in each.clauses for keyword in clause.words}
    placed = form.name != "deploy" or re.search(r"(?i)\s(?:to|in|on)\s", before) is not None
    return bool(more) and placed and not _is_time(first) and first.lower() not in keywords | _JOINING


def _is_target(form: Form, text: str) -> bool:
    """Whether a text is a command that names just an app, without a ref."""
    try:
        command = _parse(text)
    except ParseError:
        return False
    return command == Command(form.name, target=command.target, task=command.task) and not re.search(
        "[/@]", command.target
    )


def _is_trifle(word: str) -> bool:
    """Whether it has no letter and no digit, or is an emoji as Slack writes it."""
    return re.search(r"\w", word) is None or re.fullmatch(r":[\w+-]+:", word) is not None


def _parses(text: str) -> bool:
    try:
        _parse(text)
    except ParseError:
        return False
    return True


class _Reader:
    """Reads the words of one command, from the first behind its name to the last."""

    def __init__(
        self, form: Form, text: str, words: list[_Word], *, force: bool = False, task: str = "", bare: bool = False
    ) -> None:
        self._form = form
        self._text = text
        self._words = _with_colon_apart(form, words)
        self._position = 0
        self._force = force
        self._task = task
        self._bare = bare
        self._values: dict[str, Any] = {}

    def read(self) -> Command:
        """The command. Raises ParseError."""
        self._read_slot()
        if self._bare:
            self._see_that_it_is_a_deploy()
        while self._position < len(self._words):
            if self._form.force and self._words[self._position].text == "!":
                self._force = True
                self._position += 1
            else:
                self._read_clause()
        if self._values.get("environment") and not self._values.get("target") and not self._form.anywhere:
            self._fail(self._words[0], "an app")
        for clause in self._form.clauses:
            if clause.needed and clause.name not in self._values:
                self._fail(self._here(), f"`{clause.usage}`")
        return Command(self._form.name, task=self._task, force=self._force, bare=self._bare, **self._values)

    def _read_slot(self) -> None:
        form, word = self._form, self._here()
        wanted = _WANTED.get(form.holds, "") + (" or `all`" if form.everything else "")
        if not form.slot or not word.text or self._starts_clause(word):
            if form.required:
                self._fail(word, wanted)
            return
        self._position += 1
        value = self._marked(word)
        if form.everything and value.lower() == "all":
            self._values["everything"] = True
        elif form.holds == "number":
            number = _NUMBER.fullmatch(value)
            if number is None or not int(number[1]):
                self._fail(word, wanted)
            self._values["number"] = int(number[1])
        elif form.holds == "target" and (value.startswith(("/", "@", "<@")) or _is_trifle(value)):
            self._fail(word, wanted)
        else:
            self._values[form.holds] = value

    def _see_that_it_is_a_deploy(self) -> None:
        """Two words that no form begins with: the first is likelier a slip for a command than an app."""
        second = self._here()
        if not second.text or second.text == "!" or self._starts_clause(second):
            return
        form = nearest_form(self._words[0].text)
        if form is None:
            self._fail(second, self._clauses_left())
        raise ParseError(self._text, self._words[0].start, self._words[0].end, f"`{form.name}`", form)

    def _read_clause(self) -> None:
        word = self._here()
        clauses = [clause for clause in self._left() if word.text.lower() in clause.words]
        if not clauses:
            self._fail(word, self._clauses_left())
        self._position += 1
        if any(clause.name == "duration" for clause in clauses):
            self._join_length()
        first = self._here()
        # `in 30m` is a length of time, `in production` a place.
        length = _is_duration(first.text.removesuffix("!"))
        clause = next((clause for clause in clauses if length and clause.name == "duration"), clauses[0])
        if clause.takes == "rest":
            value = self._rest(clause)
        elif clause.takes == "words":
            value = self._words_up_to_a_keyword()
        else:
            value = "" if self._starts_clause(first) else self._marked(first)
            self._position += 1
        if clause is HOSTS:
            value, _, self._values["hosts"] = value.partition("/")
        if not value or (clause.name == "duration" and not _is_duration(value)):
            self._fail(first, clause.wanted)
        if word.text.lower() == clause.turned:
            self._values["either"] = True
        self._values[clause.name] = value

    def _rest(self, clause: Clause) -> str:
        """All that is left, on one line."""
        words = self._words[self._position :]
        self._position = len(self._words)
        while clause.mark and words and words[-1].text == "!":
            self._force = True
            words.pop()
        return _bare(" ".join(word.typed for word in words))

    def _join_length(self) -> None:
        """`30 min` and `30 minutes` are one word."""
        pair = self._words[self._position : self._position + 2]
        if len(pair) == 2 and pair[0].text.isdigit():
            text = pair[0].text + _UNIT.sub(lambda unit: unit[0][0], pair[1].text)
            if _is_duration(_unforced(text)[0]):
                self._words[self._position : self._position + 2] = [_Word(text, pair[0].start, pair[1].end, text)]

    def _words_up_to_a_keyword(self) -> str:
        start = self._position
        while self._position < len(self._words) and not self._starts_clause(self._here()):
            self._position += 1
        words = [self._marked(word) for word in self._words[start : self._position]]
        return " ".join(word for word in words if word)

    def _here(self) -> _Word:
        """The word that comes next; an empty one behind the last."""
        if self._position < len(self._words):
            return self._words[self._position]
        return _Word("", len(self._text), len(self._text))

    def _marked(self, word: _Word) -> str:
        """The word without the `!` that forces, where there may be one."""
        value, forced = _unforced(word.text) if self._form.force else (word.text, False)
        self._force = self._force or forced
        return value

    def _starts_clause(self, word: _Word) -> bool:
        return _is_keyword(self._form, word.text)

    def _left(self) -> list[Clause]:
        """The clauses that may still come. `all` has no environment."""
        taken = {*self._values, *(["environment"] if "everything" in self._values else [])}
        return [clause for clause in self._form.clauses if not taken & {clause.name, clause.instead}]

    def _clauses_left(self) -> str:
        names = [f"`{clause.usage}`" for clause in self._left()]
        return " or ".join([*([", ".join(names[:-1])] if names[:-1] else []), *names[-1:]]) or "the end"

    def _fail(self, word: _Word, expected: str) -> NoReturn:
        raise ParseError(self._text, word.start, word.end, expected, self._form)


def _with_colon_apart(form: Form, words: list[_Word]) -> list[_Word]:
    """The words, with the colon that starts a reason as one of its own: `2h: demo` becomes `2h`, `:`, `demo`.

    Only in a form that takes one, and not behind a keyword: `because:` is a slip that can be mended.
    """
    reasons = {keyword for clause in form.clauses if ":" in clause.words for keyword in clause.words}
    if not reasons:
        return words
    for position, word in enumerate(words):
        if word.text.lower() in reasons:
            break
        before = word.text.removesuffix(":")
        if before != word.text and not _is_keyword(form, before):
            colon = _Word(":", word.end - 1, word.end, ":")
            return [*words[:position], _Word(before, word.start, word.end - 1, before), colon, *words[position + 1 :]]
    return words


def _is_keyword(form: Form, text: str) -> bool:
    return any(text.lower() in clause.words for clause in form.clauses)


def _is_duration(text: str) -> bool:
    if not text.isascii():  # units are told without regard to case, and `ſ` is then an `s`
        return False
    try:
        parse_duration(text)
    except ValueError:
        return False
    return True


def _is_time(text: str) -> bool:
    """Whether it is likelier a time, or the day of one, than a name."""
    if text[0].isdigit():
        return True
    try:
        parse_wall(text)
    except ValueError:
        return text.lower() == "tomorrow"
    return True


def _bare(text: str) -> str:
    """A text without what it was put in as a whole: formatting or quotes."""
    text = text.strip()
    while (match := _WRAPPED.fullmatch(text)) is not None:
        text = next(filter(None, match.groups())).strip()
    return text


def _linked(word: str) -> str:
    """A link to something at GitHub as the target it stands for; any other word as it is."""
    match = _LINK.fullmatch(word)
    if match is None:
        return word
    repository, kind, what = match.groups()
    if kind == "pull":
        return f"{repository}#{what.partition('/')[0]}"
    return f"{repository}@{unquote(what).rstrip('/')}" if what else repository


def _unforced(text: str) -> tuple[str, bool]:
    return (text[:-1], True) if text.endswith("!") else (text, False)
