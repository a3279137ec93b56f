"""The deploy form in all its spellings, what GitHub is asked for, and the answers to what can't be done."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.front.chat import ask, cards, newest, posted, writes
from tests.world import World

# What is typed, and what becomes of it: the ref that was meant, environment, task, hosts, forced, reason.
SPELLINGS = [
    ("web", ("main", "production", "deploy", "", False, "")),
    ("deploy web", ("main", "production", "deploy", "", False, "")),
    ("DEPLOY Web TO Production", ("main", "production", "deploy", "", False, "")),
    ("web to prod", ("main", "production", "deploy", "", False, "")),
    ("web on stg", ("main", "staging", "deploy", "", False, "")),
    ("web IN STAGING", ("main", "staging", "deploy", "", False, "")),
    ("web/topic", ("topic", "production", "deploy", "", False, "")),
    ("web@topic", ("topic", "production", "deploy", "", False, "")),
    ("web/feature/login/loop to staging", ("feature/login/loop", "staging", "deploy", "", False, "")),
    ("web@feature/login/loop to staging", ("feature/login/loop", "staging", "deploy", "", False, "")),
    ("web@v1.4", ("v1.4", "production", "deploy", "", False, "")),
    ("web/v1.4", ("v1.4", "production", "deploy", "", False, "")),
    ("web/{sha}", ("{sha}", "production", "deploy", "", False, "")),
    ("web@{short}", ("{short}", "production", "deploy", "", False, "")),
    ("acme/web", ("main", "production", "deploy", "", False, "")),
    ("acme/web/topic", ("topic", "production", "deploy", "", False, "")),
    ("acme/web@topic to staging", ("topic", "staging", "deploy", "", False, "")),
    ("ACME/Web/feature/login/loop", ("feature/login/loop", "production", "deploy", "", False, "")),
    ("web to staging/fe1", ("main", "staging", "deploy", "fe1", False, "")),
    ("web/topic to prod/fe1,fe2", ("topic", "production", "deploy", "fe1,fe2", False, "")),
    ("deploy:migrations web", ("main", "production", "deploy:migrations", "", False, "")),
    (":migrations web/topic to staging", ("topic", "staging", "deploy:migrations", "", False, "")),
    ("deploy:db:reindex! web", ("main", "production", "deploy:db:reindex", "", True, "")),
    ("deploy! web to staging", ("main", "staging", "deploy", "", True, "")),
    ("! web", ("main", "production", "deploy", "", True, "")),
    ("web! to staging", ("main", "staging", "deploy", "", True, "")),
    ("web/topic! to staging", ("topic", "staging", "deploy", "", True, "")),
    ("web to staging!", ("main", "staging", "deploy", "", True, "")),
    ("web to staging/fe1!", ("main", "staging", "deploy", "fe1", True, "")),
    ("web to staging !", ("main", "staging", "deploy", "", True, "")),
    ("web because the login  loops!", ("main", "production", "deploy", "", False, "the login loops!")),
    ("web Because it is time to go", ("main", "production", "deploy", "", False, "it is time to go")),
    ("web because of that to stg", ("main", "production", "deploy", "", False, "of that to stg")),
    ("web/topic to stg because a & b < c", ("topic", "staging", "deploy", "", False, "a & b < c")),
    ("  web\tto   staging  ", ("main", "staging", "deploy", "", False, "")),
]


def test_every_spelling(world: World) -> None:
    world.github.push("acme/web", "feature/login/loop", "Look again")
    world.github.tag("acme/web", "v1.4", "main")
    sha = world.github.push("acme/web", "other", "By its SHA")
    world.github.pending.clear()
    names = {"sha": sha, "short": sha[:7]}
    heads = {ref: world.github.head("acme/web", ref) for ref in ("main", "topic", "feature/login/loop")}
    heads |= {"v1.4": heads["main"], sha: sha, sha[:7]: sha}

    for typed, (ref, environment, task, hosts, forced, reason) in SPELLINGS:
        typed, ref = typed.format(**names), ref.format(**names)
        world.say("U0ANA", f"/deploy {typed}")
        made = world.github.deployments("acme/web")[0]
        because = f": {reason}" if reason else ""
        assert (typed, made["sha"], made["ref"]) == (typed, heads[ref], heads[ref])
        assert (typed, made["environment"], made["task"]) == (typed, environment, task)
        assert (typed, made["description"]) == (typed, f"web {ref} to {environment} by ana{because}")
        assert (typed, made["payload"]["ref"], made["payload"]["hosts"]) == (typed, ref, hosts)
        assert (typed, made["payload"]["shipbot"]["forced"]) == (typed, forced)
        world.report("error")  # it is over, and the next one has its turn
    assert len(world.github.deployments("acme/web")) == len(SPELLINGS)


def test_github_is_asked_for_exactly_what_the_contract_says(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic to production/fe1,fe2 because the login loops")

    [asked] = writes(world)
    shipbot = asked["payload"].pop("shipbot")
    assert asked == {
        "ref": world.github.head("acme/web", "topic"),
        "task": "deploy",
        "environment": "production",
        "auto_merge": False,
        "production_environment": True,
        "transient_environment": False,
        "description": "web topic to production by ana: the login loops",
        "payload": {
            "user": "ana",
            "room_id": "C0OPS",
            "name": "web",
            "hosts": "fe1,fe2",
            "ref": "topic",
            "notify": {
                "adapter": "slack",
                "room": "C0OPS",
                "user": "U0ANA",
                "user_name": "ana",
                "message_id": "",
                "thread_id": "",
            },
            "config": {"dashboard": "https://grafana.example/web"},
        },
    }
    assert len(shipbot.pop("id")) == 36
    assert shipbot == {"number": 1, "forced": False, "approved_by": []}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("api", {"required_contexts": [], "auto_merge": False, "ref": "{main}", "production_environment": True}),
        ("web!", {"required_contexts": [], "auto_merge": False, "ref": "{web}", "production_environment": True}),
        ("api/topic to canary", {"auto_merge": True, "ref": "topic", "production_environment": False}),
        ("api/{topic} to canary", {"auto_merge": False, "ref": "{topic}", "production_environment": False}),
    ],
)
def test_the_config_decides_how_github_is_asked(world: World, text: str, expected: dict[str, object]) -> None:
    heads = {"main": world.github.head("acme/api", "main"), "topic": world.github.head("acme/api", "topic")}
    heads["web"] = world.github.head("acme/web", "main")
    world.say("U0ANA", f"/deploy {text.format(**heads)}")

    [asked] = writes(world)
    wanted = {key: value.format(**heads) if isinstance(value, str) else value for key, value in expected.items()}
    shown = ("required_contexts", "auto_merge", "ref", "production_environment")
    assert {key: asked[key] for key in shown if key in asked} == wanted


def test_a_mention_is_answered_with_a_card_and_travels_in_the_payload(world: World) -> None:
    world.say("U0BEN", "@shipbot deploy web/topic to staging")
    said = world.slack.messages("C0OPS")[0]
    world.slack.mention("U0BEN", "C0OPS", "web/topic in production", thread_ts=said.ts)
    world.settle()

    notified = [body["payload"]["notify"] for body in writes(world)]
    assert [one["user"] for one in notified] == ["U0BEN", "U0BEN"]
    assert [one["user_name"] for one in notified] == ["ben", "ben"]
    assert notified[0]["message_id"] == said.ts
    assert [one["thread_id"] for one in notified] == ["", said.ts]
    assert [card.splitlines()[0].rpartition(" · ")[2] for card in cards(world)] == ["#1 for @ben", "#2 for @ben"]


def test_what_a_mention_gets_wrong_is_answered_in_its_thread(world: World) -> None:
    world.say("U0BEN", "@shipbot deploy web/topci")

    assert world.room() == "\n".join(
        [
            "@ben: @shipbot deploy web/topci",
            "  ↳ shipbot: :no_entry: `acme/web` has no branch, tag or commit `topci`. Did you mean `topic`?",
        ]
    )


def test_a_direct_message_needs_no_mention(world: World) -> None:
    world.say("U0BEN", "deploy web/topic to staging", "dm")

    room = world.slack.direct_room("U0BEN")
    assert writes(world)[0]["payload"]["room_id"] == room
    assert world.room(room, "U0BEN").splitlines()[:2] == [
        "@ben: deploy web/topic to staging",
        f"shipbot: :large_yellow_circle: *web* to *staging* · `topic` at "
        f"{world.github.head('acme/web', 'topic')[:7]} · #1 for @ben",
    ]


def test_the_same_command_twice_is_one_deploy(world: World) -> None:
    for number, text in enumerate(("/deploy web/topic", "@shipbot deploy web/topic", "web/topic"), start=1):
        world.say("U0ANA", text, "dm" if number == 3 else "C0OPS")
        assert world.slack.repeat_last().ok
        world.settle()
        assert len(world.github.deployments("acme/web")) == number
        assert "under way already" not in world.room() + world.room(world.slack.direct_room("U0ANA"))
        world.report("error")
    assert len(cards(world)) == 2


def test_the_same_again_by_another_command_is_pointed_to_the_first(world: World) -> None:
    world.say("U0ANA", "/deploy web/topic")
    told = ":no_entry: Just that is under way already: #1 in #ops. `/deploy cancel 1` takes it back."
    assert ask(world, "/deploy web/topic to prod because it can't wait", "U0BEN", "C0RAN") == told
    assert "`topic`" in ask(world, "/deploy web/topic to prod/fe1")  # on other hosts it is another one, next in line
    assert "Next in line, behind #1 for @ana" in cards(world)[1]
    assert ask(world, "/deploy web/topic to prod/fe1") == told.replace("under way", "waiting").replace("1", "2")
    assert len(writes(world)) == 1

    world.deliver()
    world.report("failure")
    assert len(writes(world)) == 2  # whoever was next in line has gone by itself
    world.report("failure")
    assert ask(world, "/deploy web/topic").startswith(":large_yellow_circle:")  # and what is over can be asked again
    assert len(writes(world)) == 3


def test_a_direct_message_is_called_so(world: World) -> None:
    world.say("U0ANA", "web to staging", "dm")
    told = ":no_entry: Just that is under way already: #1 in a direct message. `/deploy cancel 1` takes it back."
    assert ask(world, "/deploy web to staging", "U0BEN") == told
    assert "asked by @ana in a direct message" in ask(world, "/deploy history #1")


PULL = "A pull request goes by its branch:"
UNKNOWN = [
    ("wbe to prod", "I know no app `wbe`. Did you mean `web`? `/deploy apps` lists them all."),
    ("wbe/topic", "I know no app `wbe`. Did you mean `web`? `/deploy apps` lists them all."),
    ("acme/wob", "I know no app `acme/wob`. Did you mean `acme/web` or `acme/api`? `/deploy apps` lists them all."),
    ("shop to prod", "I know no app `shop`. I know: `web`, `api`. `/deploy apps` lists them all."),
    ("web to prodution", "*web* has no environment `prodution`. Did you mean `production` or `prod`?"),
    ("web to mars", "*web* has no environment `mars`. It has: `production`, `staging`."),
    ("web/topci", "`acme/web` has no branch, tag or commit `topci`. Did you mean `topic`?"),
    ("web/login", "`acme/web` has no branch, tag or commit `login`. Did you mean `fix/login-loop`?"),
    ("web/zzz", "`acme/web` has no branch, tag or commit `zzz`. Has it been pushed?"),
    ("web/0123456", "`acme/web` has no branch, tag or commit `0123456`. Has it been pushed?"),
    (
        "deploy #12",
        f"I know no app `#12`. {PULL} `/deploy APP/BRANCH to ENV`. `/deploy history #12` tells of deploy #12.",
    ),
    ("web#12 to prod", f"I know no app `web#12`. {PULL} `/deploy web/BRANCH to ENV`."),
    ("https://github.com/acme/web/pull/7", f"I know no app `acme/web#7`. {PULL} `/deploy acme/web/BRANCH to ENV`."),
    ("web/#12", "`acme/web` has no branch, tag or commit `#12`. A pull request goes by the name of its branch."),
    ("web/a..b", "`acme/web` has no branch, tag or commit `a..b`. Has it been pushed?"),
    ("web/../../secrets", "`acme/web` has no branch, tag or commit `../../secrets`. Has it been pushed?"),
]


def test_what_is_unknown_is_answered_with_what_is_alike(world: World) -> None:
    world.github.push("acme/web", "fix/login-loop", "Fix")
    world.github.pending.clear()

    assert [(text, ask(world, f"/deploy {text}")) for text, _ in UNKNOWN] == [
        (text, f":no_entry: {words}") for text, words in UNKNOWN
    ]
    assert world.github.deployments("acme/web") == []
    assert cards(world) == []


def test_an_app_stays_in_its_rooms(world: World) -> None:
    assert ask(world, "/deploy api", room="C0RAN") == ":no_entry: *api* can't be deployed from here. Ask in #ops."
    assert ask(world, "api", room="dm") == ":no_entry: *api* can't be deployed from here. Ask in #ops."
    apps = ask(world, "/deploy apps", room="C0RAN")
    assert apps.startswith("*web*")
    assert "api" not in apps
    assert world.github.deployments("acme/api") == []


TWO_PLACES = """
defaults: {environment: production}
apps:
  shop:
    repository: acme/web
    environments: {east: {}, west: {}}
  one:
    repository: acme/api
    environments: {lab: {}}
