"""A few bars as an SVG that is read on light and on dark ground."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

Bars = tuple[str, Sequence[tuple[str, float]], str]  # what is shown, its values by name, their unit

WIDTH, LABELS, LONGEST, ROW = 760, 190, 460, 22  # in pixels
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.what { font-weight: 600; }
rect { fill: #0969da; }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3; } rect { fill: #4493f8; } }
"""


def plot(path: Path, groups: Sequence[Bars]) -> None:
    """Writes one group of bars below another, the longest bar of each as long as those of the others."""
    y, lines = 8, []
    for what, values, unit in groups:
        y += ROW
        lines.append(f'<text class="what" x="8" y="{y}">{escape(what)}</text>')
        most = max(value for _, value in values)
        for name, value in values:
            y += ROW
            length = max(1, round(LONGEST * value / most))
            shown = f"{value:,.0f}" if value >= 20 else f"{value:.1f}"
            lines.append(f'<text x="{LABELS - 8}" y="{y}" text-anchor="end">{escape(name)}</text>')
            lines.append(f'<rect x="{LABELS}" y="{y - 13}" width="{length}" height="16" rx="2"/>')
            lines.append(f'<text x="{LABELS + length + 6}" y="{y}">{shown}{escape(unit)}</text>')
        y += ROW // 2
    title = escape("; ".join(what for what, _, _ in groups))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 8}" viewBox="0 0 {WIDTH} {y + 8}"'
    path.write_text(
        f'{head} role="img">\n<title>{title}</title>\n<style>{STYLE}</style>\n' + "\n".join(lines) + "\n</svg>\n"
    )
