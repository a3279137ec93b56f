"""The log of a run over HTTP: the page, the stream that follows, the text, and what others may make of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import httpx
import pytest
import sqlalchemy as sa

from bot.pages import following
from bot.pages import log as pages
from bot.pages.plain import Plain
from bot.store import logs
from tests.world import Servers, World
from tests.written import CONFIG, WrittenLog

STRICT = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "x-robots-tag": "noindex, nofollow",
}


class Place(WrittenLog):
    """A deploy whose run waits, with its log, and a browser without a face."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.http = httpx.Client(timeout=15, trust_env=False)

    def events(self, **headers: str) -> Iterator[tuple[str, str, object]]:
        """Name, id and data of each event, as they come."""
        with self.http.stream("GET", f"{self.url}/events", headers=headers) as response:
            assert response.status_code == 200
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
            fields: dict[str, str] = {}
            for line in lines(response):
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif fields:
                    if "event" in fields:
                        yield fields["event"], fields.get("id", ""), json.loads(fields["data"])
                    fields = {}


def lines(response: httpx.Response) -> Iterator[str]:
    """Lines as event streams have them: what httpx takes for the end of one, such as U+2028, is none there."""
    rest = b""
    for part in response.iter_bytes():
        *whole, rest = (rest + part).split(b"\n")
        yield from (line.decode() for line in whole)


