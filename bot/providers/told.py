"""What others report on a deployment, as JSON: in the answer to a request of ours, or by a callback."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from bot.providers.base import Told

LARGEST = 16_384  # bytes of a report


class NotAReport(Exception):
    """The JSON is none; the message says what is wrong, without showing it."""


class _Report(msgspec.Struct):
    state: Literal["in_progress", "success", "failure", "error"]
    description: Annotated[str, msgspec.Meta(max_length=2000)] | None = None
    log_url: Annotated[str, msgspec.Meta(max_length=2000)] | None = None
    environment_url: Annotated[str, msgspec.Meta(max_length=2000)] | None = None


_DECODER = msgspec.json.Decoder(_Report)


def read_told(body: bytes) -> Told:
    """The report in a JSON object; keys that are not known are passed over. Raises NotAReport."""
    try:
        read = _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotAReport(str(error) or "not JSON") from None  # msgspec's words name the place, never the value
    texts = (read.description, read.log_url, read.environment_url)
    return Told(read.state, *((text or "").replace("\x00", "\ufffd") for text in texts))
