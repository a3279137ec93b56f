"""What a test makes go wrong with a simulated platform that is asked over HTTP."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar


class Request(Protocol):
    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...


R = TypeVar("R", bound=Request)


@dataclass(frozen=True)
class Fault:
    """What is to go wrong with one request that matches."""

    method: str
    path: re.Pattern[str]
    status: int | None
    body: Any
    headers: dict[str, str]
    drop: Literal["before", "after"] | None


class Faulty(Generic[R]):
    """Keeps what was asked, and what is still to go wrong. `lock` is the simulator's own."""

    lock: threading.RLock

    def __init__(self) -> None:
        self.requests: list[R] = []
        self._faults: list[Fault] = []

    def fail(
        self,
        method: str,
        path_pattern: str,
        *,
        status: int | None = None,
        body: Any = None,
        headers: dict[str, str] | None = None,
        drop: Literal["before", "after"] | None = None,
        times: int = 1,
    ) -> None:
        """Makes the next `times` requests fail whose whole path (of the API: without its root) matches the pattern.

        `path_pattern` is a regular expression: `/repos/acme/web/deployments`, `/repos/.*/commits/.*`.
        Either they are answered with `status`, `body` and `headers` and do nothing; or the connection is
        closed without an answer, `before` or `after` the request took effect. Raises `ValueError` when it is
        not one of the two.
        """
        if (status is None) == (drop is None):
            raise ValueError("a fault has either a status or a drop")
        if status is not None and body is None:
            body = self.words_of(status)
        fault = Fault(method.upper(), re.compile(path_pattern), status, body, headers or {}, drop)
        with self.lock:
            self._faults.extend([fault] * times)

    def words_of(self, status: int) -> Any:
        """What the platform says with a status where a test does not say what."""
        return None

    def next_fault(self, request: R) -> Fault | None:
        """Records a request and takes the fault that is waiting for it, if any."""
        with self.lock:
            self.requests.append(request)
            for at, fault in enumerate(self._faults):
                if fault.method == request.method and fault.path.fullmatch(request.path):
                    return self._faults.pop(at)
            return None
