"""The words for what gates find: as a checklist on a card, and as a refusal to the person alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.deploys import policy
from bot.deploys.model import Problem, short
from bot.deploys.policy import PASSED, REFUSED, WAITING, Finding
from bot.slack.views.text import (
    LINK,
    capital,
    clock_time,
    code,
    count,
    duration_of,
    escape,
    flat,
    formats,
    is_address,
    link,
    listed,
    name,
    person,
    quoted,
    room,
    who,
)

Facts = Mapping[str, Any]

_SIGNS = {PASSED: ":white_check_mark:", WAITING: ":hourglass:", REFUSED: ":no_entry:"}
_MOST = 8  # checks named one by one
LINK_IT = "`/deploy login` links you, or whoever runs me can under `users:` in my config."


def checklist(findings: Sequence[Finding], refused: Callable[[Finding], str] | None = None) -> list[str]:
    """A line for each gate that has something to say, and one for those that are merely open.

    `refused` has the words for a gate that refuses, where its own line would not tell the way out.
    """
    lines = []
    quiet = []
    for finding in findings:
        words = refused(finding) if refused is not None and finding.verdict == REFUSED else said(finding)
        if finding.verdict == PASSED and finding.code in _QUIET:
            if words:
                quiet.append(words)
        elif words:
            lines.append(f"{_sign(finding)} {words}")
    if quiet:
        sentence = ", ".join(quiet)
        lines.append(f"{_SIGNS[PASSED]} {capital(sentence)}")
    return lines


def waiting_for(findings: Sequence[Finding]) -> str:
    """What a deploy waits for, in the middle of a sentence."""
    return listed([_WANTED[item.gate](item.facts) for item in findings if item.verdict == WAITING]) or "its turn"


def why_unknown(problem: Problem) -> str:
    """Why something could not be found out, within a sentence."""
    facts = problem.facts
    match problem.code:
        case "Unavailable":
            return f"{facts['service']} is not answering"
        case "RateLimited":
            until = f"until {clock_time(datetime.fromisoformat(facts['at']))}" if facts["at"] else "for now"
            return f"{facts['service']} lets me ask no more {until}"
        case "NotAllowedByGitHub":
            return f"my token or app lacks the permission *{escape(flat(facts['permission']))}*"
        case "NotFoundAtGitHub":
            return f"GitHub shows me no repository {code(facts['repository'])}"
        case "TokenRefused":
            return "GitHub refuses my token"
        case "LookupFailed" if facts["reason"]:
            return f"there are {code(facts['reason'])}" if facts["what"] == "the checks" else code(facts["reason"])
    return code(problem.code)


def said(finding: Finding) -> str:
    """What one gate finds, in a line; '' when there is nothing worth saying."""
    return _SAID[finding.gate](finding)


def refusal(finding: Finding, app: str, environment: str, target: str) -> str:
    """Why a gate refuses, by whom, since when, and the next thing to type."""
    place = f"{name(app)} / {name(environment)}"
    command = code(f"/deploy {target}", 200)
    facts = finding.facts
    match finding.gate:
        case policy.ROOM:
            rooms = listed([room(item) for item in facts["rooms"]], "or")
            return f"{name(app)} can't be deployed from here. Ask in {rooms}."
        case policy.PERMISSION:
            return f"You may not deploy {place}. {standing(finding.code, facts)}"
        case policy.LOCK:
            ways = [_way_round_lock(item, target) for item in facts["locks"]]
            return " ".join([*(f"{place} is {locked(item)}." for item in facts["locks"]), *ways[:1]])
        case policy.FREEZE:
            frozen = listed([_frozen(item) for item in facts["freezes"]])
            way = "Ask again then."
            if facts["override"]:
                way = f"You may deploy through it, if you say why: {code(f'/deploy {target} because …', 200)}"
            elif "lookup" in facts:
                way = f"Whether you may deploy through it I can't tell. {standing('unknown', facts['lookup'])}"
            return f"{place} is frozen: {frozen}. {way}"
        case policy.CHECKS if finding.code == "unknown":
            return f"{said(finding)}. Ask again in a while, or force it with `!` behind the app."
        case policy.CHECKS:
            return f"{said(finding)}. Ask again when they are green, or force it with `!` behind the app."
        case policy.ORDER:
            first = facts["missing"][0][0]
            what = target.partition(" to ")[0].split(" ")[-1]  # without its task: only a whole deploy counts there
            return (
                f"{said(finding)}. First {code(f'/deploy {what} to {first}', 200)}, "
                "or force it with `!` behind the app."
            )
        case policy.QUEUE:
            return (
                f"{place} is busy with #{facts['ahead'][0][0]} for {_ahead(facts['ahead'][0])}. Then again: {command}"
            )
    return said(finding)


def ended(finding: Finding) -> str:
    """Why a deploy that waited is over."""
    if finding.gate == policy.APPROVALS and finding.code == "rejected":
        because = f": {quoted(finding.facts['reason'])}" if finding.facts["reason"] else ""
        return f"{person(finding.facts['user_id'], finding.facts['user_name'])} rejected it{because}."
    if finding.gate == policy.APPROVALS and finding.code == "expired":
        given = len(finding.facts["given"])
        got = f"Only {given} of {finding.facts['required']} approvals" if given else "No approval"
        return f"{got} came in time. Nothing was deployed; ask again to ask them anew."
    if finding.gate == policy.PERMISSION:
        return f"{standing(finding.code, finding.facts, other=True)} Nothing was deployed."
    if finding.gate == policy.TIME:
        return f"{said(finding)}."
    return f"{said(finding)}. Nothing was deployed."


def standing(why: str, facts: Facts, *, other: bool = False) -> str:
    """Why somebody is not one of those that the config names. `other`: it is said to others, of the one who asked."""
    login_of = "the GitHub login of who asked" if other else "your GitHub login"
    link_it = "" if other else f" {LINK_IT}"
    match why:
        case "deployers":
            return f"Only {_people(facts['listed'])} may" + (", and who asked is somebody else." if other else ".")
        case "team":
            return f"Only {_people(facts['listed'])} may, and I don't know {login_of}.{link_it}"
        case "unlinked":
            return f"It takes {code(facts['permission'])} on the repository, and I don't know {login_of}.{link_it}"
        case "level":
            login, has, wanted = code(facts["login"]), code(facts["has"]), code(facts["wanted"])
            return f"It takes {wanted} on the repository, and GitHub gives {login} {has}. Its admins can change that."
    problem = Problem.from_json(facts.get("problem"))
    why_not = why_unknown(problem) if problem else code(facts["reason"]) if facts.get("reason") else ""
    because = f" ({why_not})" if why_not else ""
    way = "" if other else " Try again in a while, or tell whoever runs me."
    return f"I could not look up {code(facts['what'])}{because}, and what I don't know I can't let through.{way}"


def locked(lock: Facts) -> str:
    """`locked by @ben since …: “demo day” (until …)`."""
    where = "" if lock["environment"] else f" ({'all of it' if lock['app'] else 'everything'})"
    by = person(lock["user_id"], lock["user_name"])
    reason = f": {quoted(lock['reason'])}" if lock["reason"] else ""
    until = f" (until {_time(lock['expires_at'])})" if lock["expires_at"] else ""
    return f"locked{where} by {by} since {_time(lock['at'])}{reason}{until}"


def _way_round_lock(lock: Facts, target: str) -> str:
    app = lock["app"] or "all"
    place = f" in {lock['environment']}" if lock["environment"] else ""
    take = code(f"/deploy lock {app}{place} because … !", 200)
    return f"Ask them, wait for it and say {code(f'/deploy {target}', 200)} again, or take it over: {take}"


def _frozen(freeze: Facts) -> str:
    what = escape(flat(freeze["name"])) if freeze["name"] else "by " + person(freeze["user_id"], freeze["user_name"])
    if freeze["name"] == "" and not freeze["user_id"]:
        what = "by the config"
    reason = f", {quoted(freeze['reason'])}" if freeze["reason"] else ""
    until = f", until {_time(freeze['until'])}" if freeze["until"] else ", until somebody unfreezes it"
    return f"{what}{reason}{until}"


def _time(moment: str) -> str:
    return clock_time(datetime.fromisoformat(moment))


def _people(listed_: Sequence[str]) -> str:
    return listed([who(item) for item in listed_], "or")


def _ahead(item: Sequence[Any]) -> str:
    return person(item[1], item[2])


def _sign(finding: Finding) -> str:
    if finding.verdict == PASSED and finding.code in ("forced", "rollback", "overridden"):
        return ":fast_forward:"
    return _SIGNS[finding.verdict]


# One function for each gate. What merely stands open is said in one breath with the others.

_QUIET = frozenset({"none", "come", "free", "open", "anyone", "listed", "own", "level", "rule", ""})


def _when(finding: Finding) -> str:
    facts = finding.facts
    if finding.code == "early":
        return f"Its time is {_time(facts['at'])}"
    if finding.code == "missed":
        late = duration_of(facts["late"])
        return (
            f"It missed its time: it was to go {_time(facts['at'])}, and I was not there until {late} later. "
            "Nothing was deployed; ask again if it still should go"
        )
    if finding.code == "overtaken":
        return (
            f"#{facts['by']} has brought this very commit there meanwhile, so nothing is left to do; "
            "to deploy it once more, ask again"
        )
    return ""


def _room(finding: Finding) -> str:
    return (
        ""
        if finding.verdict == PASSED
        else f"Only from {listed([room(item) for item in finding.facts['rooms']], 'or')}"
    )


def _permission(finding: Finding) -> str:
    return "" if finding.verdict == PASSED else standing(finding.code, finding.facts, other=True).rstrip(".")


def _lock(finding: Finding) -> str:
    if finding.code == "none":
        return "not locked"
    if finding.code == "own":
        return "locked by the one who asks"
    words = listed([locked(item) for item in finding.facts["locks"]])
    return capital(words)


def _freeze(finding: Finding) -> str:
    if finding.code == "none":
        return "not frozen"
    words = listed([_frozen(item) for item in finding.facts["freezes"]])
    return f"Goes through the freeze: {words}" if finding.code == "overridden" else f"Frozen: {words}"


def _checks(finding: Finding) -> str:
    if finding.code in ("forced", "rollback"):
        return "Checks skipped"
    if finding.code == "none":
        return ""
    if finding.code == "unknown":
        problem = Problem.from_json(finding.facts["problem"])
        return "Checks: not known" + (f", since {why_unknown(problem)}" if problem else "")
    if finding.code == "unreported":
        return "Checks: none has reported yet"
    checks = finding.facts["checks"]
    green = [_check(item) for item in checks if item[1] == "success"]
    others = [f"{_check(item)} is {_state(item[1])}" for item in checks if item[1] != "success"]
    if not others:
        return f"Checks: {_some(green)}" if green else "No checks to wait for"
    also = f" (green: {_some(green)})" if green else ""
    return f"Checks: {_some(others)}{also}"


def _check(item: Sequence[str]) -> str:
    label = flat(item[0], 60)
    if formats(label) or not is_address(item[2], LINK):
        return code(label)
    return link(item[2], escape(label).replace("|", "¦"))


def _state(state: str) -> str:
    words = {"pending": "still running", "failure": "red", "error": "red", "missing": "missing"}
    return words.get(state) or code(state)


def _some(items: Sequence[str]) -> str:
    return listed(items if len(items) <= _MOST else [*items[:_MOST], f"{len(items) - _MOST} more"])


def _order(finding: Finding) -> str:
    if finding.code in ("forced", "rollback"):
        return "Order skipped"
    if finding.code == "none":
        return ""
    if finding.code == "live":
        return f"{listed([name(item) for item in finding.facts['environments']])} runs this commit"
    parts = []
    for place, sha, coming in finding.facts["missing"]:
        runs = f"it runs {code(short(sha))}" if sha else "nothing is live there yet"
        parts.append(f"{name(place)} ({'it is on its way there' if coming else runs})")
    return f"{listed(parts)} must run this commit first"


def _approvals(finding: Finding) -> str:
    facts = finding.facts
    if finding.code == "none":
        return ""
    if finding.code == "before":
        return f"Approvals: those of #{facts['number']}, which it carries out"
    if finding.code == "rejected":
        return ended(finding).rstrip(".")
    given = [person(*item) for item in facts["given"]]
    ours = f"Approvals: {len(given)} of {facts['required']}"
    if finding.code == "given":
        return f"{ours} ({listed(given)})"
    missing = [who(item) for item in facts["approvers"] if item not in {id_ for id_, _ in facts["given"]}]
    anyone = "anyone" if facts.get("own") else "anyone but the one who asks"
    asked = f"asked {listed(missing)}" if missing else anyone
    got = f"{listed(given)}; " if given else ""
    until = f"until {_time(facts['until'])}"
    return f"{ours} ({got}{asked}; {until})"


def _queue(finding: Finding) -> str:
    ahead = finding.facts.get("ahead") or []
    if not ahead:
        return "nobody ahead"
    first = ahead[0]
    under_way = "under way" if first[3] else "next"
    place = f"Place {len(ahead)} in line" if len(ahead) > 1 else "Next in line"
    return f"{place}, behind #{ahead[-1][0]} for {_ahead(ahead[-1])}" + (
        f" (#{first[0]} is {under_way})" if len(ahead) > 1 else ""
    )


_SAID = {
    policy.TIME: _when,
    policy.ROOM: _room,
    policy.PERMISSION: _permission,
    policy.LOCK: _lock,
    policy.FREEZE: _freeze,
    policy.CHECKS: _checks,
    policy.ORDER: _order,
    policy.APPROVALS: _approvals,
    policy.QUEUE: _queue,
}


def _approvals_wanted(facts: Facts) -> str:
    return count(facts["required"] - len(facts["given"]), "more approval" if facts["given"] else "approval")


def _lock_wanted(facts: Facts) -> str:
    return f"{listed([person(item['user_id'], item['user_name']) for item in facts['locks']])} to unlock it"


def _order_wanted(facts: Facts) -> str:
    return f"{listed([name(item[0]) for item in facts['missing']])} to run it first"


_WANTED: Mapping[str, Callable[[Facts], str]] = {
    policy.TIME: lambda facts: f"its time, {_time(facts['at'])}",
    policy.ROOM: lambda facts: "another room",
    policy.PERMISSION: lambda facts: "an answer about who asked",
    policy.LOCK: _lock_wanted,
    policy.FREEZE: lambda facts: "the freeze to end",
    policy.CHECKS: lambda facts: "GitHub to tell of the checks" if "problem" in facts else "green checks",
    policy.ORDER: _order_wanted,
    policy.APPROVALS: _approvals_wanted,
    policy.QUEUE: lambda facts: "its turn",
}