"""


def test_without_a_default_environment_one_must_be_named(make_world: Callable[..., World]) -> None:
    world = make_world(config=TWO_PLACES)

    assert ask(world, "/deploy shop") == (
        ":no_entry: Where to? *shop* has no environment `production`, which is the default. "
        "Add `to` and one of `east` or `west`."
    )
    world.say("U0ANA", "/deploy one")
    assert world.github.deployments("acme/api")[0]["environment"] == "lab"


# Typed in a hurry, or pasted: the ref, the environment and the reason that go out.
PASTED = [
    ("`web/topic` to `staging`", ("topic", "staging", "")),
    ("/deploy web/topic to staging", ("topic", "staging", "")),
    ("*Deploy* web\u200b/topic\ufeff to\u00a0staging", ("topic", "staging", "")),
    ("web to \u201cstaging\u201d because \u201cit\u2019s urgent\u201d", ("main", "staging", "it\u2019s urgent")),
    ("https://github.com/acme/web/tree/topic to staging", ("topic", "staging", "")),
    ("https://github.com/acme/web/commit/{sha}", ("{sha}", "production", "")),
]


def test_what_is_pasted_is_read_as_it_looks(world: World) -> None:
    sha = world.github.head("acme/web", "topic")
    for number, (typed, (ref, environment, reason)) in enumerate(PASTED):
        typed, ref = typed.format(sha=sha), ref.format(sha=sha)
        # Slack marks up links in messages, and leaves what follows `/deploy` as it is.
        world.say("U0ANA", f"@shipbot {typed}" if number % 2 else f"/deploy {typed}")
        made = world.github.deployments("acme/web")[0]
        because = f": {reason}" if reason else ""
        assert (typed, made["description"]) == (typed, f"web {ref} to {environment} by ana{because}")
        world.report("error")


def test_an_emoji_is_no_task(world: World) -> None:
    assert "Did you mean `/deploy web to prod`?" in ask(world, "/deploy :rocket: web to prod")
    assert cards(world) == []
    world.say("U0ANA", "/deploy deploy:db:seed web")
    [card] = posted(world.slack)
    assert card.text.startswith("web deploy:db:seed to production")


LATER = "`at TIME`, `in DURATION` or `because REASON`"
SLIPS = [
    ("deploy", "an app", "", 7),
    ("@topic", "an app", "", 8),
    ("/topic", "an app", "", 8),
    ("web production", f"`to ENV[/HOSTS]`, {LATER}", "web to production", 12),
    ("web/topic prod!", f"`to ENV[/HOSTS]`, {LATER}", "web/topic to prod!", 18),
    ("web to", "an environment", "", 14),
    ("web to /fe1", "an environment", "", 15),
    ("web because", "a reason", "", 19),
    ("web to prod becuase of it", LATER, "web to prod because of it", 20),
    ("web to prod the login loops", LATER, "web to prod because the login loops", 20),
    ("web to prod to stg", LATER, "", 20),
    ("stauts web", "`status`", "status web", 8),
    ("histroy web in prod", "`history`", "history web in prod", 8),
    ("where", "an app", "", 13),
    ("status web production", "`in ENV`", "status web in production", 19),
    ("status in production", "an app", "", 15),
    ("where web then", "the end", "", 18),
    ("where web now", "the end", "where web", 18),
    ("web " + "because " * 400, "a command of at most 2000 characters", "", 8),
]


def test_what_does_not_parse_is_pointed_at(world: World) -> None:
    for text, expected, near, column in SLIPS:
        answer = ask(world, f"/deploy {text}").splitlines()
        assert (text, answer[0]) == (text, f":thinking_face: I expected {expected} here:")
        assert (text, answer[2].index("^")) == (text, column)
        offer = answer[3] if len(answer) > 3 else ""
        if near:
            slash = "/" if near.startswith("deploy ") else "/deploy "
            assert (text, offer) == (text, f"Did you mean `{slash}{near}`?")
        elif len(text) < 2000:
            assert (text, offer[:20]) == (text, "This works: `/deploy")
        if offer:
            assert offer.replace("`", "")[:100] in world.slack.messages("C0OPS")[-1].text  # read aloud, too
    assert cards(world) == []


def test_only_the_person_sees_the_answer_to_a_slip(world: World) -> None:
    world.say("U0ANA", "/deploy web production")

    assert "I expected" in world.room(viewer="U0ANA")
    assert "I expected" not in world.room(viewer="U0BEN")


def test_an_answer_that_comes_too_late_for_slack_goes_to_a_direct_message(world: World) -> None:
    world.slack.fail("response_url", status=503)
    world.say("U0ANA", "/deploy web/topci")
    assert world.slack.ephemerals("U0ANA") == []
    world.advance(minutes=31)

    assert newest(world, world.slack.direct_room("U0ANA")) == (
        ":no_entry: `acme/web` has no branch, tag or commit `topci`. Did you mean `topic`?"
    )


def test_a_mended_command_is_offered_only_where_it_can_be_done(world: World) -> None:
    for text, near in (
        ("deploy web to prod please", "/deploy web to prod"),
        ("web topic to prod", "/deploy web/topic to prod"),
        ("deploy web topic", "/deploy web/topic"),
        ("diff web topic in prod", "/deploy diff web/topic in prod"),
    ):
        assert f"Did you mean `{near}`?" in ask(world, f"/deploy {text}"), text
    for slip in ("deploy web api", "web and api", "freeze web 2h", "rollback web by 2", "web --loud"):
        assert "Did you mean" not in ask(world, f"/deploy {slip}"), slip
    assert "Did you mean `/deploy web to production`?" in ask(world, "/deploy web production")
    for slip in ("rollback web", "cancel 9"):
        assert "Did you mean" not in ask(world, f"/deploy {slip}"), slip


def test_a_message_with_a_file_is_heard_and_answered_in_its_thread(world: World) -> None:
    room = world.slack.direct_room("U0ANA")
    world.say("U0ANA", "help", "dm")
    said = world.slack.messages(room)[0]
    event = {"type": "message", "channel_type": "im", "user": "U0ANA", "channel": room, "text": "web/topci"}
    for ts, subtype in (("1.1", "file_share"), ("1.2", "thread_broadcast"), ("1.3", "message_changed")):
        world.slack.send_event(event | {"subtype": subtype, "ts": ts, "thread_ts": said.ts})
        world.settle()
    answers = [message for message in world.slack.messages(room) if "topci" in message.text]
    assert [message.thread_ts for message in answers] == [said.ts, said.ts]


def test_a_command_in_a_direct_message_of_others(world: World) -> None:
    between = world.slack.add_room("D0AB", "", private=True, members=["U0ANA", "U0BEN"], bot_is_member=False)
    between.kind = "im"
    world.say("U0ANA", "/deploy web/topic to staging", "D0AB")
    [card] = cards(world, world.slack.direct_room("U0ANA"))
    assert "Slack shows me no direct message between others, so this is shown here." in card
    assert len(writes(world)) == 1
