"""Secrets stay out of a stream of text, wherever it is cut."""

from __future__ import annotations

import base64
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.providers.masking import Masker

AROUND = [("", ""), ("bot:", ""), ("me:", "\n"), ("a", "b"), ("ab", "bc"), ("abc", "bcd")]
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


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        ("p@ss/word+1", "https://bot:p%40ss%2Fword%2B1@db.example/x"),
        ("p@ss/word+1", "q=p%40ss/word%2B1"),
        ('say "it"', '{"key": "say \\"it\\""}'),
        ("grüße!", '{"key": "gr\\u00fc\\u00dfe!"}'),
        ("it's one", "+ login 'it'\"'\"'s one'"),
        ("postgresql://bot:hunt%21er@db.example/x", "user bot, password hunt!er"),
        ("postgresql://bot:hunt%21er@db.example/x", "PGPASSWORD=hunt%21er psql"),
        *[("hunter22", base64.b64encode(f"{before}hunter22{after}".encode()).decode()) for before, after in AROUND],
        *[("??>>~~", base64.urlsafe_b64encode(f"{before}??>>~~{after}".encode()).decode()) for before, after in AROUND],
        ("one line\nanother", base64.b64encode(b"one line\nanother").decode()),
    ],
)
def test_encoded_it_is_known_too(secret: str, shown: str) -> None:
    masked = through(shown, [7], [secret])
    assert "***" in masked
    left = masked.replace("***", "")
    assert all(piece not in left for piece in ("ss%2F", "ss/", "it", "fc", "one", "hunt", "er2", "aHVudG", "b25l"))


def test_what_is_like_it_is_left() -> None:
    assert through("abc1 YWJjMQ== a%20b", [], ["abc1d", "a c"]) == "abc1 YWJjMQ== a%20b"


def test_a_short_one_is_left() -> None:
    assert through("a=1", [], ["1", ""]) == "a=1"
