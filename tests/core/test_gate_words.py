"""The words for what gates find: for every finding there is, and nothing from outside among them that Slack obeys."""

from __future__ import annotations

import ast
import re
from itertools import combinations
from pathlib import Path

from bot.deploys import states
from bot.deploys.errors import NotAllowed
from bot.deploys.model import Deploy
from bot.deploys.policy import REFUSE, REFUSED, WAITING, Ahead, Decision, Finding, decide
from bot.slack.views import card as cards
from bot.slack.views import findings as words
from bot.slack.views.problems import explain
from bot.slack.views.text import Links
from tests.core.test_policy import NOW, ROWS, SHA, both, facts, finding


def not_allowed(decision: Decision) -> NotAllowed:
    found = [item.as_json() for item in decision.findings]
    return NotAllowed("web", "production", "web/topic to production", found)


def all_findings() -> list[Finding]:
    found = [finding(decide(facts(fresh=fresh, **row[1])), row[0]) for row in ROWS for fresh in (True, False)]
    told = {"checks": [["ci/build", "pending", ""], ["lint", "success", ""]]}
    return [*found, Finding("checks", WAITING, "github", told)]


def codes_in(path: str) -> set[str]:
    """The codes of the findings that a module makes, read in its source."""
    codes: set[str] = set()
    for node in ast.walk(ast.parse(Path(path).read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding":
            codes |= {leaf.value for leaf in ast.walk(node.args[2]) if isinstance(leaf, ast.Constant)}
    return codes


def test_the_rows_above_have_every_code_there_is() -> None:
    made = codes_in("bot/deploys/policy.py") | codes_in("bot/service/creating.py")
    assert made >= {"elsewhere", "held", "own", "frozen", "red", "github", "missing", "asked", "busy"}
    answers = set(re.findall(r'Answer\((?:False|True|None|enough), "(\w+)"', Path("bot/service/people.py").read_text()))
    assert answers >= {"unlinked", "level", "unknown"}
    assert made | answers <= {item.code for item in all_findings()}


# What Slack reads as something: mentions, rooms, times and links, all of them ours.
OURS = re.compile(
    r"<@U0(ANA|BEN|CAL|DEE)>|<!subteam\^S0REL>|<#C0(OPS|REL|RAN)>"
    r"|<!date\^\d+\^\{date_short_pretty\} at \{time\}\|[^<>|]+>|<https://ci\.example/1\|[^<>|]+>"
)


def hold_words(text: str) -> None:
    """Words that are there, are sentences of ours, and give nothing from outside a meaning in Slack."""
    assert text.strip()
    assert not re.search(r"[<>]", OURS.sub("x", text)), text
    assert "None" not in text, text
    assert not re.search(r"\.\.|\. \.|  |\{|\}| ,|\(\)", OURS.sub("x", text)), text


def test_every_finding_has_words() -> None:
    for item in all_findings():
        lines = words.checklist([item])
        for line in lines:
            hold_words(line)
            assert not line.endswith("."), line
        if item.verdict == WAITING:
            assert lines, item
            hold_words(words.waiting_for([item]))
        if item.verdict == REFUSED:
            assert lines, item
            hold_words(words.ended(item))
            text = words.refusal(item, "web", "production", "web/topic to production")
            hold_words(text)
            assert words.checklist([item], lambda _, text=text: text) == [f":no_entry: {text}"]
    assert words.waiting_for([]) == "its turn"


def test_every_refusal_names_the_way_out() -> None:
    for item in all_findings():
        if item.verdict != REFUSED or item.gate == "approvals":  # nobody asks with voices or time gone by
            continue
        text = words.refusal(item, "web", "production", "migrate web/topic to production/fe1")
        assert re.search(r"[Aa]sk |again|/deploy |may\.$|may, and|Its admins can", text), text
    missing = next(item for item in all_findings() if item.gate == "order" and item.verdict == REFUSED)
    said = words.refusal(missing, "web", "production", "migrate web/topic to production/fe1")
    assert "First `/deploy web/topic to staging`, or force it" in said, "another task would not count there"


def test_every_finding_on_a_card() -> None:
    buttons = {
        "lock": ["lock_steal", "deploy_cancel"],
        "checks": ["deploy_force", "deploy_cancel"],
        "order": ["deploy_force", "deploy_cancel"],
        "approvals": ["deploy_approve", "deploy_reject", "deploy_cancel"],
    }
    for item in all_findings():
        deploy = Deploy(
            number=1,
            id="x",
            origin="slack",
            app="web",
            repository="acme/web",
            environment="production",
            ref="topic",
            sha=SHA,
            task="deploy",
            state=states.HELD,
            asked_at=NOW,
            findings=[item.as_json()],
        )
        ahead = [Ahead(7, "U0BEN", "ben", running=True)] if item.gate == "queue" else []
        shown = cards.card(deploy, Links("https://ci.example"), cards.Sight(now=NOW, ahead=ahead))
        elements = shown.blocks[-1]["elements"]
        waits = item.verdict == WAITING
        expected = buttons.get(item.gate, ["deploy_cancel"]) if waits else ["deploy_cancel"]
        assert (item, [element["action_id"] for element in elements]) == (item, expected)
        assert "Waiting for" in shown.text


def test_a_refusal_names_all_that_refuses_and_all_that_would_wait() -> None:
    """Of every two gates: what refuses comes with its way out, what would wait after it."""
    target = "web/topic to production"
    first = {gate: row for row in reversed(ROWS) for gate in [row[0]] if row[2][0] == REFUSED}
    last = {gate: row for row in ROWS for gate in [row[0]] if row[2][0] in (REFUSED, WAITING)}
    for one, other in combinations([*first.values(), *last.values()], 2):
        decision = decide(facts(fresh=True, **both(one[1], other[1])))
        if decision.outcome != REFUSE:
            continue
        told = explain(not_allowed(decision)).splitlines()
        refusals = [words.refusal(item, "web", "production", target) for item in decision.of(REFUSED)]
        waits = [words.said(item) for item in decision.of(WAITING)]
        assert [line.split(" ", 1)[1] for line in told[: len(refusals)]] == refusals
        assert told[len(refusals) :] == ([f":hourglass: It would also wait: {'; '.join(waits)}"] if waits else [])
