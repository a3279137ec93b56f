"""Structured logs: one JSON object a line, with the deploy number and the delivery id where there is one."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any

import structlog

HIDDEN = "[hidden]"


def set_up(level: str, secrets: Iterable[str]) -> None:
    """Sends every log line of the process, the libraries' too, to stderr as JSON.

    `secrets` never appear in one, however they came there.
    """
    hide = _Hide(sorted({secret for secret in secrets if len(secret) >= 4}, key=len, reverse=True))
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

    def __init__(self, secrets: list[str]) -> None:
        self._secrets = secrets

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in event.items():
            event[key] = self._hidden(value)
        return event

    def _hidden(self, value: Any) -> Any:
        if isinstance(value, str):
            for secret in self._secrets:
                value = value.replace(secret, HIDDEN)
        elif isinstance(value, dict):
            return {key: self._hidden(item) for key, item in value.items()}
        elif isinstance(value, list | tuple):
            return [self._hidden(item) for item in value]
        elif not isinstance(value, bool | int | float | None):
            return self._hidden(repr(value))  # as it would be written down
        return value
