"""How often GitHub lets itself be asked: what one thread hears of a limit holds for all that ask as the same account.

https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api,
https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bot.deploys.errors import RateLimited

CORE = "core"  # the primary limit that everything here counts against; searches and GraphQL have their own
RESERVE = 0.1  # of an hour's requests is left to what people wait for
# How many requests that write may be made in how long: GitHub counts what creates content.
WRITES = ((timedelta(minutes=1), 80), (timedelta(hours=1), 500))
YIELDED = 4  # of those a fourth is left to what people wait for
SECONDARY_WAIT = timedelta(minutes=1)  # what GitHub asks for when it names no time, and twice as long each time after
SHORTEST = timedelta(seconds=5)  # after a refusal whose end has passed by our clock, which need not be GitHub's
LONGEST = timedelta(hours=1)  # the primary limit's window: whatever a header says, GitHub is asked again then
MOST = 200  # accounts, and resources of each, that are kept in mind

Held = Callable[[str], None]

_may_wait: ContextVar[bool] = ContextVar("may_wait", default=False)


@contextlib.contextmanager
def giving_way() -> Iterator[None]:
    """Inside, GitHub is asked for what nobody waits for: that ends while there is something left for those who do."""
    token = _may_wait.set(True)
    try:
        yield
    finally:
        _may_wait.reset(token)


@dataclass(frozen=True, slots=True)
class Budget:
    """What GitHub said last of a primary limit: requests in an hour, how many are left, and until when."""

    limit: int
    remaining: int
    reset: datetime


@dataclass(slots=True)
class _Account:
    budgets: dict[str, Budget] = field(default_factory=dict)
    until: datetime | None = None  # of a secondary limit, which is for all there is
    in_a_row: int = 0  # secondary limits that named no time
    writes: deque[datetime] = field(default_factory=lambda: deque(maxlen=max(most for _, most in WRITES)))


class Limits:
    """Thread-safe. An account is a name for whose limits they are, never a token.

    `held` is told of each request that is not made: `limit`; `reserve` where it gives way; `pace` for a write too many.
    `paced`: writes are counted, each process its own. An Enterprise Server has no such limits unless it is given some.
    """

    def __init__(self, held: Held | None = None, *, paced: bool = False) -> None:
        self._held = held or (lambda why: None)
        self.paced = paced
        self._lock = threading.Lock()
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    def hold(self, account: str, now: datetime, *, writing: bool = False) -> None:
        """Raises RateLimited where GitHub must not be asked before some time, or only for those who wait."""
        with self._lock:
            of = self._of(account)
            why, until = self._kept(of, now)
            if writing and self.paced and not why:
                why, until = _pace(of.writes, now)
        if why:
            self._held(why)
            raise RateLimited("GitHub", until)

    def heard(
        self, account: str, status: int, message: str, headers: Mapping[str, str], now: datetime
    ) -> RateLimited | None:
        """Takes in what an answer says of limits; the error where it is a refusal because of one.

        `headers` have their names in lower case.
        """
        limited = rate_limit(status, message, headers, now) if status in (403, 429) else None
        with self._lock:
            of = self._of(account)
            self._budget(of, headers, now)
            if limited is None:
                if status < 400 and (of.until is None or of.until <= now):
                    of.in_a_row = 0
                return None
            if "retry-after" not in headers and headers.get("x-ratelimit-remaining") == "0":
                return RateLimited("GitHub", self._spent(of, headers, limited.at or now, now))
            at = limited.at or now
            if of.until is None or of.until <= now:  # else it was under way when the first was refused
                of.in_a_row = 0 if "retry-after" in headers else of.in_a_row + 1
            if "retry-after" not in headers:
                at = now + SECONDARY_WAIT * 2 ** min(max(of.in_a_row - 1, 0), 10)
            at = min(at, now + LONGEST)
            of.until = max(of.until or at, at)
            return RateLimited("GitHub", of.until)

    def known(self) -> dict[tuple[str, str], Budget]:
        """What is known of the primary limits, by account and resource."""
        with self._lock:
            return {(name, what): budget for name, of in self._accounts.items() for what, budget in of.budgets.items()}

    def _kept(self, of: _Account, now: datetime) -> tuple[str, datetime | None]:
        if of.until is not None and now < of.until:
            return "limit", of.until
        budget = of.budgets.get(CORE)
        if budget is None or now >= budget.reset:
            return "", None
        if budget.remaining <= 0:
            return "limit", budget.reset
        if _may_wait.get() and budget.remaining <= budget.limit * RESERVE:
            return "reserve", budget.reset
        return "", None

    def _budget(self, of: _Account, headers: Mapping[str, str], now: datetime) -> None:
        limit, remaining, reset = (_number(headers, f"x-ratelimit-{name}") for name in ("limit", "remaining", "reset"))
        if limit is None or remaining is None or reset is None:
            return  # an Enterprise Server need not have limits
        budget = Budget(limit, remaining, min(datetime.fromtimestamp(reset, UTC), now + LONGEST))
        what = headers.get("x-ratelimit-resource") or CORE
        known = of.budgets.get(what)
        if known is not None and now < known.reset:  # answers need not come in order
            if budget.reset < known.reset:
                return
            if budget.reset == known.reset:
                budget = Budget(limit, min(remaining, known.remaining), known.reset)
        if known is not None or len(of.budgets) < MOST:
            of.budgets[what] = budget

    def _spent(self, of: _Account, headers: Mapping[str, str], reset: datetime, now: datetime) -> datetime:
        """Keeps that nothing is left until then, whatever else was told with it; returns until when."""
        reset = min(max(reset, now + SHORTEST), now + LONGEST)
        what = headers.get("x-ratelimit-resource") or CORE
        known = of.budgets.get(what)
        if known is not None or len(of.budgets) < MOST:
            of.budgets[what] = Budget(known.limit if known is not None else 0, 0, reset)
        return reset

    def _of(self, account: str) -> _Account:
        of = self._accounts.setdefault(account, _Account())
        self._accounts.move_to_end(account)
        if len(self._accounts) > MOST:
            self._accounts.popitem(last=False)
        return of


def _pace(writes: deque[datetime], now: datetime) -> tuple[str, datetime | None]:
    """Counts one more, unless there were too many: then when there are not."""
    for length, most in WRITES:
        most -= most // YIELDED if _may_wait.get() else 0
        recent = [at for at in writes if at > now - length]
        if len(recent) >= most:
            return "pace", recent[-most] + length
    writes.append(now)
    return "", None


def rate_limit(status: int, message: str, headers: Mapping[str, str], now: datetime) -> RateLimited | None:
    """What a refusal says of a limit, None when it is of another kind. Names of `headers` are in lower case."""
    after, reset = _number(headers, "retry-after"), _number(headers, "x-ratelimit-reset")
    if after is not None:
        return RateLimited("GitHub", now + timedelta(seconds=after))
    if headers.get("x-ratelimit-remaining") == "0" and reset is not None:
        return RateLimited("GitHub", datetime.fromtimestamp(reset, UTC))
    if status == 429 or "rate limit" in message.lower():
        return RateLimited("GitHub", now + SECONDARY_WAIT)
    return None


def _number(headers: Mapping[str, str], name: str) -> int | None:
    """A header's number, as far as it is one that times can be made of."""
    text = headers.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 11 else None
