"""The card: one message that shows a deploy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.deploys import model, policy, states
from bot.deploys.model import Change, Deploy, Listed, Lock, Vote
from bot.deploys.policy import Ahead, Finding
from bot.deploys.previews import Preview
from bot.slack.views import findings as words
from bot.slack.views.problems import cause, explain
from bot.slack.views.text import (
    Block,
    Links,
    Message,
    actions,
    aloud,
    button,
    clock_time,
    code,
    context,
    count,
    duration,
    flat,
    is_address,
    link,
    link_button,
    listed,
    name,
    person,
    plain_context,
    plain_section,
    quoted,
    room,
    section,
)

APPROVE, REJECT, CANCEL, FORCE = "deploy_approve", "deploy_reject", "deploy_cancel", "deploy_force"
RETRY, ROLLBACK = "deploy_retry", "deploy_rollback"
PROMOTE = "deploy_promote"  # with the environment behind the number
STEAL, RELEASE = "lock_steal", "lock_release"

MOST_ONWARD = 3  # buttons to promote, of all that a card has

METADATA = "shipbot_deploy"  # the event type under which a card carries its deploy's id

_EMOJI = {
    states.HELD: ":large_yellow_circle:",
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
    states.EXPIRED: ":wastebasket:",
    states.CANCELLED: ":heavy_multiplication_x:",
    states.SUPERSEDED: ":track_next:",
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
    states.HELD: "waiting",
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
    states.EXPIRED: "given up",
    states.CANCELLED: "cancelled",
    states.SUPERSEDED: "superseded",
    states.LOST: "lost from sight",
}

# Where Slack did not let the card into its room, and what opens the way.
_DETOURS = {
    "not_in_channel": "I am not in {room}, so this is shown here. `/invite @shipbot` there to change that.",
    "channel_not_found": "I can't see {room}, so this is shown here. `/invite @shipbot` there to change that.",
    "is_archived": "{room} is archived, so this is shown here.",
}
_DIRECT = "Slack shows me no direct message between others, so this is shown here."


def sign(state: str) -> str:
    """The sign of a state."""
    return _EMOJI.get(state, _UNKNOWN_EMOJI)


def emoji(deploy: Listed) -> str:
    """The sign of a deploy's state; white when it was live and is no more."""
    if deploy.state == states.SUCCESS and (deploy.inactive_at is not None or deploy.cause == model.TEARDOWN):
        return ":white_circle:"
    return sign(deploy.state)


def state_words(state: str) -> str:
    """A state in words; one that nobody here knows by its own name."""
    return _STATE_WORDS.get(state) or f"GitHub reports {code(state)}"


def short_words(deploy: Listed) -> str:
    """How a deploy stands, for a listing."""
    if deploy.cause == model.TEARDOWN and deploy.state == states.SUCCESS:
        return "taken down"
    return _SHORT_WORDS.get(deploy.state) or f"GitHub reports {code(deploy.state)}"


@dataclass(frozen=True, slots=True)
class Sight:
    """What a card shows beside the deploy itself, as it is when the card is sent.

    `ahead` and `votes` are those of the deploy; `lock` is the one that somebody holds on just its environment;
    `replaced_by` is the deploy that has gone live there since; `way_back`: there is something to roll back to;
    `preview` is what it belongs to, `open_at` where that is to be seen.
    `onward`: where it may go next; `taken_back_by`: the rollback of what it carries on.
    """

    now: datetime
    ahead: Sequence[Ahead] = ()
    votes: Sequence[Vote] = ()
    lock: Lock | None = None
    replaced_by: int | None = None
    way_back: bool = False
    preview: Preview | None = None
    open_at: str = ""
    onward: Sequence[str] = ()
    taken_back_by: int | None = None


