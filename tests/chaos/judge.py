"""What must be true when everything has come to rest, whatever happened before."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bot.playground.slack_state import Message
from tests.chaos.scene import PEOPLE, REPOSITORIES, Said, Scene

SIGNS = {  # what a card begins with in each state
    "held": ":large_yellow_circle:",
    "asked": ":hourglass_flowing_sand:",
    "created": ":large_yellow_circle:",
    "queued": ":large_yellow_circle:",
    "pending": ":large_yellow_circle:",
    "in_progress": ":large_blue_circle:",
    "success": ":large_green_circle:",
    "failure": ":red_circle:",
    "error": ":red_circle:",
    "inactive": ":white_circle:",
    "refused": ":no_entry:",
    "expired": ":wastebasket:",
    "cancelled": ":heavy_multiplication_x:",
    "superseded": ":track_next:",
    "lost": ":warning:",
}
WORDS = {"success": "Live", "failure": "Failed", "error": "Ended in an error", "inactive": "Marked inactive"}
ENDS = ("success", "failure", "error")  # of those that the deployers of these games report
NEVER_SENT = ("held", "refused", "expired", "superseded")
BROKEN = ("failed", "dead", "stumbled", "apology_failed")  # of ours, as the log says it


@dataclass
class Verdict:
    """What was found; `faults` is empty for a clean game."""

    faults: list[str]
    deploys: int
    commands: int


def judge(scene: Scene) -> Verdict:
    """Looks at the database, at Slack and at GitHub, and compares what they say."""
    deploys = scene.database.ask(
        "SELECT number, id, source, app, environment, sha, state, room, deployment_id FROM deploys"
    )
    cards = scene.database.ask("SELECT deploy, room, channel, ts FROM cards")
    found = [
        *_jobs(scene),
        *_deployments(scene, deploys),
        *_cards(scene, deploys, cards),
        *_doubled(scene),
        *_pushes(scene, deploys),
        *_outcomes(scene, deploys),
        *_refusals(scene, {deploy.source for deploy in deploys}),
        *_unlocks(scene),
        *(f"against Slack's rules: {violation}" for violation in scene.slack.violations),
        *_log(scene),
    ]
    return Verdict(sorted(set(found)), len(deploys), len(scene.said))


def _jobs(scene: Scene) -> Iterator[str]:
    for job in scene.database.ask("SELECT id, kind, state, note FROM jobs WHERE state IN ('dead', 'running')"):
        yield f"job {job.id} ({job.kind}) is {job.state}: {job.note}"


def _deployments(scene: Scene, deploys: list[Any]) -> Iterator[str]:
    """One deployment for each deploy, and both say the same of it."""
    by_id = {deploy.id: deploy for deploy in deploys}
    made: Counter[str] = Counter()
    for repository in REPOSITORIES:
        for deployment in scene.github.deployments(repository):
            which = deployment["payload"]["shipbot"]["id"]
            made[which] += 1
            if (deploy := by_id.get(which)) is None:
                yield f"GitHub has deployment {deployment['id']}, of which nothing is known"
                continue
            name = f"#{deploy.number}"
            if deploy.deployment_id != deployment["id"]:
                yield f"{name} has deployment {deploy.deployment_id}, and GitHub {deployment['id']}"
            statuses = [status["state"] for status in reversed(scene.github.statuses(repository, deployment["id"]))]
            yield from _state(name, deploy.state, statuses)
    for which, number in made.items():
        if number > 1:
            yield f"GitHub has {number} deployments of {which}"
    for deploy in deploys:
        if deploy.deployment_id is not None and not made[deploy.id]:
            yield f"#{deploy.number} has a deployment {deploy.deployment_id} that GitHub has not"
        elif deploy.deployment_id is None and deploy.state not in (*NEVER_SENT, "cancelled"):
            yield f"#{deploy.number} is {deploy.state} without a deployment"


def _state(name: str, state: str, statuses: list[str]) -> Iterator[str]:
    ends = [status for status in statuses if status in ENDS]
    if state in NEVER_SENT:
        yield f"{name} is {state}, and GitHub has a deployment of it"
    elif state == "cancelled":
        if "inactive" not in statuses:
            yield f"{name} is cancelled, and GitHub was not told: {statuses}"
    elif (ends and state != ends[0]) or (not ends and state != (statuses[-1] if statuses else "created")):
        yield f"{name} is {state}, and GitHub says {statuses}"


def _cards(scene: Scene, deploys: list[Any], cards: list[Any]) -> Iterator[str]:
    """One card for each deploy and room, and it shows how the deploy stands."""
    shown: dict[tuple[str, str], list[Message]] = {}
    for room in scene.slack.rooms:
        for message in scene.cards(room.id):
            if message.metadata:
                shown.setdefault((message.metadata["event_payload"]["id"], room.id), []).append(message)
    by_number = {deploy.number: deploy for deploy in deploys}
    in_rooms = {(card.deploy, card.room) for card in cards}
    for deploy in deploys:
        if deploy.room and (deploy.number, deploy.room) not in in_rooms:
            yield f"#{deploy.number} has no card in {deploy.room}"
    for card in cards:
        deploy = by_number[card.deploy]
        name = f"#{deploy.number} in {card.room}"
        found = shown.pop((deploy.id, card.channel), [])
        if len(found) != 1:
            yield f"{name} has {len(found)} cards"
            continue
        text = scene.slack.text_of(found[0])
        if found[0].ts != card.ts:
            yield f"the card of {name} is {found[0].ts}, and {card.ts or 'none'} is known"
        if not text.startswith(SIGNS[deploy.state]) or WORDS.get(deploy.state, "") not in text:
            yield f"the card of {name}, which is {deploy.state}, says: {text}"
        if (words := WORDS.get(deploy.state)) and not any(
            words in scene.slack.text_of(line) for line in _thread(scene, card.channel, found[0].ts)
        ):
            yield f"the thread of {name} does not say that it is {deploy.state}"
    for (which, room), messages in shown.items():
        yield f"{room} has {len(messages)} cards of {which}, which nobody keeps"


def _pushes(scene: Scene, deploys: list[Any]) -> Iterator[str]:
    """The rule of web's staging has seen the newest push."""
    if scene.pushed and not any(
        (deploy.app, deploy.environment, deploy.sha) == ("web", "staging", scene.pushed) for deploy in deploys
    ):
        yield f"{scene.pushed[:7]} was pushed to main, and no deploy of it asked for"


