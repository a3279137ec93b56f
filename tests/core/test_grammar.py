"""The language of commands: every spelling means what it should, and every slip is pointed at."""

from __future__ import annotations

import pytest

from bot.deploys.config_parts import RESERVED
from bot.slack.grammar import BY_NAME, FORMS, LONGEST, Command, Form, ParseError, nearest_form, parse, render
from bot.slack.views import replies

KEYWORDS = {word for form in FORMS for clause in form.clauses for word in clause.words}
DEPLOY = {"name": "deploy", "target": "web"}

SPELLINGS: list[tuple[str, dict[str, object]]] = [
    ("web", {}),
    ("  web  ", {}),
    ("deploy web", {}),
    ("DEPLOY web", {}),
    ("web/topic", {"target": "web/topic"}),
    ("web/feature/login/loop", {"target": "web/feature/login/loop"}),
    ("web@v1.4", {"target": "web@v1.4"}),
    ("acme/web@topic", {"target": "acme/web@topic"}),
    ("web to production", {"environment": "production"}),
    ("web TO production", {"environment": "production"}),
    ("web on production", {"environment": "production"}),
    ("web in production", {"environment": "production"}),
    ("web\tto\nproduction", {"environment": "production"}),
    ("web to prod/fe1", {"environment": "prod", "hosts": "fe1"}),
    ("web to prod/fe1,fe2", {"environment": "prod", "hosts": "fe1,fe2"}),
    ("deploy:migrations web", {"task": "deploy:migrations"}),
    ("deploy:db:seed web", {"task": "deploy:db:seed"}),
    (":migrations web", {"task": "deploy:migrations"}),
    ("deploy! web", {"force": True}),
    ("deploy:migrations! web", {"force": True, "task": "deploy:migrations"}),
    ("! web", {"force": True}),
    ("web!", {"force": True}),
    ("web/topic!", {"target": "web/topic", "force": True}),
    ("web !", {"force": True}),
    ("web to production!", {"environment": "production", "force": True}),
    ("web to production !", {"environment": "production", "force": True}),
    ("web to prod/fe1!", {"environment": "prod", "hosts": "fe1", "force": True}),
    ("web because the login loops", {"reason": "the login loops"}),
    ("web BECAUSE  the   login\nloops", {"reason": "the login loops"}),
    ("web to prod because I want to on in!", {"environment": "prod", "reason": "I want to on in!"}),
    ("web because x to prod", {"reason": "x to prod"}),
    ("web at 16:00", {"at": "16:00"}),
    ("web AT  fri\t16:00 to prod", {"at": "fri 16:00", "environment": "prod"}),
    (
        "web to prod at 2026-12-24 18:00 Europe/Berlin because x at y",
        {"at": "2026-12-24 18:00 Europe/Berlin", "environment": "prod", "reason": "x at y"},
    ),
    ("web at 4:30 pm!", {"at": "4:30 pm", "force": True}),
    ("web at 16:00 ! to prod", {"at": "16:00", "force": True, "environment": "prod"}),
    ("web at 16:00 in prod/fe1", {"at": "16:00", "environment": "prod", "hosts": "fe1"}),
    ("web in 30m", {"duration": "30m"}),
    ("web IN 1h30M", {"duration": "1h30M"}),
    ("web in 30m!", {"duration": "30m", "force": True}),
    ("web in prod in 30m", {"environment": "prod", "duration": "30m"}),
    ("web in 30m in prod because x", {"environment": "prod", "duration": "30m", "reason": "x"}),
    ("web in 30m to 2h", {"environment": "2h", "duration": "30m"}),
    ("web to 30m", {"environment": "30m"}),
    ("web in 30m/fe1", {"environment": "30m", "hosts": "fe1"}),
    ("web at noon in 30m", {"at": "noon", "environment": "30m"}),
    ("deploy:seed web in 2h to stg", {"task": "deploy:seed", "duration": "2h", "environment": "stg"}),
    ("web in 30 min", {"duration": "30m"}),
    ("web in 2 Hours! to prod", {"duration": "2H", "force": True, "environment": "prod"}),
    ("`web/topic` to `staging`", {"target": "web/topic", "environment": "staging"}),
    ("`web/topic to staging`", {"target": "web/topic", "environment": "staging"}),
    ("*Deploy* *web* to \u201cprod\u201d", {"environment": "prod"}),
    ("web because \u201cit\u2019s urgent\u201d", {"reason": "it\u2019s urgent"}),
    ('web because `foo` is "broken"', {"reason": '`foo` is "broken"'}),
    ("/deploy web", {}),
    ("`/deploy web to prod`", {"environment": "prod"}),
    ("https://github.com/acme/web", {"target": "acme/web"}),
    (
        "https://github.com/acme/web/tree/fix/login-loop to prod",
        {"target": "acme/web@fix/login-loop", "environment": "prod"},
    ),
    ("https://github.com/acme/web/releases/tag/v1.4", {"target": "acme/web@v1.4"}),
    ("https://github.com/acme/web/commit/4c7b474?w=1#diff", {"target": "acme/web@4c7b474"}),
    ("https://github.com/acme/web/pull/7/files to prod", {"target": "acme/web#7", "environment": "prod"}),
    ("?", {"name": "help", "target": ""}),
    ("--help", {"name": "help", "target": ""}),
    ("schedules", {"name": "schedules", "target": ""}),
    ("UNSCHEDULE #42", {"name": "unschedule", "target": "", "number": 42}),
    ("deploy help", {"target": "help"}),
    ("help", {"name": "help", "target": ""}),
    ("", {"name": "help", "target": ""}),
    (" \n ", {"name": "help", "target": ""}),
    ("HELP deploy", {"name": "help", "target": "", "topic": "deploy"}),
    ("apps", {"name": "apps", "target": ""}),
    ("where web", {"name": "where"}),
    ("status", {"name": "status", "target": ""}),
    ("status web", {"name": "status"}),
    ("Status web in prod", {"name": "status", "environment": "prod"}),
    ("history web/topic", {"name": "history", "target": "web/topic"}),
    ("history web to prod", {"name": "history", "environment": "prod"}),
    ("diff web on prod", {"name": "diff", "environment": "prod"}),
    ("check web", {"name": "check"}),
    ("Check web/topic to production", {"name": "check", "target": "web/topic", "environment": "production"}),
    (
        "check web@v1.4 IN prod/fe1,fe2",
        {"name": "check", "target": "web@v1.4", "environment": "prod", "hosts": "fe1,fe2"},
    ),
    ("check web!", {"name": "check", "force": True}),
    ("check! web", {"name": "check", "force": True}),
    ("check web on prod!", {"name": "check", "environment": "prod", "force": True}),
    ("check web on prod/fe1 !", {"name": "check", "environment": "prod", "hosts": "fe1", "force": True}),
    ("approve 42", {"name": "approve", "target": "", "number": 42}),
    ("APPROVE #42", {"name": "approve", "target": "", "number": 42}),
    ("approve 042", {"name": "approve", "target": "", "number": 42}),
    ("approve 999999999999999999", {"name": "approve", "target": "", "number": 10**18 - 1}),
    ("reject 42", {"name": "reject", "target": "", "number": 42}),
    (
        "reject #42 Because  tests are\nflaky !",
        {"name": "reject", "target": "", "number": 42, "reason": "tests are flaky !"},
    ),
    ("cancel 42", {"name": "cancel", "target": "", "number": 42}),
    ("retry #7", {"name": "retry", "target": "", "number": 7}),
    ("rollback web", {"name": "rollback", "target": "web"}),
    (
        "Rollback web to v1.3 in prod because it's slow",
        {"name": "rollback", "target": "web", "environment": "prod", "ref": "v1.3", "reason": "it's slow"},
    ),
    (
        "promote web from stg to prod",
        {"name": "promote", "target": "web", "origin": "stg", "environment": "prod"},
    ),
    ("cancel #1", {"name": "cancel", "target": "", "number": 1}),
    ("freeze", {"name": "freeze", "target": ""}),
    ("freeze web", {"name": "freeze"}),
    ("freeze in production", {"name": "freeze", "target": "", "environment": "production"}),
    ("freeze web on production", {"name": "freeze", "environment": "production"}),
    ("freeze because incident", {"name": "freeze", "target": "", "reason": "incident"}),
    ("freeze until Fri 16:00 because audit", {"name": "freeze", "target": "", "until": "Fri 16:00", "reason": "audit"}),
    ("FREEZE UNTIL  Fri\t16:00", {"name": "freeze", "target": "", "until": "Fri 16:00"}),
    (
        "freeze web in production until 2026-12-24 18:00",
        {"name": "freeze", "environment": "production", "until": "2026-12-24 18:00"},
    ),
    (
        "freeze web until Fri 16:00 in prod because x",
        {"name": "freeze", "environment": "prod", "until": "Fri 16:00", "reason": "x"},
    ),
    ("freeze because we wait until Fri", {"name": "freeze", "target": "", "reason": "we wait until Fri"}),
    ("unfreeze", {"name": "unfreeze", "target": ""}),
    ("unfreeze web", {"name": "unfreeze"}),
    ("unfreeze to prod", {"name": "unfreeze", "target": "", "environment": "prod"}),
    ("Unfreeze web in prod", {"name": "unfreeze", "environment": "prod"}),
    ("locks", {"name": "locks", "target": ""}),
    ("login", {"name": "login", "target": ""}),
    ("LOGOUT", {"name": "logout", "target": ""}),
    ("whoami", {"name": "whoami", "target": ""}),
]


