"""Secrets stay out of a stream of text, wherever it is cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bot.providers.masking import Masker

SECRETS = ["hunter22", "rabbit", "terabyte", "aaaa", "aabaab", "two\nlines of it"]


def through(text: str, cuts: list[int], secrets: list[str]) -> str:
    """What comes out when the text goes in, cut at those places."""
    masker = Masker()
    for secret in secrets:
        masker.hide(secret)
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    pieces = [masker.feed(text[start:end]) for start, end in pairwise(places)]
    return "".join([*pieces, masker.finish()])


@given(
    st.lists(st.sampled_from([*"abehnrtu \n2", *SECRETS, "hunter", "hunter2", "aab"]), max_size=30).map("".join),
    st.lists(st.integers(min_value=0), max_size=8),
)
def test_the_cuts_make_no_difference(text: str, cuts: list[int]) -> None:
    whole = through(text, [], SECRETS)
    assert through(text, cuts, SECRETS) == whole
    for secret in ("hunter22", "rabbit", "terabyte", "aaaa", "aabaab", "lines of it"):
        assert secret not in whole


def test_what_overlaps_is_one() -> None:
    assert through("xrabbitxyabcdefz", [], ["rabbit", "abcd", "cdef"]) == "x***xy***z"


def test_what_is_no_secret_is_not_held_back() -> None:
    masker = Masker()
    masker.hide("hunter22")
    assert masker.feed("a line\n") == "a line\n"
    assert masker.feed("hun") == ""
    assert masker.feed("gry\n") == "hungry\n"
    assert masker.feed("and hunter2") == "and "
    assert masker.finish() == "***"  # more of it than one may see


def test_a_short_one_is_left() -> None:
    assert through("a=1", [], ["1", ""]) == "a=1"
