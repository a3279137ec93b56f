"""Answers to commands, for the one who asked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.deploys import model, policy, states
from bot.deploys.config import App
from bot.deploys.errors import Locked, NotAllowed, PersonError, TryLater, UnknownApp
from bot.deploys.model import Listed, RepositoryConfig, Step, Subscription, Vote, short
from bot.reader import Audit, Difference, Page, Place
from bot.service.asking import Foreseen, again
from bot.slack.grammar import BY_NAME, FORMS, Form, ParseError, nearest_form
from bot.slack.views import repository_configs
from bot.slack.views.card import STEAL, emoji, short_words
from bot.slack.views.findings import checklist, refusal, waiting_for
from bot.slack.views.problems import cause, explain
from bot.slack.views.subscriptions import subscription
from bot.slack.views.text import (
    SECTION,
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
    escape,
    flat,
    link,
    listed,
    name,
    paragraphs,
    person,
    plain,
    plain_context,
    quoted,
    room,
    section,
    seen,
    who,
)

HISTORY_PAGE = "history_page"
PREVIEWS = 10  # named in one line
COMMITS = 20  # subjects that diff lists
_SHOWN_COMMAND = 120  # characters of a command that are quoted back


def help_overview() -> Message:
    """What can be typed, a line for each form."""
    lines = [f"`/deploy {escape(form.usage)}`\n{form.summary}" for form in FORMS]
    blocks = [
        section("*What I can do.* It works after `/deploy`, after `@shipbot` (in threads, too) and in a message to me.")
    ]
    blocks += paragraphs(lines)
    example = f"For example `/deploy {escape(FORMS[0].examples[1])}`."
    blocks.append(context(f"{example} `/deploy help deploy` tells more of one; `to`, `on` and `in` mean the same."))
    return aloud(blocks)


def help_topic(topic: str) -> Message:
    """One form with its examples; the overview for a word that is none."""
    form = BY_NAME.get(topic.lower()) or nearest_form(topic)
    if form is None:
        return aloud([section(f"I know no command {code(topic)}."), *help_overview().blocks])
    lines = [f"*{form.summary}*", f"`/deploy {escape(form.usage)}`"]
    lines += [f"• `/deploy {escape(example)}`" for example in form.examples]
    lines += list(form.notes)
    return aloud(paragraphs(lines))


def not_understood(error: ParseError, offer: str) -> Message:
    """Where a command went wrong, and what may have been meant, which is '' when that is not known."""
    text = seen(error.text)
    start = max(0, min(error.start, len(text)))
    first = max(0, start - _SHOWN_COMMAND // 2)
    shown = text[first : first + _SHOWN_COMMAND]
    width = max(1, min(error.end, first + _SHOWN_COMMAND) - start)
    prefix = _prefix(text) if first == 0 else "… "
    # In a code block; what would close it or start a mention is made harmless.
    quoted = escape(f"{prefix}{shown}".replace("`", "ʼ"))
    marker = " " * (len(prefix) + start - first) + "^" * width
    if offer and len(offer) <= _SHOWN_COMMAND:
        way_out = f"Did you mean {code(_prefix(offer) + offer, 200)}?"
    else:
        way_out = _try(error.form) if error.form is not None else ""
    blocks = [
        section(f":thinking_face: I expected {escape(error.expected)} here:"),
        section(f"```{quoted}\n{marker}```"),
        *([section(way_out)] if way_out else []),
    ]
    return aloud(blocks)


def _prefix(text: str) -> str:
    """What makes a slash command of it: just the slash where it has the word already."""
    return "/" if re.match(r"(?i)deploy(?!\S)", text) else "/deploy "


def _try(form: Form) -> str:
    example = (
        f", for example `/deploy {escape(form.examples[-1 if form.name == 'help' else 0])}`" if form.examples else ""
    )
    return f"This works: `/deploy {escape(form.usage)}`{example}"


def problem(error: PersonError | TryLater, *, bare: bool = False) -> Message:
    """Why something can't be done. `bare`: the person typed no command word, and may have meant one."""
    words = explain(error)
    sign = ":hourglass: " if isinstance(error, TryLater) else ":no_entry: "
    if isinstance(error, NotAllowed | Locked):  # each finding has a sign of its own
        sign = ":lock: " if isinstance(error, Locked) else ""
    blocks = paragraphs([f"{sign}{line}" for line in words.split("\n")])
    if isinstance(error, Locked):
        blocks.append(actions(steal_button(error.lock)))
    elif isinstance(error, NotAllowed):
        held = [
            lock for item in error.findings if item["gate"] == policy.LOCK for lock in item["facts"].get("locks", ())
        ]
        if held and any(item["verdict"] == policy.REFUSED for item in error.findings if item["gate"] == policy.LOCK):
            blocks.append(actions(steal_button(held[0])))
    if bare and isinstance(error, UnknownApp) and (form := nearest_form(error.name)) is not None:
        blocks.append(section(f"Or did you mean the command `{form.name}`? {_try(form)}"))
    return aloud(blocks)


