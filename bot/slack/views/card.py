"""The card: one message that shows a deploy, and the lines in its thread."""

from __future__ import annotations

from datetime import datetime

from bot.deploys import states
from bot.deploys.model import Change, Deploy, Step
from bot.slack.views.problems import cause, explain
from bot.slack.views.text import (
    LINK,
    Block,
    Links,
    Message,
    actions,
    clock_time,
    code,
    context,
    count,
    duration,
    escape,
    flat,
    is_address,
    link,
    link_button,
    name,
    person,
    plain,
    plain_context,
    plain_section,
    room,
    section,
)

METADATA = "shipbot_deploy"  # the event type under which a card carries its deploy's id

_EMOJI = {
    states.ASKED: ":hourglass_flowing_sand:",
    states.CREATED: ":large_yellow_circle:",
    states.QUEUED: ":large_yellow_circle:",
    states.PENDING: ":large_yellow_circle:",
    states.WAITING: ":large_yellow_circle:",
    states.IN_PROGRESS: ":large_blue_circle:",
    states.SUCCESS: ":large_green_circle:",
    states.FAILURE: ":red_circle:",
    states.ERROR: ":red_circle:",
    states.INACTIVE: ":white_circle:",
    states.REFUSED: ":no_entry:",
    states.LOST: ":warning:",
}
_UNKNOWN_EMOJI = ":grey_question:"

_STATE_WORDS = {
    states.CREATED: "Handed to GitHub, waiting for a deployer to pick it up",
    states.QUEUED: "Queued",
    states.PENDING: "Pending",
    states.WAITING: "Waiting at GitHub",
    states.IN_PROGRESS: "In progress",
    states.SUCCESS: "Live",
    states.FAILURE: "Failed",
    states.ERROR: "Ended in an error",
    states.INACTIVE: "Marked inactive",
}

# The same in a listing, in the middle of a line.
_SHORT_WORDS = {
    states.ASKED: "on its way to GitHub",
    states.CREATED: "waiting for a deployer",
    states.QUEUED: "queued",
    states.PENDING: "pending",
    states.WAITING: "waiting at GitHub",
    states.IN_PROGRESS: "in progress",
    states.SUCCESS: "went live",
    states.FAILURE: "failed",
    states.ERROR: "ended in an error",
    states.INACTIVE: "marked inactive",
    states.REFUSED: "refused",
    states.LOST: "lost from sight",
}

# Where Slack did not let the card into its room, and what opens the way.
_DETOURS = {
    "not_in_channel": "I am not in {room}, so this is shown here. `/invite @shipbot` there to change that.",
    "channel_not_found": "I can't see {room}, so this is shown here. `/invite @shipbot` there to change that.",
    "is_archived": "{room} is archived, so this is shown here.",
}


def emoji(deploy: Deploy) -> str:
    """The sign of a deploy's state; white when it was live and is no more."""
    if deploy.state == states.SUCCESS and deploy.inactive_at is not None:
        return ":white_circle:"
    return _EMOJI.get(deploy.state, _UNKNOWN_EMOJI)


def state_words(state: str) -> str:
    """A state in words; one that nobody here knows by its own name."""
    return _STATE_WORDS.get(state) or f"GitHub reports {code(state)}"


def short_words(deploy: Deploy) -> str:
    """How a deploy stands, for a listing."""
    return _SHORT_WORDS.get(deploy.state) or f"GitHub reports {code(deploy.state)}"


def card(deploy: Deploy, links: Links, detour: str = "") -> Message:
    """The message that shows a deploy as it is now. `detour` is why it is not in the room it belongs to."""
    what = _what(deploy, links)
    now = _now(deploy)
    blocks = [section(f"{emoji(deploy)} {what}"), section(now)]
    if deploy.reason:
        blocks.append(plain_context(f"“{flat(deploy.reason)}”"))
    if deploy.description and deploy.problem is None:
        blocks.append(plain_section(deploy.description))
    if marks := _marks(deploy):
        blocks.append(context(*marks))
    if deploy.change is not None:
        blocks += _change(deploy.change, links, deploy.repository)
    if detour:
        words = _DETOURS.get(detour, "Slack did not let me write to {room}, so this is shown here.")
        blocks.append(context(words.format(room=room(deploy.room))))
    if buttons := _buttons(deploy):
        blocks.append(actions(*buttons))
    return Message(f"{plain(what)}: {plain(now)}", blocks)


