"""Pieces that all views are made of: safe text, links, times, blocks and their limits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from bot.deploys.model import short

Block = dict[str, Any]

SECTION, CONTEXT_PARTS, BLOCKS = 3000, 10, 50  # Slack's limits
URL, LINK = 3000, 1000  # characters of an address in a button (Slack's limit) and within a text
TEXT = 3900  # characters of a message's text; Slack advises against more than 4000
WHOLE = 11_000  # of a message's blocks; Slack refuses somewhere past 13,000
# Control characters, and those that turn the direction of a line around or can't be seen.
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
_LABELLED = re.compile(r"<(?:!date\^|https?://)[^|>]*\|([^>]*)>")
_SIGN = re.compile(r"(?<!\w):[a-z_]+:(?!\w)[^\S\n]*")  # not that of the task `deploy:db:seed`
_COLOUR = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")  # ECMA-48


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent to Slack: `text` for notifications and screen readers, `blocks` for the eye."""

    text: str
    blocks: list[Block] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses of things at GitHub. `web` is its root for people, e.g. https://github.com."""

    web: str

    def commit(self, repository: str, sha: str) -> str:
        """A short SHA that leads to its commit."""
        return link(f"{self.web}/{repository}/commit/{quote(sha)}", short(sha))

    def pull(self, repository: str, number: int) -> str:
        """A pull request's number that leads to it."""
        return link(f"{self.web}/{repository}/pull/{number}", f"pull request {number}")


def escape(text: str) -> str:
    """Text in which Slack finds no mention, channel or link (https://api.slack.com/reference/surfaces/formatting)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def seen(text: str) -> str:
    """With a space for each character that can't be seen."""
    return _UNSEEN.sub(" ", text)


def flat(text: str, longest: int = 250) -> str:
    """On one line, without control characters, and cut to `longest` characters."""
    text = " ".join(seen(text).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def code(text: str, longest: int = 100) -> str:
    """Text from outside in a code span, which it can't leave."""
    return f"`{escape(flat(text, longest).replace('`', 'ʼ')) or '?'}`"


def output(text: str, longest: int = 2000) -> str:
    """The end of what a program printed, as a block of code that it can't leave, without colours."""
    lines = [seen(line).rstrip().replace("`", "ʼ") for line in _COLOUR.sub("", text).split("\n")]
    kept = ""
    for line in reversed([escape(line if len(line) <= 300 else line[:299] + "…") for line in lines if line.strip()]):
        if len(kept) + len(line) + 1 > longest:
            break
        kept = f"{line}\n{kept}"
    return f"```\n{kept}```" if kept else ""


def formats(text: str) -> bool:
    """Whether Slack would show some of it as something else: bold, struck out, an emoji, a link."""
    return re.search(r"[*~`]|(?<!\w)_|_(?!\w)|:[\w+-]+:|://", text) is not None


def quoted(text: str, longest: int = 250) -> str:
    """A person's words within a sentence of ours: in quotes, or in a code span where Slack would format them."""
    words = flat(text, longest)
    return code(words, longest) if formats(words) else f"“{escape(words)}”"


def name(text: str) -> str:
    """A name in bold when it is one of plain letters, else in a code span."""
    return f"*{text}*" if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,60}", text) else code(text)


@lru_cache(maxsize=1024)  # listings and cards name the same commits again and again
def link(url: str, label: str) -> str:
    """A link with a label of ours; just the label when the address can't be one."""
    return f"<{escape(url)}|{label}>" if is_address(url, LINK) else label


def is_address(url: str, longest: int = URL) -> bool:
    """Whether it is one that a browser opens and that can't leave the place it is put in."""
    return (
        url.startswith(("https://", "http://"))
        and len(escape(url)) <= longest
        and not re.search(r"[\s<>|\"]", url)
        and url == seen(url)
    )


def person(user_id: str, user_name: str = "") -> str:
    """A mention of a Slack user, or the name of somebody who is none."""
    if re.fullmatch(r"[UW][A-Z0-9]+", user_id):
        return f"<@{user_id}>"
    return code(user_name) if user_name else "somebody"


def who(listed: str) -> str:
    """One of those that the config lists: a Slack user or usergroup as a mention, a GitHub team by its name."""
    if re.fullmatch(r"S[A-Z0-9]+", listed):
        return f"<!subteam^{listed}>"
    return person(listed, listed)


def room(room_id: str) -> str:
    """A link to a room; a direct message is nobody else's to see."""
    if room_id.startswith("D"):
        return "a direct message"
    return f"<#{room_id}>" if re.fullmatch(r"[CG][A-Z0-9]+", room_id) else code(room_id)


def clock_time(moment: datetime) -> str:
    """A moment in each reader's own time zone."""
    plain = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"<!date^{int(moment.timestamp())}^{{date_short_pretty}} at {{time}}|{plain}>"