def foreseen(asked: Foreseen, links: Links) -> Message:
    """What would happen now: every gate, and nothing stored."""
    deploy, decision = asked.deploy, asked.decision
    sha = links.commit(deploy.repository, deploy.sha)
    at = sha if deploy.sha.startswith(deploy.ref) else f"{code(deploy.ref)} at {sha}"
    what = f"{name(deploy.app)} to {name(deploy.environment)} · {at}"
    if asked.twin is not None:
        outcome = f"#{asked.twin.number} is just that, and not over yet"
    else:
        outcome = {
            policy.CLEAR: "Nothing stands in its way: it would go now",
            policy.LINE: "It would wait in line",
            policy.HOLD: f"It would wait for {waiting_for(decision.findings)}",
        }.get(decision.outcome, "It would be refused")
    blocks = [section(f":mag: {what}"), section(f"{outcome}.")]
    lines = checklist(decision.findings, lambda item: refusal(item, deploy.app, deploy.environment, again(deploy)))
    if lines:
        blocks.append(context("\n".join(lines)))
    return aloud(blocks)


def audit(found: Audit, links: Links) -> Message:
    """One deploy with all that happened to it: who agreed when, to what, and under which rules."""
    deploy = found.deploy
    lines = [f"{emoji(deploy)} {short_line(deploy, links, deploy.environment)} · {short_words(deploy)}"]
    asked = f"{clock_time(deploy.asked_at)} · asked by {person(deploy.user_id, deploy.user_name)}"
    lines.append(asked + (f" in {room(deploy.room)}" if deploy.room else ""))
    votes = list(found.votes)  # in the order of their steps; who was asked anew has voted twice
    for step in found.steps:
        vote = None
        if step.kind in ("approved", "rejected"):
            vote = next((item for item in votes if item.user_id == step.actor), None)
            votes = [item for item in votes if item is not vote]
        lines.append(f"{clock_time(step.at)} · {_step(step, vote)}")
    return aloud(paragraphs(lines))


def _step(step: Step, vote: Vote | None) -> str:
    if vote is not None:
        rule = vote.policy
        of = f"{count(rule['required'], 'approval')} wanted"
        among = f" among {listed([who(item) for item in rule['approvers']], 'or')}" if rule["approvers"] else ""
        because = f": {quoted(vote.reason)}" if vote.reason else ""
        by = person(vote.user_id, vote.user_name)
        return f"{by} {'approved' if vote.approves else 'rejected'} {code(short(vote.sha))}{because} ({of}{among})"
    if step.kind == "status":
        by = f" by {code(step.actor)}" if step.actor else ""
        return f"GitHub: {code(step.state)}{by}" + (f" · {code(step.description, 140)}" if step.description else "")
    if step.kind == "asks":
        asked = [who(item) for item in step.description.split()]
        return f"asked {listed(asked)} to approve" if asked else "asked for approval"
    words = {
        "reminds": "asked them once more",
        "merged": f"GitHub merged the default branch: {code(step.actor)}",
        "overridden": f"{person(step.actor)} went through a freeze",
        "forced": f"{person(step.actor)} forced it",
        "bypassed": "GitHub went on without my word",
        "asked": "took over the card of its preview",
        "kept": "stays, since the pull request is wanted again",
        "gone": "its deployment was marked inactive",
    }
    return words.get(step.kind) or code(step.state or step.kind)


def steal_button(lock: Mapping[str, Any]) -> Block:
    """Takes over the lock that is in the way."""
    whose = flat(lock["user_name"] or "somebody", 40)
    sure = f"Take over the lock that {whose} holds? They are told."
    return button(STEAL, "Take over the lock", f"L{lock['id']}", confirm=sure)