@pytest.mark.parametrize(("text", "meant"), SPELLINGS)
def test_a_spelling(text: str, meant: dict[str, object]) -> None:
    assert parse(text) == Command(**(DEPLOY | meant))  # type: ignore[arg-type]


# Behind `lock` and `unlock`: what is locked (app, environment), for how long, why, and whether it is taken over.
LOCKS: list[tuple[str, tuple[str, str], str, str, bool]] = [
    ("lock web", ("web", ""), "", "", False),
    ("LOCK web IN production", ("web", "production"), "", "", False),
    ("lock web to production", ("web", "production"), "", "", False),
    ("lock acme/web in production", ("acme/web", "production"), "", "", False),
    ("lock production on web", ("production", "web"), "", "", False),
    ("lock production on acme/web", ("production", "acme/web"), "", "", False),
    ("lock all", ("all", ""), "", "", False),
    ("lock ALL", ("all", ""), "", "", False),
    ("lock web for 30m", ("web", ""), "30m", "", False),
    ("lock web in prod FOR 1h30M", ("web", "prod"), "1h30M", "", False),
    ("lock web for 2d in prod", ("web", "prod"), "2d", "", False),
    ("lock all for 2h", ("all", ""), "2h", "", False),
    ("lock web because demo day", ("web", ""), "", "demo day", False),
    ("lock web in production because demo  day", ("web", "production"), "", "demo day", False),
    ("lock all because incident", ("all", ""), "", "incident", False),
    ("lock web because on production: all is lost", ("web", ""), "", "on production: all is lost", False),
    ("lock web: demo day", ("web", ""), "", "demo day", False),
    ("lock web : demo day", ("web", ""), "", "demo day", False),
    ("lock web in production: demo: day", ("web", "production"), "", "demo: day", False),
    ("lock production on web for 2h: demo day", ("production", "web"), "2h", "demo day", False),
    ("lock production on web for 2h : demo day", ("production", "web"), "2h", "demo day", False),
    ("lock all: incident", ("all", ""), "", "incident", False),
    ("lock web: because", ("web", ""), "", "because", False),
    ("lock web!", ("web", ""), "", "", True),
    ("lock! web", ("web", ""), "", "", True),
    ("lock web !", ("web", ""), "", "", True),
    ("lock all!", ("all", ""), "", "", True),
    ("lock web in production!", ("web", "production"), "", "", True),
    ("lock web in production for 2h!", ("web", "production"), "2h", "", True),
    ("lock web! because mine now", ("web", ""), "", "mine now", True),
    ("lock web ! because mine now", ("web", ""), "", "mine now", True),
    ("lock web in production!: mine now", ("web", "production"), "", "mine now", True),
    ("lock web in production because mine now !", ("web", "production"), "", "mine now", True),
    ("lock web: mine now !", ("web", ""), "", "mine now", True),
    ("lock web because mine now!", ("web", ""), "", "mine now!", False),
    ("lock web because wow ! such a fix", ("web", ""), "", "wow ! such a fix", False),
    ("unlock web", ("web", ""), "", "", False),
    ("unlock web in prod", ("web", "prod"), "", "", False),
    ("UNLOCK web To prod", ("web", "prod"), "", "", False),
    ("unlock production on web", ("production", "web"), "", "", False),
    ("unlock all", ("all", ""), "", "", False),
]