def card(deploy: Deploy, links: Links, sight: Sight, detour: str = "") -> Message:
    """The message that shows a deploy as it is now. `detour` is why it is not in the room it belongs to."""
    what = _what(deploy, links)
    findings = _findings(deploy, sight)
    now = _now(deploy, sight, findings)
    blocks = [section(f"{emoji(deploy)} {what}"), section(now)]
    if sight.preview is not None:
        blocks.append(context(_pull(sight.preview, links)))
    if deploy.reason:
        blocks.append(plain_context(f"“{flat(deploy.reason)}”"))
    shown = [item for item in findings if item.gate != policy.TIME]  # which is said first
    if deploy.state == states.HELD and (lines := words.checklist(shown)):
        blocks.append(context("\n".join(lines)))
    if deploy.description and deploy.problem is None:
        blocks.append(plain_section(deploy.description))
    if marks := _marks(deploy, links, sight, findings):
        blocks.append(context(*marks))
    if deploy.change is not None:
        blocks += _change(deploy.change, links, deploy.repository)
    if detour:
        detoured = _DETOURS.get(detour, "Slack did not let me write to {room}, so this is shown here.")
        blocks.append(context(_DIRECT if deploy.room.startswith("D") else detoured.format(room=room(deploy.room))))
    if buttons := _buttons(deploy, sight, findings):
        blocks.append(actions(*buttons))
    return aloud(blocks)


def _pull(preview: Preview, links: Links) -> str:
    """The pull request that it is a preview of."""
    by = f" by {code(preview.author, 40)}" if preview.author else ""
    fork = f", from {code(preview.source) if preview.source else 'a fork that is gone'}" if preview.fork else ""
    pull = links.pull(preview.repository, preview.pull)
    return f":seedling: Preview of {pull}, {quoted(preview.title, 120)}{by}{fork}"


def _findings(deploy: Deploy, sight: Sight) -> list[Finding]:
    """Those of the newest decision, with the line as it is now."""
    found = [Finding.from_json(item) for item in deploy.findings]
    if deploy.state != states.HELD:
        return found
    ahead = [[item.number, item.user_id, item.user_name, item.running] for item in sight.ahead]
    return [
        replace(item, facts={"ahead": ahead}) if item.gate == policy.QUEUE and item.verdict != policy.PASSED else item
        for item in found
    ]


def _what(deploy: Deploy, links: Links) -> str:
    """What goes where, for whom."""
    sha = links.commit(deploy.repository, deploy.sha)
    at = sha if deploy.sha.startswith(deploy.ref) else f"{code(deploy.ref)} at {sha}"
    task = "" if deploy.task == "deploy" else f" {code(deploy.task)}"
    whom = person(deploy.user_id, deploy.user_name)
    by = f" for {whom}" if deploy.ours else f" by {whom}, not through me"
    if (deploy.automatic or deploy.protected) and not (deploy.user_id or deploy.user_name):
        by = ""  # nobody's wish but the config's
    return f"{name(deploy.app)}{task} to {name(deploy.environment)} · {at} · #{deploy.number}{by}"


def _now(deploy: Deploy, sight: Sight, findings: Sequence[Finding]) -> str:
    """How it stands."""
    state = deploy.state
    if deploy.scheduled and deploy.due_at is not None:
        return f"Goes {clock_time(deploy.due_at)} · asked {clock_time(deploy.asked_at)}"
    if state == states.HELD:
        return f"Waiting for {words.waiting_for(findings)} · asked {clock_time(deploy.asked_at)}"
    if sight.preview is not None and sight.preview.gone and (state == states.SUCCESS or deploy.inactive_at):
        return f"Gone since {clock_time(deploy.inactive_at or deploy.finished_at or deploy.asked_at)}"
    if state == states.ASKED:
        doing = "Telling GitHub that it may go" if deploy.protected else "Creating the deployment at GitHub"
        return explain(deploy.problem) if deploy.problem else doing
    if state in _OURS_TO_EXPLAIN:
        return why(deploy, state)
    said = "Taken down" if deploy.cause == model.TEARDOWN and state == states.SUCCESS else state_words(state)
    if deploy.inactive_at is not None and state == states.SUCCESS and deploy.finished_at is not None:
        lasted = duration(deploy.inactive_at - deploy.finished_at)
        return f"No longer live since {clock_time(deploy.inactive_at)}; it was for {lasted}"
    by = _approved_by(deploy, sight)
    if deploy.final and deploy.finished_at is not None:
        took = duration(deploy.finished_at - deploy.begun_at)
        return f"{said} after {took}{by}"
    if state == states.CREATED and deploy.protected:
        return f"Let in, GitHub goes on with it · asked {clock_time(deploy.asked_at)}{by}"
    if state == states.CREATED and deploy.ours and sight.now - (deploy.created_at or deploy.asked_at) >= states.UNHEARD:
        return (
            f":warning: No deployer has picked it up since {clock_time(deploy.created_at or deploy.asked_at)}. Usually "
            "nothing listens to GitHub's `deployment` event for this environment, or it is down"
        )
    return f"{said} · asked {clock_time(deploy.asked_at)}{by}"


