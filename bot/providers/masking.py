"""Keeps secrets out of a stream of text, also those that arrive in pieces."""

from __future__ import annotations

from bot.logs import forms

MASK = "***"
PIECE = 4  # characters of a secret at the very end that are masked though the rest never came


class Masker:
    """Text goes in, in pieces of any size, and comes out with *** for each secret.

    What may be the beginning of a secret is held back until it is known not to be.
    """

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._held = ""

    def hide(self, secret: str) -> None:
        """Each of its forms."""
        self._secrets |= forms(secret)

    def feed(self, text: str) -> str:
        """What can be shown now."""
        text = self._held + text
        spans = self._found(text)
        end = self._unsure_from(text)
        for start, stop in spans:
            if start < end < stop:  # one secret ends where another may begin
                end = start
        self._held = text[end:]
        return _masked(text[:end], [span for span in spans if span[1] <= end])

    def finish(self) -> str:
        """The rest, once nothing more comes."""
        text, self._held = self._held, ""
        spans = self._found(text)
        start = self._unsure_from(text)
        if len(text) - start >= PIECE:
            spans = _merged([*spans, (start, len(text))])
        return _masked(text, spans)

    def mask(self, text: str) -> str:
        """A whole text, apart from the stream."""
        return _masked(text, self._found(text))

    def _found(self, text: str) -> list[tuple[int, int]]:
        spans = []
        for secret in self._secrets:
            start = text.find(secret)
            while start >= 0:
                spans.append((start, start + len(secret)))
                start = text.find(secret, start + 1)
        return _merged(spans)

    def _unsure_from(self, text: str) -> int:
        """Where the earliest end of the text starts that a secret begins with."""
        earliest = len(text)
        for secret in self._secrets:
            start = text.find(secret[0], max(0, len(text) - len(secret) + 1), earliest)
            while start >= 0:
                if secret.startswith(text[start:]):
                    earliest = start
                    break
                start = text.find(secret[0], start + 1, earliest)
        return earliest


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def _masked(text: str, spans: list[tuple[int, int]]) -> str:
    pieces, after = [], 0
    for start, stop in spans:
        pieces += [text[after:start], MASK]
        after = stop
    return "".join([*pieces, text[after:]])
