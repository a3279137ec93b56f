"""What the bot says in answer to an interaction: by its response_url, or in the HTTP answer to a command.

From https://docs.slack.dev/interactivity/handling-user-interaction#message_responses.
"""

from __future__ import annotations

import json
from typing import Any

from bot.playground.slack_api_chat import content
from bot.playground.slack_methods import ApiError
from bot.playground.slack_state import Json, Message, RecordedCall, ResponseUrl, Workspace, copy_json

KNOWN = frozenset(
    (
        "text",
        "blocks",
        "attachments",
        "metadata",
        "response_type",
        "replace_original",
        "delete_original",
        "thread_ts",
        "mrkdwn",
        "unfurl_links",
        "unfurl_media",
    )
)


def respond(workspace: Workspace, key: str, raw: bytes) -> tuple[int, str]:
    """The HTTP status and body for a post to a response_url. Recorded as a call of "response_url"."""
    with workspace.change():
        try:
            body: Any = json.loads(raw)
        except ValueError:
            body = None
        status, answer = _respond(workspace, key, body)
        ok: Json = {"ok": True} if status == 200 else {"ok": False, "error": answer}
        args = copy_json(body) if isinstance(body, dict) else {}
        workspace.calls.append(RecordedCall("response_url", args, status, ok))
    return status, answer


def _respond(workspace: Workspace, key: str, body: Any) -> tuple[int, str]:
    url = workspace.response_urls.get(key)
    if url is None:
        return 404, "invalid_url"
    if workspace.now() > url.until:
        return 404, "expired_url"
    if url.left <= 0:
        return 404, "used_url"
    if not isinstance(body, dict):
        workspace.violations.append("response_url: invalid_payload")
        return 400, "invalid_payload"
    try:
        apply_response(workspace, url, body, "response_url")
    except ApiError as error:
        return 400, error.name
    url.left -= 1
    return 200, "ok"


def apply_response(workspace: Workspace, url: ResponseUrl, body: Json, where: str) -> None:
    """Posts, replaces or deletes as `body` says. Raises ApiError for what Slack refuses.

    A response is for the person alone unless response_type is in_channel. replace_original and
    delete_original mean the message that was acted on or, after a command, the first answer to it.
    """
    workspace.violations += [f"{where}: unknown key {unknown}" for unknown in sorted(body.keys() - KNOWN)]
    if body.get("response_type", "ephemeral") not in ("ephemeral", "in_channel"):
        workspace.violations.append(f"{where}: unknown response_type {body['response_type']}")
    original = _original(workspace, url)
    if body.get("delete_original") and not body.get("text") and not body.get("blocks"):
        if original is not None:
            workspace.remove(original)
        return
    text, blocks, attachments, metadata = content(workspace, body, where)
    if body.get("delete_original") and original is not None:
        workspace.remove(original)
    elif body.get("replace_original") and original is not None:
        workspace.edit(original, text, blocks, metadata, attachments)
        return
    posted = workspace.post(
        workspace.rooms[url.room],
        workspace.bot_user_id,
        text,
        blocks=blocks,
        attachments=attachments,
        metadata=metadata,
        ephemeral_for=None if body.get("response_type") == "in_channel" else url.user,
        thread_ts=body.get("thread_ts"),
    )
    url.message_ts = url.message_ts or posted.ts


def _original(workspace: Workspace, url: ResponseUrl) -> Message | None:
    for message in workspace.rooms[url.room].messages:
        if message.ts == url.message_ts:
            return message
    return None