def line(deploy: Deploy, step: Step) -> Message:
    """A step of the timeline as a line in the card's thread; one that ends the deploy mentions the person."""
    if step.kind == "merged":
        branch, commit = code(deploy.ref), code(step.actor)
        text = f":twisted_rightwards_arrows: GitHub merged the default branch into {branch}; going on with {commit}"
        return Message(plain(text), [section(text)])
    if step.kind == "problem":
        what = f"*{deploy.app}* to *{deploy.environment}*"
        why = _why(deploy, step.state)
        sign, whom = _EMOJI.get(step.state, _UNKNOWN_EMOJI), person(deploy.user_id, deploy.user_name)
        text = f"{sign} {whom}: {what} {_ending(step.state)}. {why}"
        return Message(plain(text), [section(text)])
    sign = _EMOJI.get(step.state, _UNKNOWN_EMOJI)
    by = f" · {code(step.actor)}" if step.actor else ""
    text = f"{sign} {state_words(step.state)}{_after(deploy, step)}{by}"
    if step.late:
        text = f"{sign} {code(step.state)} came in late and changes nothing{by}"
        if step.state == states.INACTIVE:
            text = f"{sign} No longer live: GitHub marks it inactive{by}"
    elif states.is_final(step.state) and deploy.ours:
        text = f"{text} · {person(deploy.user_id, deploy.user_name)}"
    found = [link(url, label) for url, label in _addresses(step.log_url, step.environment_url) if is_address(url, LINK)]
    text = " · ".join([text, *found])
    blocks = [section(text)]
    sentence = plain(text)
    if step.description:
        blocks.append(plain_context(step.description))
        sentence += f" · {escape(flat(step.description))}"
    return Message(sentence, blocks)


def _what(deploy: Deploy, links: Links) -> str:
    """What goes where, for whom."""
    sha = links.commit(deploy.repository, deploy.sha)
    at = sha if deploy.sha.startswith(deploy.ref) else f"{code(deploy.ref)} at {sha}"
    task = "" if deploy.task == "deploy" else f" {code(deploy.task)}"
    whom = person(deploy.user_id, deploy.user_name)
    by = f"for {whom}" if deploy.ours else f"by {whom}, not through me"
    return f"{name(deploy.app)}{task} to {name(deploy.environment)} · {at} · #{deploy.number} {by}"


def _now(deploy: Deploy) -> str:
    """How it stands."""
    state = deploy.state
    if state == states.ASKED:
        return explain(deploy.problem) if deploy.problem else "Creating the deployment at GitHub"
    if state in (states.REFUSED, states.LOST):
        return _why(deploy, state)
    words = state_words(state)
    if deploy.inactive_at is not None and state == states.SUCCESS and deploy.finished_at is not None:
        lasted = duration(deploy.inactive_at - deploy.finished_at)
        return f"No longer live since {clock_time(deploy.inactive_at)}; it was for {lasted}"
    if deploy.final and deploy.finished_at is not None:
        took = duration(deploy.finished_at - deploy.asked_at)
        return f"{words} after {took}"
    return f"{words} · asked {clock_time(deploy.asked_at)}"


def _why(deploy: Deploy, state: str) -> str:
    """Why it ended without GitHub's record of it."""
    if state == states.LOST:
        stopped = "Something broke on my side, so I stopped."
        if deploy.problem is not None:
            stopped = f"I tried for an hour and stopped. {cause(deploy.problem)}"
        return (
            f"{stopped} Whether GitHub made the deployment is not known: look there "
            "before you ask again. A status that still comes will be shown here."
        )
    return explain(deploy.problem) if deploy.problem else "GitHub refused it."


def _ending(state: str) -> str:
    return {states.REFUSED: "did not start", states.LOST: "is lost from sight"}.get(state, code(state))


def _after(deploy: Deploy, step: Step) -> str:
    started: datetime = deploy.asked_at
    return f" after {duration(step.at - started)}" if step.at >= started else ""


def _marks(deploy: Deploy) -> list[str]:
    """What is special about it; the gates will stand here too."""
    marks = []
    if deploy.forced:
        marks.append(":fast_forward: Forced: checks were skipped")
    if deploy.hosts:
        marks.append(f":desktop_computer: Only on {code(deploy.hosts)}")
    if deploy.auto_merge:
        marks.append(":twisted_rightwards_arrows: Merges the default branch in first")
    return marks


def _change(change: Change, links: Links, repository: str) -> list[Block]:
    """What it brings, compared with what was live."""
    since = f", live since {clock_time(change.live_since)}" if change.live_since else ""
    base = links.commit(repository, change.base)
    if change.count == 0:
        if change.behind == 0:
            return [context(f"The same commit as is live, {base}{since}")]
        back = link(change.url, count(change.behind, "commit"))
        return [context(f":rewind: Goes back {back} from {base}{since}")]
    behind = f", and lacks {count(change.behind, 'commit')} of it" if change.behind else ""
    brings = link(change.url, count(change.count, "commit"))
    blocks = [context(f"Brings {brings} since {base}{since}{behind}")]
    if change.subjects:
        blocks.append(plain_context(" · ".join(flat(subject, 80) for subject in change.subjects)))
    return blocks


def _addresses(log_url: str, environment_url: str) -> list[tuple[str, str]]:
    return [(url, label) for url, label in ((environment_url, "Open"), (log_url, "Logs")) if url]


def _buttons(deploy: Deploy) -> list[Block]:
    return [
        link_button(f"link_{label.lower()}", label, url)
        for url, label in _addresses(deploy.log_url, deploy.environment_url)
        if is_address(url)
    ]
