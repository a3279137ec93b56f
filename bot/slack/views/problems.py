"""The words for everything that can stand in a deploy's way: what, why, and the next thing to type."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from bot.deploys import policy, states
from bot.deploys.errors import PersonError, TryLater, problem_of
from bot.deploys.model import Problem, short
from bot.deploys.policy import REFUSED, WAITING, Finding
from bot.slack.views.findings import LINK_IT, ended, locked, refusal, said, standing
from bot.slack.views.subscriptions import ERRORS
from bot.slack.views.text import (
    capital,
    clock_time,
    code,
    duration,
    escape,
    flat,
    formats,
    listed,
    name,
    person,
    room,
    scope,
)

Facts = Mapping[str, Any]


def explain(problem: Problem | PersonError | TryLater) -> str:
    """The sentences for a problem, as mrkdwn."""
    if not isinstance(problem, Problem):
        problem = problem_of(problem)
    return _WORDS[problem.code](problem.facts)


def cause(problem: Problem | PersonError | TryLater) -> str:
    """Only what happened, for when it is over: without what is done about it."""
    if not isinstance(problem, Problem):
        problem = problem_of(problem)
    if problem.code == "Unavailable":
        return _silence(problem.facts)
    if problem.code in ("RateLimited", "Paced"):
        return f"{problem.facts['service']} lets me ask no more for now."
    return explain(problem)


def codes() -> set[str]:
    """The problems that there are words for; a test holds them to the errors there are."""
    return set(_WORDS)


def _near(near: object, names: object, what: str) -> str:
    """`Did you mean …?`, or what there is when nothing is alike."""
    alike = [code(str(item)) for item in near] if isinstance(near, list) else []
    if alike:
        return f" Did you mean {listed(alike, 'or')}?"
    known = [code(str(item)) for item in names] if isinstance(names, list) else []
    if not known:
        return ""
    more = f" and {len(known) - 10} more" if len(known) > 10 else ""
    return f" {what}: {', '.join(known[:10])}{more}."


def _unknown_app(facts: Facts) -> str:
    typed = re.fullmatch(r"([^#]*)#(\d{1,18})", facts["name"])
    if typed is not None:  # a pull request's branch is not known here, and it may be somebody else's
        app = typed[1] if typed[1] in facts["near"] else "APP"
        history = "" if typed[1] else f" {code(f'/deploy history #{typed[2]}')} tells of deploy #{typed[2]}."
        return (
            f"I know no app {code(facts['name'])}. A pull request goes by its branch: "
            f"{code(f'/deploy {app}/BRANCH to ENV', 200)}.{history}"
        )
    near = _near(facts["near"], facts["known"], "I know")
    return f"I know no app {code(facts['name'])}.{near} `/deploy apps` lists them all."


def _unknown_environment(facts: Facts) -> str:
    near = _near(facts["near"], facts["known"], "It has")
    return f"{name(facts['app'])} has no environment {code(facts['name'])}.{near}"


def _no_default_environment(facts: Facts) -> str:
    names = listed([code(item) for item in facts["known"]], "or")
    return (
        f"Where to? {name(facts['app'])} has no environment {code(facts['default'])}, which is the default. "
        f"Add `to` and one of {names}."
    )


def _pull_not_open(facts: Facts) -> str:
    app, environment, pull = facts["app"], facts["environment"], facts["pull"]
    if facts["known"]:
        return (
            f"Pull request {pull} of {name(app)} is closed, so there is no {name(environment)} any more. Opened again "
            "at GitHub, it is a preview again."
        )
    return (
        f"I have not heard of pull request {pull} of {name(app)} yet. Push to it, or name what is to go there: "
        f"{code(f'/deploy {app}/REF to {environment}', 200)}."
    )


def _pull_over(facts: Facts) -> str:
    why = {
        "closed": "was closed",
        "unlabelled": "has lost its label",
        "pushed": "has a newer commit",
    }.get(facts["why"])
    if why is None:
        return f"Pull request {facts['pull']} is wanted again, so its preview stays. Nothing was taken down."
    return f"Pull request {facts['pull']} {why}. Nothing was deployed."


def _unknown_ref(facts: Facts) -> str:
    near = _near(facts["near"], [], "")
    missing = "" if near else " Has it been pushed?"
    if re.fullmatch(r"#\d+", facts["name"]):
        missing = " A pull request goes by the name of its branch."
    return f"{code(facts['repository'])} has no branch, tag or commit {code(facts['name'])}.{near}{missing}"


def _wrong_room(facts: Facts) -> str:
    rooms = listed([room(item) for item in facts["rooms"]], "or")
    return f"{name(facts['app'])} can't be deployed from here. Ask in {rooms}."


def _nothing_live(facts: Facts) -> str:
    app, place = facts["app"], facts["environment"]
    return (
        f"Nothing of {name(app)} is live in {name(place)} yet. "
        f"{code(f'/deploy {app} to {place}', 200)} would be the first."
    )


def _not_configured(facts: Facts) -> str:
    return (
        f"{name(facts['app'])} or its environment {name(facts['environment'])} was taken out of the config "
        "before this could go. Nothing was deployed."
    )


def _not_allowed(facts: Facts) -> str:
    said = f" (it says: {code(facts['message'])})" if facts["message"] else ""
    return (
        f"GitHub does not let me do that in {code(facts['repository'])}{said}. My token or app needs the "
        f"permission *{facts['permission']}* there; whoever runs me can grant it, then ask again."
    )


def _not_found(facts: Facts) -> str:
    needs = f" with the permission *{facts['permission']}*" if facts["permission"] else ""
    return (
        f"GitHub shows me no repository {code(facts['repository'])}. Either the name in the config is wrong, or "
        f"my token or app has no access to it; it must be granted{needs}."
    )


def _token_refused(facts: Facts) -> str:
    return (
        "GitHub refuses my token: it is wrong, expired or revoked. Nothing was deployed. Whoever runs me must "
        "set a new one; `python -m bot check` tells more."
    )


def _moved(facts: Facts) -> str:
    where = f" to {code(facts['new_name'])}" if facts["new_name"] else ""
    return (
        f"The repository {code(facts['repository'])} was renamed or moved{where}. Its new name must be set in my "
        "config, then ask again. Nothing was deployed."
    )


def _branch_moved(facts: Facts) -> str:
    if not facts["head"]:
        return f"The branch {code(facts['ref'])} is gone. Nothing was deployed."
    return (
        f"{code(facts['ref'])} has moved on from {code(short(facts['asked']))} to {code(short(facts['head']))} "
        "since it was asked for. Nothing was deployed; ask again to deploy what is there now."
    )


def _conflict(facts: Facts) -> str:
    return (
        "GitHub could not merge the default branch into this one, since they conflict. Nothing was deployed. "
        "Merge it by hand, push, and ask again."
    )


def _checks(facts: Facts) -> str:
    # GitHub lists the green ones too.
    waiting = [f"{code(item[0], 60)} is {_state(item[1])}" for item in facts["contexts"] if item[1] != "success"]
    green = [code(item[0], 60) for item in facts["contexts"] if item[1] == "success"]
    which = _first(waiting) if waiting else "not every required check is"
    passed = f" (green: {_first(green)})" if green and waiting else ""
    return (
        f"GitHub wants green checks first: {which}{passed}. Nothing was deployed. Ask again when they are green, "
        "or force it with `!` behind the app."
    )


def _first(items: list[str], most: int = 10) -> str:
    return listed(items if len(items) <= most else [*items[:most], f"{len(items) - most} more"])


def _state(state: str) -> str:
    return {"pending": "still running", "failure": "red", "error": "red", "missing": "missing"}.get(state, code(state))


def _refused(facts: Facts) -> str:
    said = f": {code(facts['message'], 250)}" if facts["message"] else ""
    return f"GitHub refused this (HTTP {facts['status']}){said}. Nothing was deployed."


def _unavailable(facts: Facts) -> str:
    return f"{_silence(facts)} I keep trying; there is nothing you need to do."


def _silence(facts: Facts) -> str:
    why = f" ({escape(flat(facts['detail'], 100))})" if facts["detail"] else ""
    return f"{facts['service']} is not answering{why}."


def _limited(facts: Facts) -> str:
    until = f" until {clock_time(datetime.fromisoformat(facts['at']))}" if facts["at"] else ""
    return f"{facts['service']} lets me ask no more{until}. It goes on by itself then."


def _login_unavailable(facts: Facts) -> str:
    said = f" (GitHub says: {code(facts['message'])})" if facts["message"] else ""
    return (
        f"You can't log in to GitHub through me{said}: that takes a GitHub App with *Device flow* enabled in its "
        "settings. Whoever runs me can link you under `users:` in my config instead."
    )


def _login_ended(facts: Facts) -> str:
    how = "That code ran out" if facts["expired"] else "The login was declined at GitHub"
    return f"{how}, so nothing was linked. `/deploy login` starts anew."


def _lookup_failed(facts: Facts) -> str:
    said = f" ({code(facts['reason'])})" if facts["reason"] else ""
    return f"I could not look up {code(facts['what'])}{said}, so I can't let that through. Try again in a while."


def _not_allowed_by_gates(facts: Facts) -> str:
    found = [Finding.from_json(item) for item in facts["findings"]]
    app, environment, target = facts["app"], facts["environment"], facts["target"]
    parts = [
        f"{_GATE_SIGNS.get(item.gate, ':no_entry:')} {refusal(item, app, environment, target)}"
        for item in found
        if item.verdict == REFUSED
    ]
    also = [said(item) for item in found if item.verdict == WAITING]
    if also:
        parts.append(f":hourglass: It would also wait: {'; '.join(also)}")
    return "\n".join(parts)


_GATE_SIGNS = {policy.LOCK: ":lock:", policy.FREEZE: ":snowflake:", policy.QUEUE: ":hourglass:"}


def _already_asked(facts: Facts) -> str:
    how = "is waiting already" if facts["state"] == states.HELD else "is under way already"
    number = facts["number"]
    where = f" in {room(facts['room'])}" if facts["room"] else ""
    return f"Just that {how}: #{number}{where}. `/deploy cancel {number}` takes it back."


def _unknown_deploy(facts: Facts) -> str:
    return f"There is no deploy #{facts['number']} of mine. `/deploy status` shows what is under way."


_OVER = {
    states.SUCCESS: "is live already",
    states.FAILURE: "has failed already",
    states.ERROR: "has ended in an error already",
    states.CANCELLED: "was cancelled already",
    states.SUPERSEDED: "was superseded already",
    states.REFUSED: "was refused already",
    states.EXPIRED: "was given up already",
    states.INACTIVE: "is over already",
    states.LOST: "is lost from sight",
}


def _superseded(facts: Facts) -> str:
    sha = code(short(facts["sha"]))
    return f"Its branch is at {sha} now, which #{facts['number']} deploys. Nothing of this one was deployed."


def _not_waiting(facts: Facts) -> str:
    return f"#{facts['number']} {_OVER.get(facts['state'], 'is under way already')}, so that comes too late."


def _needs_no_approval(facts: Facts) -> str:
    return (
        f"{name(facts['app'])} in {name(facts['environment'])} needs no approval, so #{facts['number']} waits for none."
    )


def _own_deploy(facts: Facts) -> str:
    number = facts["number"]
    return (
        f"You asked for #{number} yourself (or another account of yours did), so somebody else has to agree. "
        f"`/deploy cancel {number}` takes it back."
    )


def _maybe_own_deploy(facts: Facts) -> str:
    number, login = facts["number"], code(facts["login"])
    return f"#{number} is for {login} at GitHub. I don't know your GitHub login, so that could be you. {LINK_IT}"


def _stranger(facts: Facts) -> str:
    return (
        "You are of another workspace than mine, so I do nothing for you here. Whoever runs me can name you under "
        "`users:` in my config."
    )


def _already_voted(facts: Facts) -> str:
    return f"You have {'approved' if facts['approves'] else 'rejected'} #{facts['number']} already; one voice a person."


def _not_entitled(facts: Facts) -> str:
    where = f"{name(facts['app'])} / {name(facts['environment'])}"
    return f"You may not {facts['act']} that in {where}. {standing(facts['code'], facts['facts'])}"


def _lock_held(facts: Facts) -> str:
    lock = facts["lock"]
    return f"It is {locked(lock)}. Ask them, or take it over: the same again with `!` at the end."


def _not_locked(facts: Facts) -> str:
    if facts["gone"]:
        return "That lock is gone already. `/deploy locks` lists those that hold."
    return f"Nobody has locked {scope(facts['app'], facts['environment'])}. `/deploy locks` lists what is locked."


def _already_frozen(facts: Facts) -> str:
    freeze = facts["freeze"]
    what = capital(scope(freeze["app"], freeze["environment"]))
    by = person(freeze["user_id"], freeze["user_name"])
    return f"{what} is frozen already by {by}. `/deploy unfreeze …` ends it; then freeze it anew."


def _not_frozen(facts: Facts) -> str:
    what = scope(facts["app"], facts["environment"])
    if facts["by_config"]:
        return (
            f"{capital(what)} is frozen by my config, which only whoever runs me can change. Who is named under "
            "`override:` may deploy through it with `because …`."
        )
    return f"Nobody has frozen {what}. `/deploy locks` lists locks and freezes."


def _unknown_time(facts: Facts) -> str:
    if formats(flat(facts["text"])):  # the message repeats it
        examples = listed([code(time) for time in ("16:00", "Fri 16:00", "2026-12-24 18:00")], "or")
        return f"{code(facts['text'])} is no time that I understand. Write it like {examples}."
    return escape(flat(facts["message"], 300))


def _too_far_ahead(facts: Facts) -> str:
    at = clock_time(datetime.fromisoformat(facts["at"]))
    return f"{capital(at)} is more than {facts['days']} days away. Ask for it nearer to its time."


def _not_scheduled(facts: Facts) -> str:
    number = facts["number"]
    cancel = f"`/deploy cancel {number}` takes back this one"
    if facts["by_config"]:
        return f"#{number} was on schedule by my config, which only whoever runs me can change. {cancel}."
    return f"#{number} is not waiting for its time (any more). {cancel}; `/deploy schedules` lists what goes later."


def _too_late(facts: Facts) -> str:
    since = clock_time(datetime.fromisoformat(facts["at"]))
    return f"It was to go {since}, and I was not there to do it. Nothing was deployed; ask again if it still should go."


def _asked_too_late(facts: Facts) -> str:
    since = clock_time(datetime.fromisoformat(facts["at"]))
    return (
        f"You asked for that {since}, and I was not there to do it. Nothing was done; ask again if it still should be."
    )


def _waited_too_long(facts: Facts) -> str:
    since = clock_time(datetime.fromisoformat(facts["since"]))
    return f"It has waited since {since}, which is as long as it may. Nothing was deployed; ask again if it should go."


def _timed_out(facts: Facts) -> str:
    length = duration(datetime.fromisoformat(facts["until"]) - datetime.fromisoformat(facts["since"]))
    return (
        f"No end was reported within {length}, so the next one may go. How it stands is not known: look at the "
        "deployer. A status that still comes will be shown here."
    )


def _ended(facts: Facts) -> str:
    return ended(Finding.from_json(facts["finding"]))


def _cancelled(facts: Facts) -> str:
    by = person(facts["user_id"], facts["user_name"])
    return f"Cancelled by {by}." + ("" if facts["started"] else " Nothing was deployed.")


def _not_retriable(facts: Facts) -> str:
    return (
        f"#{facts['number']} {_OVER.get(facts['state'], 'is not over')}, so there is nothing to try again or take back."
    )


def _not_live(facts: Facts) -> str:
    return f"#{facts['number']} is not live any more, #{facts['live']} is. Promote that one from its card."


def _nothing_before(facts: Facts) -> str:
    app, place = facts["app"], facts["environment"]
    return (
        f"There is no good deploy before #{facts['number']} to go back to in {name(app)} / {name(place)}. "
        f"{code(f'/deploy rollback {app} in {place} to REF', 200)} chooses one yourself."
    )


_WORDS: dict[str, Callable[[Facts], str]] = {
    "UnknownApp": _unknown_app,
    "UnknownEnvironment": _unknown_environment,
    "NoDefaultEnvironment": _no_default_environment,
    "UnknownRef": _unknown_ref,
    "PullNotOpen": _pull_not_open,
    "WrongRoom": _wrong_room,
    "NothingLive": _nothing_live,
    "NotConfigured": _not_configured,
    "NotAllowedByGitHub": _not_allowed,
    "NotFoundAtGitHub": _not_found,
    "TokenRefused": _token_refused,
    "RepositoryMoved": _moved,
    "BranchMoved": _branch_moved,
    "MergeConflict": _conflict,
    "ChecksFailed": _checks,
    "LoginUnavailable": _login_unavailable,
    "LoginEnded": _login_ended,
    "LookupFailed": _lookup_failed,
    "RequestRefused": _refused,
    "NotRetriable": _not_retriable,
    "NotLive": _not_live,
    "NothingBefore": _nothing_before,
    "NotAllowed": _not_allowed_by_gates,
    "AlreadyAsked": _already_asked,
    "UnknownDeploy": _unknown_deploy,
    "NotWaiting": _not_waiting,
    "NeedsNoApproval": _needs_no_approval,
    "OwnDeploy": _own_deploy,
    "MaybeOwnDeploy": _maybe_own_deploy,
    "Stranger": _stranger,
    "AlreadyVoted": _already_voted,
    "NotEntitled": _not_entitled,
    "Locked": _lock_held,
    "NotLocked": _not_locked,
    "AlreadyFrozen": _already_frozen,
    "NotFrozen": _not_frozen,
    "UnknownTime": _unknown_time,
    "TooFarAhead": _too_far_ahead,
    "NotScheduled": _not_scheduled,
    **ERRORS,
    "TooLate": _too_late,
    "AskedTooLate": _asked_too_late,
    "Unavailable": _unavailable,
    "RateLimited": _limited,
    "Paced": _limited,
    # Not raised, but kept with a deploy that ended.
    "Ended": _ended,
    "Cancelled": _cancelled,
    "Superseded": _superseded,
    "PullOver": _pull_over,
    "WaitedTooLong": _waited_too_long,
    "TimedOut": _timed_out,
}
