"""The lines in a card's thread: what happened to a deploy, one after another."""

from __future__ import annotations

from datetime import datetime

from bot.deploys import model, policy, states
from bot.deploys.model import Deploy, Step, short
from bot.slack.views.card import addresses, sign, state_words, why
from bot.slack.views.text import (
    LINK,
    Message,
    code,
    duration,
    escape,
    flat,
    is_address,
    link,
    output,
    person,
    plain,
    plain_context,
    quoted,
    section,
    who,
)

METADATA = "shipbot_line"  # the event type under which a line carries its deploy's and its step's id


def line(deploy: Deploy, step: Step, room_id: str, printed: str = "") -> Message | None:
    """A step of the timeline as a line in the card's thread; one that ends the deploy mentions the person.

    `printed` is the end of what a provider printed, for one that failed.

    None for what is said in the room it was asked in alone: nobody is called twice.
    """
    if step.kind in ("asks", "reminds"):
        return _call(deploy, step) if room_id == deploy.room else None
    if step.kind in _SAID_BY:
        by, reason = person(step.actor), f": {quoted(step.description)}" if step.description else ""
        text = _SAID_BY[step.kind].format(by=by, reason=reason)
        return Message(plain(text), [section(text)])
    if step.state == "not_stopped":
        text = ":warning: GitHub did not let me mark the deployment inactive, so whoever deploys may not know."
        return Message(plain(text), [section(text)])
    if step.state == "not_answered":
        text = (
            ":warning: GitHub could not be told that it may not go, so its run may still wait there or go on: "
            "look at it at GitHub."
        )
        return Message(plain(text), [section(text)])
    if step.late and deploy.protected and deploy.state in _TURNED_AWAY and step.state in _AS_SAID:
        return None  # what GitHub makes of our no
    if step.kind in ("asked", "kept", "gone"):
        text = _of_preview(deploy, step)
        return Message(plain(text), [section(text)])
    if step.state == "not_reported":
        told = f"GitHub does not let me write the status {code(step.description)}, so this may not be how it stands."
        return Message(plain(f":warning: {told}"), [section(f":warning: {told}")])
    if step.kind == "merged":
        branch, commit = code(deploy.ref), code(step.actor)
        text = f":twisted_rightwards_arrows: GitHub merged the default branch into {branch}; going on with {commit}"
        return Message(plain(text), [section(text)])
    if step.kind == "problem":
        what = f"*{deploy.app}* to *{deploy.environment}*"
        known = (deploy.user_id or deploy.user_name) and not _quiet(deploy)
        whom = f"{person(deploy.user_id, deploy.user_name)}: " if known else ""
        text = f"{sign(step.state)} {whom}{what} {_ending(step.state)}. {why(deploy, step.state)}"
        return Message(plain(text), [section(text)])
    mark = sign(step.state)
    by = f" · {code(step.actor)}" if step.actor else ""
    taken_down = deploy.cause == model.TEARDOWN and step.state == states.SUCCESS
    said = ":white_circle: Taken down" if taken_down else f"{mark} {state_words(step.state)}"
    text = f"{said}{_after(deploy, step)}{by}"
    if step.late:
        text = f"{mark} {code(step.state)} came in late and changes nothing{by}"
        if step.state == states.INACTIVE:
            text = f"{mark} No longer live: GitHub marks it inactive{by}"
    elif states.is_final(step.state) and deploy.ours and (deploy.user_id or deploy.user_name):
        text = f"{text} · {person(deploy.user_id, deploy.user_name)}"
    found = [link(url, label) for url, label in addresses(step.log_url, step.environment_url) if is_address(url, LINK)]
    text = " · ".join([text, *found])
    blocks = [section(text)]
    sentence = plain(text)
    if step.description:
        blocks.append(plain_context(step.description))
        sentence += f" · {escape(flat(step.description))}"
    if shown := output(printed):
        blocks.append(section(shown))
    return Message(sentence, blocks)


_SAID_BY = {
    "approved": ":white_check_mark: {by} approved it",
    "rejected": ":no_entry: {by} rejected it{reason}",
    "overridden": ":rotating_light: {by} deploys through the freeze{reason}",
    "forced": ":fast_forward: {by} forced it: checks and order are skipped",
    "bypassed": ":rotating_light: GitHub goes on with it without my word: somebody there let it in",
}
_TURNED_AWAY = frozenset({states.REFUSED, states.EXPIRED, states.CANCELLED})
_AS_SAID = frozenset({states.FAILURE, states.ERROR, states.INACTIVE})


def _of_preview(deploy: Deploy, step: Step) -> str:
    """What happens to the preview that a card shows, one deploy of it after another. Rules call nobody for it."""
    if step.kind == "gone":
        return ":wastebasket: Marked inactive at GitHub"
    if step.kind == "kept":
        return f":seedling: The pull request is wanted again, so #{deploy.number} stays"
    if deploy.cause == model.TEARDOWN:
        return f":wastebasket: #{deploy.number} takes it down"
    by = f", for {person(deploy.user_id, deploy.user_name)}" if not deploy.automatic else ""
    return f":arrows_counterclockwise: #{deploy.number} brings {code(deploy.ref)} at {code(short(deploy.sha))}{by}"


def _call(deploy: Deploy, step: Step) -> Message:
    """Mentions those who may approve."""
    listed_ = [who(item) for item in step.description.split()]
    again = "still waits" if step.kind == "reminds" else "waits"
    own = any(item["gate"] == policy.APPROVALS and item["facts"].get("own") for item in deploy.findings)
    nobodys = not (deploy.user_id or deploy.user_name)
    anyone = "anyone" if own or nobodys else f"anyone but {person(deploy.user_id, deploy.user_name)}"
    called = f"{' '.join(listed_)}: " if listed_ else ""
    whom = "you" if listed_ else anyone
    text = (
        f":raised_hand: {called}#{deploy.number} {again} for {whom} to approve it, by the button above or "
        f"{code(f'/deploy approve {deploy.number}')} outside of this thread."
    )
    return Message(plain(text), [section(text)])


def _quiet(deploy: Deploy) -> bool:
    """Whether what was wanted has come about in another way, so that nobody need be called."""
    return deploy.problem is not None and deploy.problem.facts.get("finding", {}).get("code") == "overtaken"


def _ending(state: str) -> str:
    return {
        states.REFUSED: "did not start",
        states.EXPIRED: "was given up",
        states.CANCELLED: "was cancelled",
        states.SUPERSEDED: "was superseded",
        states.LOST: "is lost from sight",
    }.get(state, code(state))


def _after(deploy: Deploy, step: Step) -> str:
    started: datetime = deploy.begun_at
    return f" after {duration(step.at - started)}" if step.at >= started else ""
