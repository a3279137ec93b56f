"""The words for how deploys went."""

from __future__ import annotations

from collections.abc import Sequence

from bot.deploys.stats import Figures
from bot.slack.views.text import Message, aloud, count, duration, name, paragraphs, plain, section


def stats(found: Sequence[Figures], days: int) -> Message:
    """The figures of some environments over the last `days`."""
    if not any(item.deploys for item in found):
        words = f"Nothing was deployed in the last {count(days, 'day')}."
        return Message(words, [section(words)])
    lines = [f"*The last {count(days, 'day')}*"]
    lines += [f"{name(item.app)} in {name(item.environment)}: {_line(item)}" for item in found]
    deploys = count(sum(item.deploys for item in found), "deploy")
    return aloud(paragraphs(lines), plain(f"{deploys} in the last {count(days, 'day')}"))


def _line(item: Figures) -> str:
    if not item.deploys:
        return "no deploys"
    parts = [count(item.deploys, "deploy")]
    if item.live:
        ended = item.live + item.failed
        parts.append(f"{item.live} went live ({round(100 * item.live / ended)} % of those that started and ended)")
    parts += [
        f"{number} {words}"
        for number, words in (
            (item.failed, "failed"),
            (item.unstarted, "never started"),
            (item.rollbacks, "went back"),
            (item.forced, "forced"),
        )
        if number
    ]
    took = f" · half of them live within {duration(item.took)}" if item.took is not None else ""
    return f"{', '.join(parts)}{took}"
