"""What a git ref may be called (https://git-scm.com/docs/git-check-ref-format)."""

from __future__ import annotations

import re

# Control characters, space and the characters with a meaning of their own in revisions and patterns.
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?=/|$)")


def possible_ref(ref: str) -> bool:
    """Whether git allows the name at all. What it does not allow never reaches a URL."""
    return (
        0 < len(ref) <= 255
        and not _FORBIDDEN.search(ref)
        and ref != "@"
        and not ref.startswith(("/", ".", "-"))
        and not ref.endswith(("/", "."))
    )