def _outcomes(scene: Scene, deploys: list[Any]) -> Iterator[str]:
    """Whoever was told that a command was taken sees what came of it."""
    states = {row.delivery: row.state for row in scene.database.ask("SELECT delivery, state FROM jobs")}
    sources = {deploy.source for deploy in deploys}
    for said in scene.said:
        if not said.acknowledged:
            continue
        name = f"{said.person} in {said.room}: {said.text!r}"
        if said.delivery not in states:
            yield f"{name} was acknowledged and is nowhere"
        elif states[said.delivery] != "done":
            yield f"{name} is {states[said.delivery]}"
        elif said.delivery not in sources and not said.clicked and not _answered(scene, said):
            yield f"{name} came to nothing that anybody sees"


def _answered(scene: Scene, said: Said) -> bool:
    url = scene.slack._workspace.response_urls.get(said.url)
    if url is not None and url.message_ts:
        return True
    since = said.at.timestamp() - 1
    direct = scene.slack.direct_room(said.person)
    for room in {said.room, direct} - {"dm"}:
        cards = {card.ts for card in scene.cards(room)}
        for message in scene.slack.messages(room):
            if message.user != scene.slack.bot_user_id or float(message.ts) < since or message.ts in cards:
                continue
            if room == direct or (said.ts and message.thread_ts == said.ts):
                return True
            if not message.thread_ts and not message.ephemeral_for and said.person in json.dumps(message.blocks):
                return True  # said aloud
    return False