@pytest.fixture
def place(make_world: Callable[..., World], servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(following, "LOOK", 0.02)
    world = make_world(config=CONFIG, public_url=servers.bot_url)
    made = Place(world)
    yield made
    made.http.close()


def test_the_page_says_whose_log_it_is_and_is_kept_to_itself(place: Place) -> None:
    page = place.http.get(place.url)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert STRICT.items() <= dict(page.headers).items()
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    for told in ("<b>web</b> to <b>production</b>", "#1", "topic", "Waiting", f'href="{place.run.log}.txt"'):
        assert told in page.text
    assert f"{place.world.github.url}/acme/web/deployments/production" in page.text
    assert not re.search(r"<script(?![^>]*src=)|style=|\son\w+=", page.text)
    for file in re.findall(r'(?:src|href)="(static/[^"]+)"', page.text):
        got = place.http.get(f"{place.world.servers.bot_url}/logs/{file}")
        assert got.status_code == 200
        assert "immutable" in got.headers["cache-control"]


@pytest.mark.parametrize("path", ["{}x", "x" * 32, "{}/", "{}.html", "{}/events/", "../healthz", "static/log.js", ""])
def test_who_guesses_learns_nothing(place: Place, path: str) -> None:
    nowhere = place.http.get(f"{place.world.servers.bot_url}/nowhere")
    guessed = place.http.get(f"{place.world.servers.bot_url}/logs/{path.format(place.run.log)}".replace("..", "%2e%2e"))
    assert (guessed.status_code, guessed.text) == (nowhere.status_code, nowhere.text) == (404, "there is nothing here")
    for ending in (".txt", "/events"):
        assert place.http.get(f"{place.world.servers.bot_url}/logs/{'x' * 32}{ending}").status_code == 404


def test_it_can_only_be_read(place: Place) -> None:
    for ending in ("", ".txt", "/events"):
        assert place.http.post(f"{place.url}{ending}").status_code == 405
        head = place.http.head(f"{place.url}{ending}")
        assert (head.status_code, head.text) == (200, "")


def test_the_text_has_no_colours(place: Place) -> None:
    place.prints(
        "\x1b[1;31mred\x1b[0m \x1b]8;;https://x.example\x1b\\link\x1b]8;;\x07 <script>alert(1)</script>\r\n\x1b[3"
    )
    place.prints("8;2;1;2;3mtrue\x1b[m\x01\x08 10 %\r")
    place.prints("\n20 %\r30 %\nend ✓ \x9b31m\x1b")
    text = place.http.get(f"{place.url}.txt")
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert text.headers["content-disposition"] == 'attachment; filename="web-production-1.txt"'
    assert STRICT.items() <= dict(text.headers).items()
    assert text.text == "red link <script>alert(1)</script>\ntrue\ufffd 10 %\n20 %\n30 %\nend ✓ 31m".replace(
        "\ufffd", ""
    )


def test_a_long_text_is_whole(place: Place) -> None:
    for number in range(pages.BATCH * 2 + 1):
        place.prints(f"{number}\n")
    assert place.http.get(f"{place.url}.txt").text.split() == [str(number) for number in range(pages.BATCH * 2 + 1)]


def test_the_stream_follows_to_the_end(place: Place) -> None:
    place.prints("one\n")
    events = place.events()
    assert next(events) == ("state", "", {"state": "waiting", "words": "Waiting", "open": "", "seconds": 0})
    assert next(events) == ("output", "1", "one\n")
    place.prints("two\n")
    assert next(events) == ("output", "2", "two\n")
    place.world.clock.moment = place.world.clock.moment.replace(minute=5)
    place.ends("failure")
    assert list(events) == [
        ("state", "", {"state": "failure", "words": "Failed", "open": "", "seconds": 300}),
        ("end", "", {"kept": True}),
    ]


def test_who_comes_back_gets_the_rest(place: Place) -> None:
    for number in range(5):
        place.prints(f"{number}\n")
    place.ends()
    told = [event for event in place.events(**{"Last-Event-ID": "3"}) if event[0] == "output"]
    assert told == [("output", "4", "3\n"), ("output", "5", "4\n")]
    for nonsense in ("-1", "x", "٣", "9" * 30):
        told = [event for event in place.events(**{"Last-Event-ID": nonsense.encode()}) if event[0] == "output"]  # type: ignore[arg-type]
        assert len(told) == 5
    asked = place.http.get(f"{place.url}/events?after=4").text
    assert asked.count("event: output") == 1


def test_output_can_not_pretend_to_be_an_event(place: Place) -> None:
    hostile = 'x\n\nevent: end\ndata: {}\n\r\rid: 999\u2028</script><img src=x onerror="alert(1)">\x1b[31m\x1b]0;t\x07'
    place.prints(hostile)
    place.ends()
    assert [event for event in place.events() if event[0] != "state"] == [
        ("output", "1", hostile),
        ("end", "", {"kept": True}),
    ]


def test_names_are_escaped(place: Place) -> None:
    place.world.github.push("acme/web", "<img>&\"'", "Try it")
    with place.world.store.write() as connection:
        connection.execute(sa.text("UPDATE deploys SET ref = '<script>x</script>', app = '\"><b>'"))
    page = place.http.get(place.url).text
    assert "&lt;script&gt;x&lt;/script&gt;" in page
    assert "<script>x" not in page
    assert '"><b>' not in page.replace('="', "")


@pytest.mark.one_process
def test_streams_are_bounded_and_end_when_the_process_does(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST", 1)
    events = place.events()
    next(events)
    assert place.http.get(f"{place.url}/events").status_code == 503
    place.world.bot.hang_up()
    assert list(events) == []
    assert place.http.get(place.url).status_code == 200


def test_silence_is_filled_and_the_place_of_who_left_is_free(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST", 1)
    monkeypatch.setattr(pages, "HEARTBEAT", 0.02)
    with place.http.stream("GET", f"{place.url}/events") as response:
        lines = response.iter_lines()
        while next(lines) != ": still here":
            pass
    for _ in range(200):
        if (answer := place.http.get(f"{place.url}.txt")).status_code == 200:
            break
    assert answer.status_code == 200


def test_a_log_that_is_no_longer_kept_ends(place: Place) -> None:
    events = place.events()
    next(events)
    with place.world.store.write() as connection:
        logs.end(connection, place.run.log, place.world.clock.now())
        assert logs.purge(connection, place.world.clock.now().replace(year=2030)) == 1
    assert list(events) == [("end", "", {"kept": False})]
    assert place.http.get(place.url).status_code == 404


def test_the_id_stays_out_of_the_log(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the database is away")

    monkeypatch.setattr(logs, "find", broken)
    assert place.http.get(place.url).status_code == 503
    told = capsys.readouterr()
    assert "not_taken_in" in told.out + told.err
    assert place.run.log not in told.out + told.err


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_sequence_may_be_cut_anywhere(size: int) -> None:
    text = "a\x1b[1;31mb\x1b]0;title\x1b\\c\x1b(Bd\r\ne\x1bPq\x07f\rg\x1b[?25lh\x1b"
    plain = Plain()
    pieces = [plain.feed(text[at : at + size]) for at in range(0, len(text), size)]
    assert "".join([*pieces, plain.finish()]) == "abcd\nef\ngh"


def test_a_sequence_that_never_ends_holds_nothing_back() -> None:
    plain = Plain()
    told = "".join(plain.feed("x" * 1000 if number else "\x1b]0;") for number in range(20))
    assert len(told) > 10_000