def gave_up(error: TryLater, length: str) -> Message:
    """GitHub did not answer for so long that the command is dropped."""
    words = (
        f"I tried for {length} and got no further, so I dropped your command. Nothing was deployed; please ask again."
    )
    return Message(f"{words} {plain(cause(error))}", [section(f":warning: {words}"), context(cause(error))])


def our_fault(reference: str) -> Message:
    """Something broke on our side. The reference is in the log."""
    words = (
        f"Sorry, something broke on my side. Whoever runs me finds it in my log under the reference {code(reference)}."
    )
    return Message(plain(words), [section(f":boom: {words}")])


def edited() -> Message:
    words = "I do only what is said in a new message. You changed this one, and nothing was done; please say it anew."
    return Message(plain(words), [section(words)])


def old_button() -> Message:
    words = "That button is from another version of me and does nothing any more. `/deploy help` says what I can do."
    return Message(plain(words), [section(words)])


def apps(
    configured: Mapping[str, App],
    links: Links,
    subscribed: Sequence[Subscription] = (),
    files: Mapping[str, RepositoryConfig] | None = None,
) -> Message:
    """The apps and their environments, how their files stand, and what the room is subscribed to."""
    lines = []
    for key, app in configured.items():
        places = ", ".join(
            f"{name(place)}" + (f" ({', '.join(environment.aliases)})" if environment.aliases else "")
            for place, environment in app.environments.items()
        )
        repository = link(f"{links.web}/{app.repository}", app.repository)
        ref = f" · deploys {code(app.default_ref)}" if app.default_ref else ""
        only = f" · only from {', '.join(room(item) for item in app.rooms)}" if app.rooms else ""
        lines.append(f"{name(key)} · {repository}{ref}{only}\n     to {places}")
        lines += repository_configs.lines(app, (files or {}).get(key), links)
        heard = [subscription(one) for one in subscribed if one.app == key]
        lines += [f"     :bell: this room hears of {'; '.join(heard)}"] if heard else []
    return aloud(paragraphs(lines), count(len(configured), "app"))


def where(places: Sequence[Place], links: Links, previews: Sequence[Listed] = ()) -> Message:
    """What is live in each environment of one app, and which previews there are."""
    app = places[0].app
    lines = [f"*What is live of {app}*"]
    for place in places:
        if place.live is None:
            lines.append(f":white_circle: {name(place.environment)}: nothing yet")
        else:
            lines.append(f":large_green_circle: {name(place.environment)}: {_live(place.live, links)}")
        lines += [f"     {emoji(deploy)} on its way: {short_line(deploy, links)}" for deploy in place.under_way]
    lines += _previews(previews)
    return aloud(paragraphs(lines))


def status(places: Sequence[Place], links: Links, now: datetime, previews: Sequence[Listed] = ()) -> Message:
    """What is under way and how the last deploys went."""
    lines = []
    busy = 0
    for place in places:
        lines.append(f"{name(place.app)} in {name(place.environment)}")
        busy += len(place.under_way)
        for deploy in place.under_way:
            how = f"{short_words(deploy)} for {duration(now - deploy.begun_at)}"
            if deploy.scheduled and deploy.due_at is not None:
                how = f"goes {clock_time(deploy.due_at)}"
            lines.append(f"     {emoji(deploy)} {how}: {short_line(deploy, links)}")
        lines += [f"     {emoji(deploy)} {_ended(deploy, now)}: {short_line(deploy, links)}" for deploy in place.recent]
        if not place.under_way and not place.recent:
            lines.append("     nothing yet")
    lines += _previews(previews)
    return aloud(paragraphs(lines), f"{count(busy, 'deploy')} under way")


def _previews(live: Sequence[Listed]) -> list[str]:
    """Those that are up, in a line."""
    if not live:
        return []
    shown: list[str] = []
    for deploy in live[:PREVIEWS]:
        address = f" ({link(deploy.environment_url, 'Open')})" if deploy.environment_url else ""
        if len(", ".join(shown)) + len(address) > SECTION - 500:  # addresses may be long, and one that is cut is none
            break
        shown.append(name(deploy.environment) + address)
    more = f" and {len(live) - len(shown)} more" if len(live) > len(shown) else ""
    return [f":seedling: {count(len(live), 'preview')}: {', '.join(shown)}{more}"]