def _refusals(scene: Scene, sources: set[str]) -> Iterator[str]:
    """Nobody is told that what they did could not be done, whatever happened between the doing and the telling."""
    voted = scene.database.ask("SELECT deploy AS number, user_id, approves FROM votes")
    ended = scene.database.ask("SELECT number, ended_by AS user_id FROM deploys WHERE state = 'cancelled'")
    forced = scene.database.ask("SELECT deploy AS number, actor AS user_id FROM timeline WHERE kind = 'forced'")
    did = Counter(("approve" if vote.approves else "reject", vote.number, vote.user_id) for vote in voted)
    did += Counter(("cancel", end.number, end.user_id) for end in ended)
    did += Counter(("force", step.number, step.user_id) for step in forced)
    for verb, number, person in did:
        about = [said for said in scene.said if said.person == person and said.text in _about(number)]
        if len(about) != 1:  # of more than one, some may well have come too late
            continue
        for text in (*_first_answers(scene, about[0]), *_too_late(scene, about[0], number)):
            if text.startswith(":no_entry:"):
                yield f"{person} did {verb} {number}, and was told: {text}"
    for said in scene.said:
        if said.delivery in sources:
            for text in _first_answers(scene, said):
                if text.startswith((":no_entry:", ":lock:")):
                    yield f"{said.person} deployed by {said.text!r}, and was told: {text}"


def _about(number: int) -> set[str]:
    return {f"{verb} {number}" for verb in ("approve", "reject", "cancel", "force", "retry", "rollback")}


def _first_answers(scene: Scene, said: Said) -> Iterator[str]:
    """What was answered to just that: first by its response_url, or in its thread."""
    url = scene.slack._workspace.response_urls.get(said.url)
    for room in scene.slack.rooms:
        for message in scene.slack.messages(room.id):
            if message.user != scene.slack.bot_user_id:
                continue
            first = url is not None and not said.clicked and message.ts == url.message_ts  # a click's is its card
            if first or (said.ts and message.thread_ts == said.ts):
                yield scene.slack.text_of(message)


def _too_late(scene: Scene, said: Said, number: int) -> Iterator[str]:
    """Whatever the person was told of that deploy since as somebody who does what is done already."""
    for message in scene.slack.ephemerals(said.person):
        text = scene.slack.text_of(message)
        if float(message.ts) >= said.at.timestamp() and re.search(rf"#{number}\b.*(too late|one voice)", text):
            yield text


def _unlocks(scene: Scene) -> Iterator[str]:
    """Each unlocking is said aloud, and ends the one lock that it was meant for."""
    locks = scene.database.ask("SELECT id, user_id, at, ended_at, ended_by FROM locks")
    taken_over = {(lock.user_id, lock.at) for lock in locks}
    for person in PEOPLE:
        asked = [said for said in scene.said if said.person == person and said.text.startswith("unlock")]
        ended = [lock for lock in locks if lock.ended_by == person and (person, lock.ended_at) not in taken_over]
        if any(said.text == "unlock all" for said in asked):
            continue  # that is told to them alone, and may be many
        told = sum(
            scene.slack.text_of(message).startswith(f":unlock: @{PEOPLE[person]} unlocked")
            for room in scene.slack.rooms
            for message in scene.slack.messages(room.id)
        )
        if told < len(ended):
            yield f"{person} ended {len(ended)} locks, and {told} were told of"
        if len(ended) > len(asked):
            yield f"{person} asked for {len(asked)} locks to end, and ended {len(ended)}"


def _log(scene: Scene) -> Iterator[str]:
    path = scene.home / "bot.log"
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if told.get("event") in BROKEN:
            error = str(told.get("exception", "")).strip().splitlines()
            yield f"the log says {told['event']} of {told.get('kind')}: {error[-1] if error else ''}"


def _doubled(scene: Scene) -> Iterator[str]:
    """Whatever is posted bears a mark of its own, and stands there once."""
    for room in scene.slack.rooms:
        marks = Counter(
            (message.metadata["event_type"], str(message.metadata["event_payload"]["id"]))
            for message in scene.slack.messages(room.id)
            if message.metadata
        )
        for (kind, mark), number in marks.items():
            if number > 1:
                yield f"{room.id} has {number} messages {kind} {mark}"


def _thread(scene: Scene, room: str, ts: str) -> list[Message]:
    return [message for message in scene.slack.messages(room) if message.thread_ts == ts and message.ts != ts]