@pytest.mark.parametrize(("text", "place", "duration", "reason", "force"), LOCKS)
def test_a_lock(text: str, place: tuple[str, str], duration: str, reason: str, force: bool) -> None:
    app, environment = place
    command = parse(text)
    assert command == Command(
        text.split()[0].removesuffix("!").lower(),
        "" if app == "all" else app,
        environment,
        everything=app == "all",
        duration=duration,
        reason=reason,
        force=force,
    )
    assert command.either == (" on web" in text or " on acme/web" in text)


def test_only_a_lock_may_be_turned_around() -> None:
    for form in FORMS:
        if any("on" in clause.words for clause in form.clauses):
            assert parse(f"{form.name} x ON y").either == (form.name in ("lock", "unlock"))
            assert not parse(f"{form.name} x in y").either


# The text, what is marked as wrong, and the form that is offered.
SLIPS: list[tuple[str, str, str]] = [
    ("deploy", "", "deploy"),
    ("deploy!", "", "deploy"),
    ("deploy /topic", "/topic", "deploy"),
    ("@topic", "@topic", "deploy"),
    ("! !", "!", "deploy"),
    ("web to", "", "deploy"),
    ("web because", "", "deploy"),
    ("web to prod to staging", "to", "deploy"),
    ("web to prod staging", "staging", "deploy"),
    ("web to /fe1", "/fe1", "deploy"),
    ("web production", "production", "deploy"),
    ("web at", "", "deploy"),
    ("web at because x", "because", "deploy"),
    ("web at 16:00 at 17:00", "at", "deploy"),
    ("web in 30m at 17:00", "at", "deploy"),
    ("web in 30m to prod in 2h", "in", "deploy"),
    ("web to prod in a while", "a", "deploy"),
    ("check web at 16:00", "at", "check"),
    ("schedules web", "web", "schedules"),
    ("unschedule", "", "unschedule"),
    ("unschedule web", "web", "unschedule"),
    ("histroy web", "histroy", "history"),
    ("where", "", "where"),
    ("where to prod", "prod", "where"),
    ("where web in prod", "in", "where"),
    ("history", "", "history"),
    ("history in prod", "in", "history"),
    ("status in prod", "in", "status"),
    ("apps all", "all", "apps"),
    ("diff web because x", "because", "diff"),
    ("deploy to prod", "to", "deploy"),
    ("web to because x", "because", "deploy"),
    ("history @topic", "@topic", "history"),
    ("lock", "", "lock"),
    ("lock!", "", "lock"),
    ("lock !", "!", "lock"),
    ("lock : demo", ":", "lock"),
    ("lock in prod", "in", "lock"),
    ("lock because x", "because", "lock"),
    ("lock /x", "/x", "lock"),
    ("lock web prod", "prod", "lock"),
    ("lock web in", "", "lock"),
    ("lock web in !", "!", "lock"),
    ("lock web in for 2h", "for", "lock"),
    ("lock web on prod in prod", "in", "lock"),
    ("lock web for", "", "lock"),
    ("lock web for ever", "ever", "lock"),
    ("lock web for 2", "2", "lock"),
    ("lock web for 0h", "0h", "lock"),
    ("lock web for 500d", "500d", "lock"),
    ("lock web for 5\u017f", "5\u017f", "lock"),
    ("lock web for because x", "because", "lock"),
    ("lock web for 2 months", "2", "lock"),
    ("lock web for 2h for 3h", "for", "lock"),
    ("lock web for soon: demo", "soon", "lock"),
    ("lock web because", "", "lock"),
    ("lock web because !", "!", "lock"),
    ("lock web:", "", "lock"),
    ("lock web: !", "!", "lock"),
    ("lock web because: demo", "because:", "lock"),
    ("lock all in prod", "in", "lock"),
    ("lock all web", "web", "lock"),
    ("lock web all", "all", "lock"),
    ("lock web until Fri", "until", "lock"),
    ("unlock", "", "unlock"),
    ("unlock in prod", "in", "unlock"),
    ("unlock all on web", "on", "unlock"),
    ("unlock web because x", "because", "unlock"),
    ("unlock web in prod now", "now", "unlock"),
    ("locks web", "web", "locks"),
    ("approve", "", "approve"),
    ("approve web", "web", "approve"),
    ("approve #", "#", "approve"),
    ("approve 0", "0", "approve"),
    ("approve #000", "#000", "approve"),
    ("approve -1", "-1", "approve"),
    ("approve 4.2", "4.2", "approve"),
    ("approve ##42", "##42", "approve"),
    ("approve \u0664\u0662", "\u0664\u0662", "approve"),
    ("approve 1000000000000000000", "1000000000000000000", "approve"),
    ("approve 42!", "42!", "approve"),
    ("approve 42 43", "43", "approve"),
    ("approve 42 because x", "because", "approve"),
    ("reject because x", "because", "reject"),
    ("reject 42 because", "", "reject"),
    ("reject 42 flaky tests", "flaky", "reject"),
    ("cancel", "", "cancel"),
    ("cancel it", "it", "cancel"),
    ("retry", "", "retry"),
    ("rollback", "", "rollback"),
    ("rollback web in prod v1", "v1", "rollback"),
    ("promote web", "", "promote"),
    ("promote web from stg", "", "promote"),
    ("promote web to prod", "", "promote"),
    ("promote web stg prod", "stg", "promote"),
    ("check", "", "check"),
    ("check!", "", "check"),
    ("check !", "!", "check"),
    ("check to prod", "to", "check"),
    ("check web to /fe1", "/fe1", "check"),
    ("check web prod", "prod", "check"),
    ("check web because x", "because", "check"),
    ("freeze /x", "/x", "freeze"),
    ("freeze web prod", "prod", "freeze"),
    ("freeze until", "", "freeze"),
    ("freeze until because x", "because", "freeze"),
    ("freeze until Fri in prod until Sat", "until", "freeze"),
    ("freeze web because", "", "freeze"),
    ("freeze web for 2h", "for", "freeze"),
    ("unfreeze web until Fri", "until", "unfreeze"),
    ("login ana", "ana", "login"),
    ("logout now", "now", "logout"),
    ("whoami please", "please", "whoami"),
    ("aprove 42", "aprove", "approve"),
    ("unlcok web", "unlcok", "unlock"),
]