def history(page: Page, links: Links, now: datetime) -> Message:
    """A page of past deploys, with a button to the next."""
    of = f"*{page.app}*" + (f" at {code(page.ref)}" if page.ref else "")
    of += f" in {name(page.environment)}" if page.environment else ""
    if not page.deploys:
        words = f"No deploys of {of} that I know of."
        return Message(plain(words), [section(words)])
    lines = [
        f"{emoji(deploy)} {short_line(deploy, links, deploy.environment)}, {_ended(deploy, now)}"
        f"{_agreed(page.votes.get(deploy.number, ()))}"
        for deploy in page.deploys
    ]
    blocks = paragraphs([f"Deploys of {of}, newest first", *lines])
    if page.older is not None:
        value = f"{page.app}\n{page.environment or ''}\n{page.ref or ''}\n{page.older}"
        blocks.append(actions(button(HISTORY_PAGE, "Older", value)))
    return aloud(blocks)


def diff(difference: Difference, links: Links) -> Message:
    """What is not out yet."""
    compared = difference.compared
    live = difference.live
    place = f"*{difference.app}* in {name(difference.environment)}"
    base = links.commit(live.repository, live.sha)
    lacks = f" It lacks {count(compared.behind, 'commit')} of what is live." if compared.behind else ""
    if compared.ahead == 0:
        words = f"Everything of {code(difference.head_ref)} is out: {place} runs {base}.{lacks}"
        return Message(plain(words), [section(f":white_check_mark: {words}")])
    commits = link(compared.url, count(compared.ahead, "commit"))
    are = "is" if compared.ahead == 1 else "are"
    words = f"{commits} of {code(difference.head_ref)} {are} not out yet: {place} runs {base} {_since(live)}.{lacks}"
    blocks: list[Block] = [section(words)]
    newest = compared.commits[::-1][:COMMITS]
    if newest:
        listing = "\n".join(f"{links.commit(live.repository, item.sha)} {code(item.subject, 80)}" for item in newest)
        blocks += paragraphs(listing.split("\n"))
    if compared.ahead > len(newest):
        blocks.append(context(f"and {compared.ahead - len(newest)} older, see {link(compared.url, 'the comparison')}"))
    authors = sorted({commit.author for commit in compared.commits if commit.author}, key=str.casefold)
    if authors:
        more = f" and {len(authors) - 15} more" if len(authors) > 15 else ""
        blocks.append(plain_context(f"By {', '.join(flat(author, 40) for author in authors[:15])}{more}"))
    ref = f"{difference.app}/{difference.head_ref}"
    blocks.append(context(f"{code(f'/deploy {ref} to {difference.environment}', 150)} brings it out"))
    return aloud(blocks)


def _live(deploy: Listed, links: Links) -> str:
    url = f" · {link(deploy.environment_url, 'Open')}" if deploy.environment_url else ""
    return f"{short_line(deploy, links)}, {_since(deploy)}{url}"


def short_line(deploy: Listed, links: Links, place: str = "") -> str:
    """Which one it is, in a few words: ref, commit, place, number, person. Nobody is mentioned in a listing."""
    sha = links.commit(deploy.repository, deploy.sha)
    ref = sha if deploy.sha.startswith(deploy.ref) else f"{code(deploy.ref, 60)} at {sha}"
    forced = " · forced" if deploy.forced else ""
    by = code(deploy.user_name, 40) if deploy.user_name else person(deploy.user_id)
    to = f" to {name(place)}" if place else ""
    task = "" if deploy.task == "deploy" else f" {code(deploy.task, 40)}"
    hosts = f" · only on {code(deploy.hosts, 60)}" if deploy.hosts else ""
    return f"{ref}{task}{to} · #{deploy.number} by {by}{forced}{hosts}"


def _agreed(votes: Sequence[Vote]) -> str:
    """Who approved or rejected it, without mentioning them."""
    said = []
    for approves, word in ((True, "approved"), (False, "rejected")):
        names = [code(vote.user_name or vote.user_id, 40) for vote in votes if vote.approves == approves]
        if names:
            said.append(f" · {word} by {listed(names)}")
    return "".join(said)


def _since(deploy: Listed) -> str:
    return f"since {clock_time(deploy.finished_at or deploy.asked_at)}"


def _ended(deploy: Listed, now: datetime) -> str:
    ago = "" if deploy.finished_at is None else f" {duration(now - deploy.finished_at)} ago"
    gone = deploy.state == states.SUCCESS and deploy.inactive_at is not None and deploy.cause != model.TEARDOWN
    return f"{short_words(deploy)}{ago}{', no longer live' if gone else ''}"