def duration(length: timedelta) -> str:
    """How long, in the two units that matter: `12 s`, `4 min 12 s`, `2 h 5 min`, `3 days 4 h`."""
    seconds = max(0, round(length.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return _two(seconds // 60, "min", seconds % 60, "s")
    if seconds < 86400:
        return _two(seconds // 3600, "h", seconds % 3600 // 60, "min")
    days = seconds // 86400
    return _two(days, "day" if days == 1 else "days", seconds % 86400 // 3600, "h")


def duration_of(seconds: float) -> str:
    """The same of a number of seconds, as facts are stored."""
    return duration(timedelta(seconds=seconds))


def _two(large: int, unit: str, small: int, smaller: str) -> str:
    return f"{large} {unit} {small} {smaller}" if small else f"{large} {unit}"


def count(number: int, thing: str) -> str:
    """`1 commit`, `3 commits`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def scope(app: str | None, environment: str | None) -> str:
    """What a lock or freeze covers, in the middle of a sentence; nothing stands for every one."""
    if app and environment:
        return f"{name(app)} / {name(environment)}"
    if environment:
        return f"{name(environment)} of every app"
    return f"all of {name(app)}" if app else "everything"


def capital(words: str) -> str:
    """Words as a sentence begins."""
    return words[0].upper() + words[1:]


def listed(items: Sequence[str], joint: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {joint} {items[-1]}"


def section(text: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": _cut(text)}}


def plain_section(text: str) -> Block:
    """A paragraph of text from outside, shown letter by letter."""
    return {"type": "section", "text": {"type": "plain_text", "text": flat(text, 600), "emoji": False}}


def context(*parts: str) -> Block:
    """Small print; each part is mrkdwn."""
    return {
        "type": "context",
        "elements": [{"type": "mrkdwn", "text": _cut(part)} for part in parts[:CONTEXT_PARTS]],
    }


def plain_context(text: str) -> Block:
    """Small print from outside, shown letter by letter."""
    return {
        "type": "context",
        "elements": [{"type": "plain_text", "text": flat(text, 600), "emoji": False}],
    }


def actions(*elements: Block) -> Block:
    return {"type": "actions", "elements": list(elements)}


def link_button(action_id: str, label: str, url: str) -> Block:
    """A button that opens an address. Slack tells of its clicks too, which are acknowledged and mean nothing."""
    return {
        "type": "button",
        "action_id": action_id,
        "text": {"type": "plain_text", "text": label, "emoji": True},
        "url": url,
    }


def button(action_id: str, label: str, value: str, *, style: str = "", confirm: str = "") -> Block:
    """A button. `style` is `primary` or `danger`; `confirm` is a question that is asked first."""
    block: Block = {
        "type": "button",
        "action_id": action_id,
        "text": {"type": "plain_text", "text": label, "emoji": True},
        "value": value,
    }
    if style:
        block["style"] = style
    if confirm:
        block["confirm"] = {
            "title": {"type": "plain_text", "text": label},
            "text": {"type": "plain_text", "text": confirm},
            "confirm": {"type": "plain_text", "text": label},
            "deny": {"type": "plain_text", "text": "No"},
            **({"style": "danger"} if style == "danger" else {}),
        }
    return block


def paragraphs(lines: Sequence[str]) -> list[Block]:
    """Lines as sections, as many in one as Slack lets in; the last says how many found no room at all."""
    blocks: list[Block] = []
    held = ""
    room_left = WHOLE
    for index, line in enumerate(lines):
        room_left -= len(line) + 1
        if room_left < 0:
            blocks += [section(held)] if held else []
            return [*blocks, context(f"and {count(len(lines) - index, 'more line')}, too many for one message")]
        if held and len(held) + len(line) + 1 > SECTION - 100:
            blocks.append(section(held))
            held = ""
        held = f"{held}\n{line}" if held else line
    if held:
        blocks.append(section(held))
    return blocks


def plain(markup: str) -> str:
    """A line of ours as a sentence for notifications: links and emphasis taken out, still escaped."""
    return "\n".join(_bare_lines(markup)).strip()


def _bare_lines(markup: str) -> list[str]:
    """Lines of ours without links, signs and emphasis. All at once: there are dozens in a listing."""
    text = _SIGN.sub("", _LABELLED.sub(r"\1", markup))
    return [line.strip() for line in text.replace("*", "").replace("`", "").split("\n")]


def aloud(blocks: Sequence[Block], first: str = "") -> Message:
    """A message whose text says what its blocks show, behind `first`. Screen readers and phones read nothing else
    (https://docs.slack.dev/reference/methods/chat.postMessage)."""
    lines = [first] if first else []
    for block in blocks:
        for part in [block.get("text"), *(block["elements"] if block["type"] == "context" else ())]:
            if part is not None:
                lines += _bare_lines(part["text"]) if part["type"] == "mrkdwn" else escape(part["text"]).split("\n")
    lines = [line for line in lines if line.strip(" ^")]  # but for the marks below what is wrong
    said = ""
    for index, line in enumerate(lines):
        if len(said) + len(line) > TEXT:
            said += f"\nand {count(len(lines) - index, 'more line')}"
            break
        said += f"\n{line}" if said else line
    return Message(said, list(blocks))


def _cut(text: str) -> str:
    return text if len(text) <= SECTION else text[: SECTION - 1] + "…"