def _approved_by(deploy: Deploy, sight: Sight) -> str:
    voters = [person(vote.user_id, vote.user_name) for vote in sight.votes if vote.approves and vote.sha == deploy.sha]
    return f" · approved by {listed(voters)}" if voters else ""


_OURS_TO_EXPLAIN = frozenset({states.REFUSED, states.LOST, states.EXPIRED, states.CANCELLED, states.SUPERSEDED})


def why(deploy: Deploy, state: str) -> str:
    """Why it ended without GitHub's word for it."""
    problem = deploy.problem
    if deploy.protected and state == states.LOST and (problem is None or problem.code != "TimedOut"):
        because = cause(problem) if problem else "Something broke on my side."
        return (
            f"I could not tell GitHub that it may go. {because} Whoever may can let it in at GitHub. "
            "A status that still comes will be shown here."
        )
    if state == states.LOST and (problem is None or problem.code != "TimedOut"):
        stopped = "Something broke on my side, so I stopped."
        if problem is not None:
            stopped = f"I tried for an hour and stopped. {cause(problem)}"
        return (
            f"{stopped} Whether GitHub made the deployment is not known: look there "
            "before you ask again. A status that still comes will be shown here."
        )
    return explain(problem) if problem else "GitHub refused it."


_CAUSES = {
    model.RETRY: ":repeat: Tries #{of} again",
    model.ROLLBACK: ":rewind: Rolls back #{of}; checks and order are skipped",
    model.PROMOTION: ":arrow_upper_right: Carries #{of} on",
    model.PUSH: ":robot_face: By rule: every push to {ref}",
    model.GREEN: ":robot_face: By rule: every push to {ref}, once it is green",
    model.MERGE: ":robot_face: By rule: every merge into {ref}{pull}",
    model.PREVIEW: ":robot_face: By rule: every pull request",
    model.TEARDOWN: ":wastebasket: Takes the preview down",
    model.SCHEDULE: ":robot_face: By rule: on schedule",
}


def _marks(deploy: Deploy, links: Links, sight: Sight, findings: Sequence[Finding]) -> list[str]:
    """What is special about it."""
    marks = []
    if deploy.cause in _CAUSES:
        pull = f" · {links.pull(deploy.repository, deploy.pull)}" if deploy.pull else ""
        marks.append(_CAUSES[deploy.cause].format(of=deploy.of, ref=code(deploy.ref), pull=pull))
    if sight.taken_back_by is not None:
        marks.append(f":warning: #{deploy.of} was rolled back by #{sight.taken_back_by}")
    if deploy.protected:
        carries = f" and carries out #{deploy.of}" if deploy.of is not None else ""
        marks.append(f":construction: A workflow of GitHub Actions, which asks before it goes there{carries}")
    if deploy.due_at is not None and not deploy.scheduled:
        marks.append(f":alarm_clock: Scheduled for {clock_time(deploy.due_at)}{_late(deploy, deploy.due_at)}")
    if deploy.undone_by is not None:
        marks.append(f":rewind: Rolled back by #{deploy.undone_by}")
    elif deploy.state == states.SUCCESS and sight.replaced_by is not None:
        marks.append(f":arrow_forward: #{sight.replaced_by} is live in its place")
    if deploy.forced:
        marks.append(":fast_forward: Forced: checks and order were skipped")
    if deploy.state != states.HELD and any(item.code == "overridden" for item in findings):
        marks.append(":rotating_light: Went through a freeze")
    if deploy.hosts:
        marks.append(f":desktop_computer: Only on {code(deploy.hosts)}")
    if deploy.auto_merge:
        marks.append(":twisted_rightwards_arrows: Merges the default branch in first")
    return marks


