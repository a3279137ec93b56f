"""The names a person may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """Up to `limit` of the `known` names, the most alike first; none when nothing is alike.

    A name that contains the typed one (or is contained in it) counts as alike however long it is, since
    people type `login` for `fix/login-loop`.
    """
    folded: dict[str, str] = {}
    for candidate in known:
        folded.setdefault(candidate.casefold(), candidate)
    wanted = name.casefold()
    alike = get_close_matches(wanted, folded, n=max(limit, 3), cutoff=0.6)
    alike.sort(key=lambda key: sorted(key) != sorted(wanted))  # first what has only letters that changed places
    holding = [
        key
        for key in folded
        if len(wanted) >= 3 and key not in alike and (wanted in key or (len(key) >= 3 and key in wanted))
    ]
    return [folded[key] for key in (alike + sorted(holding, key=len))[:limit]]