@pytest.mark.parametrize(("text", "wrong", "form"), SLIPS)
def test_a_slip_is_pointed_at(text: str, wrong: str, form: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(text)
    error = caught.value
    assert (error.text[error.start : error.end], error.form and error.form.name) == (wrong, form)
    shown = replies.not_understood(error, next(iter(error.nearest), ""))
    assert wrong in str(shown.blocks)
    assert "`/deploy" in str(shown.blocks[-1])  # the form that works


def test_the_marker_stands_below_what_is_wrong() -> None:
    with pytest.raises(ParseError) as caught:
        parse("web to prod staging <x>")
    code = replies.not_understood(caught.value, "").blocks[1]["text"]["text"]
    assert code == "```/deploy web to prod staging &lt;x&gt;\n                    ^^^^^^^```"


_LATER = "`at TIME`, `in DURATION` or `because REASON`"
# The text, what was expected, and the command that is offered instead.
MENDED: list[tuple[str, str, str]] = [
    ("lock", "an app or `all`", ""),
    ("lock in prod", "an app or `all`", ""),
    ("check", "an app", ""),
    ("lock web in", "an environment", ""),
    ("lock web:", "a reason", ""),
    ("lock web for", "a length of time such as 30m or 2h", ""),
    ("lock web for ever", "a length of time such as 30m or 2h", ""),
    ("freeze until", "a time such as 16:00 or Fri 16:00", ""),
    ("approve", "a deploy's number", ""),
    ("approve web", "a deploy's number", ""),
    ("approve 42 now", "the end", "approve 42"),
    ("approve #42.", "a deploy's number", "approve #42"),
    ("web to prod please", f"{_LATER}", "web to prod"),
    ("web to prod, thanks!", f"{_LATER}", "web to prod"),
    ("web \u2014 prod", f"`to ENV[/HOSTS]`, {_LATER}", "web to prod"),
    ("web to prod \u2014 because it\u2019s late", f"{_LATER}", "web to prod because it\u2019s late"),
    ("web to prod \U0001f680", f"{_LATER}", "web to prod"),
    ("web to prod :rocket:", f"{_LATER}", "web to prod"),
    ("web to prod --force", f"{_LATER}", "web to prod !"),
    ("web force", f"`to ENV[/HOSTS]`, {_LATER}", "web !"),
    ("deplyo web", "`deploy`", "deploy web"),
    ("ship web to prod", "`deploy`", "deploy web to prod"),
    ("ship web", "`deploy`", "deploy web"),
    ("undo web", "`rollback`", "rollback web"),
    ("stop 42", "`cancel`", "cancel 42"),
    ("schedule web to prod at 16:00", "`deploy`", "deploy web to prod at 16:00"),
    # Nothing is offered that would do something else than what was meant.
    ("web to prod and staging", f"{_LATER}", ""),
    ("rollback web by 2", "`in ENV`, `to REF` or `because REASON`", ""),
    ("lock web until 16:00", "`in ENV`, `for DURATION` or `because REASON`", ""),
    ("lock web prod", "`in ENV`, `for DURATION` or `because REASON`", "lock web in prod"),
    ("lock web 2h", "`in ENV`, `for DURATION` or `because REASON`", "lock web for 2h"),
    ("lock web 2nd because x", "`in ENV`, `for DURATION` or `because REASON`", "lock web in 2nd because x"),
    ("lock web demo day", "`in ENV`, `for DURATION` or `because REASON`", "lock web because demo day"),
    ("lock web becuase demo", "`in ENV`, `for DURATION` or `because REASON`", "lock web because demo"),
    ("lock web because: demo", "`in ENV`, `for DURATION` or `because REASON`", "lock web because demo"),
    ("lock all demo day", "`for DURATION` or `because REASON`", "lock all because demo day"),
    ("unlock web prod", "`in ENV`", "unlock web in prod"),
    ("web to prod 16:00", "`at TIME`, `in DURATION` or `because REASON`", "web to prod at 16:00"),
    ("web fri 16:00", "`to ENV[/HOSTS]`, `at TIME`, `in DURATION` or `because REASON`", "web at fri 16:00"),
    ("web to prod the loops", "`at TIME`, `in DURATION` or `because REASON`", "web to prod because the loops"),
    ("web to prod 30m", "`at TIME`, `in DURATION` or `because REASON`", "web to prod in 30m"),
    ("reject 42 flaky tests", "`because REASON`", "reject 42 because flaky tests"),
    ("freeze web 16:00", "`in ENV`, `until TIME` or `because REASON`", "freeze web until 16:00"),
    ("freeze web Fri 16:00", "`in ENV`, `until TIME` or `because REASON`", "freeze web until Fri 16:00"),
    ("freeze web untl Fri", "`in ENV`, `until TIME` or `because REASON`", "freeze web until Fri"),
    ("check web prod/fe1!", "`to ENV[/HOSTS]`", "check web to prod/fe1!"),
    ("lok web", "`lock`", "lock web"),
    ("unlok all", "`unlock`", "unlock all"),
    ("unlock! web", "`unlock`", "unlock web"),
    ("aprove #42", "`approve`", "approve #42"),
    ("frezee until Fri 16:00", "`freeze`", "freeze until Fri 16:00"),
]


@pytest.mark.parametrize(("text", "expected", "near"), MENDED)
def test_what_was_expected_and_what_was_meant(text: str, expected: str, near: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(text)
    assert (caught.value.expected, next(iter(caught.value.nearest), "")) == (expected, near)


def test_too_long_is_too_long() -> None:
    assert parse("x" * LONGEST).target == "x" * LONGEST
    with pytest.raises(ParseError, match="at most"):
        parse("x" * (LONGEST + 1))


def test_no_app_can_be_named_like_a_command() -> None:
    assert set(BY_NAME) <= RESERVED
    # `until` is a keyword of `freeze` alone; an app of that name is frozen by its `owner/repo`.
    assert {word for word in KEYWORDS if word.isalpha()} <= RESERVED
    assert parse("freeze until Fri") == Command("freeze", until="Fri")


USAGES = """
[deploy][:TASK][!] APP[/REF | @REF][!] [to ENV[/HOSTS]][!] [at TIME | in DURATION] [because REASON]
check APP[/REF] [to ENV[/HOSTS]]
help [TOPIC]
apps
where APP
status [APP] [in ENV]
stats [APP]
history APP[/REF] [in ENV]
diff APP[/REF] [in ENV]
approve N
reject N [because REASON]
cancel N
schedules
unschedule N
retry N
rollback APP [in ENV] [to REF] [because REASON]
promote APP from ENV to ENV
lock ([ENV on] APP [in ENV] | all) [for DURATION] [because REASON | : REASON][!]
unlock [ENV on] APP [in ENV] | unlock all
locks
freeze [APP] [in ENV] [until TIME] [because REASON]
unfreeze [APP] [in ENV]
subscribe APP [in ENV] [on STATE,…]
unsubscribe APP [in ENV]
login
logout
whoami
"""


def test_the_usage_is_the_contracts() -> None:
    assert [form.usage for form in FORMS] == USAGES.strip().splitlines()


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_usage_names_all_that_is_parsed(form: Form) -> None:
    for clause in form.clauses:
        assert any(f"{word} {clause.slot}" in form.usage for word in clause.words)
    assert form.slot in form.usage
    assert ("all" in form.usage.replace(")", " ").split()) == form.everything
    assert ("[!]" in form.usage) >= any(clause.mark for clause in form.clauses)


def test_every_example_of_the_help_is_a_command_of_its_form() -> None:
    for form in FORMS:
        for text in form.examples:
            assert parse(text).name == form.name
    assert [form.name for form in FORMS if form.slot and not form.examples] == []


def test_the_nearest_form() -> None:
    assert [form and form.name for form in map(nearest_form, ("histroy", "deplyo", "statu", "zzz", "<!channel>"))] == [
        "history",
        "deploy",
        "status",
        None,
        None,  # though `channel` is like `cancel`
    ]


def test_a_command_is_rendered_as_people_write_it() -> None:
    written = {
        "lock web in production because mine now !": "lock web in production! because mine now",
        "lock production on web for 2h: demo": "lock production in web for 2h because demo",
        "lock all!: x": "lock all! because x",
        "approve #042": "approve 42",
        "check web to prod/fe1 !": "check web to prod/fe1!",
        "web! to prod": "deploy! web to prod",
        "freeze web until Fri  16:00 in prod": "freeze web in prod until Fri 16:00",
        "unlock ALL": "unlock all",
        "web AT fri  16:00! in prod": "deploy! web to prod at fri 16:00",
        "web in 30m to 2h/fe1": "deploy web to 2h/fe1 in 30m",
    }
    assert {text: render(parse(text)) for text in written} == written