LATE = timedelta(minutes=1)  # less is nobody's concern


def _late(deploy: Deploy, due_at: datetime) -> str:
    """How long after its time somebody was there to do it."""
    late = (deploy.judged_at or due_at) - due_at
    return f"; {duration(late)} late, since I was not there then" if late >= LATE else ""


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


def addresses(log_url: str, environment_url: str) -> list[tuple[str, str]]:
    """What a status links to, with what to call it."""
    return [(url, label) for url, label in ((environment_url, "Open"), (log_url, "Logs")) if url]


def _buttons(deploy: Deploy, sight: Sight, findings: Sequence[Finding]) -> list[Block]:
    """What can be done now, links first."""
    buttons = [
        link_button(f"link_{label.lower()}", label, url)
        for url, label in addresses(deploy.log_url, sight.open_at or deploy.environment_url)
        if is_address(url)
    ]
    if not deploy.ours:
        return buttons
    number = str(deploy.number)
    if deploy.state == states.HELD:
        buttons += _ways_on(deploy, number, findings)
    if deploy.protected and deploy.state not in (states.HELD, states.ASKED):
        return buttons  # what becomes of it is GitHub's from here on
    if not deploy.final:
        sure = f"Take back #{number}? Whoever deploys is told to stop." if deploy.state != states.HELD else ""
        style = "danger" if sure else ""
        buttons.append(button(CANCEL, "Cancel", number, style=style, confirm=sure))
    closed = sight.preview is not None and not sight.preview.open and deploy.cause != model.TEARDOWN
    if deploy.state in _FAILED and not closed:
        buttons.append(button(RETRY, "Retry", number))
    if sight.preview is not None:
        return buttons  # it is for one branch alone, and goes with it
    if _is_live(deploy, sight):
        for place in sight.onward[:MOST_ONWARD]:
            buttons.append(button(PROMOTE, f"Promote to {flat(place, 40)}", f"{number} {place}", style="primary"))
    if (
        sight.way_back
        and deploy.undone_by is None
        and deploy.whole
        and (deploy.state in _BROKEN or _is_live(deploy, sight))
    ):
        sure = f"Roll back {flat(deploy.app, 40)} in {flat(deploy.environment, 40)}?"
        buttons.append(button(ROLLBACK, "Roll back", number, confirm=sure))
    if _is_live(deploy, sight):
        if deploy.is_default and sight.lock is not None:
            buttons.append(button(RELEASE, "Unlock", sight.lock.label))
        elif not deploy.is_default and sight.lock is None:
            buttons.append(button(STEAL, f"Lock {flat(deploy.environment, 40)}", number))
    return buttons


_BROKEN = frozenset({states.FAILURE, states.ERROR, states.LOST})  # something of it may be out
_FAILED = _BROKEN | {states.REFUSED, states.EXPIRED, states.CANCELLED}


def _is_live(deploy: Deploy, sight: Sight) -> bool:
    return deploy.state == states.SUCCESS and deploy.inactive_at is None and sight.replaced_by is None


def _ways_on(deploy: Deploy, number: str, findings: Sequence[Finding]) -> list[Block]:
    """What lets a deploy go that waits."""
    waiting = {item.gate: item for item in findings if item.verdict == policy.WAITING}
    buttons = []
    if policy.APPROVALS in waiting:
        buttons.append(button(APPROVE, "Approve", number, style="primary"))
        buttons.append(button(REJECT, "Reject", number))
    if policy.LOCK in waiting:
        lock = waiting[policy.LOCK].facts["locks"][0]
        whose = flat(lock["user_name"] or "somebody", 40)
        buttons.append(
            button(STEAL, "Take over the lock", f"L{lock['id']}", confirm=f"Take over the lock that {whose} holds?")
        )
    if not deploy.forced and {policy.CHECKS, policy.ORDER} & waiting.keys():
        sure = f"Skip checks and order for #{number}? Everyone can see that you did."
        buttons.append(button(FORCE, "Force", number, style="danger", confirm=sure))
    return buttons
