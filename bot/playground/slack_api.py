"""The simulated Web API: finds the method, checks token, scopes and arguments, records the call."""

from __future__ import annotations

from bot.playground import (  # imported for the methods they declare
    slack_api_chat,
    slack_api_people,
    slack_api_rooms,
    slack_api_views,
)
from bot.playground.slack_methods import (
    METHODS,
    ApiError,
    Method,
    invalid_arguments,
    method,
    need_scope,
)
from bot.playground.slack_state import Json, RecordedCall, Workspace, copy_json

DECLARED_IN = (slack_api_chat, slack_api_people, slack_api_rooms, slack_api_views)


@method("apps.connections.open", caller="app")
def open_connection(workspace: Workspace, args: Json) -> Json:
    """The address of a websocket for Socket Mode, good for one connection."""
    ticket = workspace.next_id("ticket-")
    workspace.tickets.add(ticket)
    return {"url": f"{workspace.url.replace('http', 'ws', 1)}/socket?ticket={ticket}&app_id={workspace.app_id}"}


METHOD_SCOPES: dict[str, frozenset[str]] = {
    name: frozenset(declared.scopes) for name, declared in METHODS.items() if declared.caller == "bot"
}
"""The bot scopes of each method. conversations.* need the one for the kind of room (channels:read for public
rooms, groups:read for private ones, im:… and mpim:… for direct messages), the others need all of theirs."""


class WebApi:
    """Answers the calls of the bot."""

    def __init__(self, workspace: Workspace, *, bot_token: str, app_token: str) -> None:
        self._workspace = workspace
        self._tokens = {bot_token: "bot", app_token: "app"}

    def call(self, name: str, args: Json, token: str, *, status: int = 200) -> Json:
        """Slack's answer, ok or not. Recorded with `status`, which is 0 when the answer will be lost."""
        with self._workspace.change():
            try:
                answer = {"ok": True, **self._answer(name, args, token)}
            except ApiError as error:
                answer = {"ok": False, "error": error.name, **error.more}
            self.record(name, args, status, answer)
        return answer

    def record(self, name: str, args: Json, status: int, answer: Json) -> None:
        """Keeps what was called and answered, without the token."""
        shown = {key: value for key, value in args.items() if key != "token"}
        self._workspace.calls.append(RecordedCall(name, copy_json(shown), status, copy_json(answer)))

    def _answer(self, name: str, args: Json, token: str) -> Json:
        declared = METHODS.get(name)
        if declared is None:
            self._workspace.violations.append(f"{name}: unknown_method")
            raise ApiError("unknown_method", req_method=name)
        if name != "api.test":
            self._check_token(declared, token)
        if declared.caller == "bot" and not declared.per_room:
            for scope in declared.scopes:
                need_scope(self._workspace, scope)
        for unknown in sorted(args.keys() - declared.known):
            self._workspace.violations.append(f"{name}: unknown argument {unknown}")
        if missing := [key for key in declared.required if args.get(key) in (None, "")]:
            self._workspace.violations += [f"{name}: missing argument {key}" for key in missing]
            raise invalid_arguments(*(f"[ERROR] missing required field: {key}" for key in missing))
        return declared.handler(self._workspace, args)

    def _check_token(self, declared: Method, token: str) -> None:
        if not token:
            raise ApiError("not_authed")
        if token not in self._tokens:
            raise ApiError("invalid_auth")
        if self._tokens[token] != declared.caller:
            raise ApiError("not_allowed_token_type")
