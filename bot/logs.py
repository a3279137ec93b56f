"""Structured logs: one JSON object a line, with the deploy number and the delivery id where there is one."""

from __future__ import annotations

import base64
import json
import logging
import shlex
import sys
from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

import structlog

HIDDEN = "[hidden]"
SHORTEST = 4  # characters: what is shorter is no secret, and hiding it would make the rest unreadable
ENCODED = 6  # bytes that a secret has at least where what it looks like in Base64 is looked for


def forms(secret: str) -> set[str]:
    """A secret as programs show it: line by line, in an address, in JSON, in a shell's trace and in Base64, there with
    whatever before and behind it; of an address that holds a password, that alone, too."""
    parts = {secret, *secret.splitlines(), *_passwords(secret)}
    found = {form for part in parts for form in _forms(part.strip())}
    return {form for form in found if len(form) >= SHORTEST and "\n" not in form}


def _forms(text: str) -> Iterator[str]:
    yield text
    yield from (quote(text), quote(text, safe=""), quote_plus(text))
    yield from (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
    yield shlex.quote(text).removeprefix("'").removesuffix("'")
    data = text.encode("utf-8", "replace")
    if len(data) < ENCODED:
        return
    for before in range(3):  # bytes of something else that share its first group of three
        whole = base64.b64encode(b"\0" * before + data).decode()
        end = (before + len(data)) * 8 // 6  # what comes after it decides the rest
        middle = whole[(0, 2, 3)[before] : end]
        yield middle
        yield middle.translate(str.maketrans("+/", "-_"))


def _passwords(text: str) -> Iterator[str]:
    try:
        password = urlsplit(text).password
    except ValueError:
        return
    if password:
        yield from (password, unquote(password))


class Hiding:
    """Takes secrets out of text, in all their forms."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: list[str] = []
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        found = {form for secret in secrets for form in forms(secret)}
        self._forms = sorted({*self._forms, *found}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return text


def set_up(level: str, secrets: Iterable[str]) -> None:
    """Sends every log line of the process, the libraries' too, to stderr as JSON.

    `secrets` never appear in one, however they came there.
    """
    hide = _Hide(Hiding(secrets))
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                hide,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    # These write down requests, tokens and bodies among them, when they are asked for more.
    for name in ("github", "urllib3", "slack_sdk", "slack_bolt", "apscheduler", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)


class _Hide:
    """Takes secrets out of whatever is about to be written."""

    def __init__(self, hiding: Hiding) -> None:
        self._hiding = hiding

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in event.items():
            event[key] = self._hidden(value)
        return event

    def _hidden(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._hiding(value)
        if isinstance(value, dict):
            return {key: self._hidden(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._hidden(item) for item in value]
        if not isinstance(value, bool | int | float | None):
            return self._hidden(repr(value))  # as it would be written down
        return value
