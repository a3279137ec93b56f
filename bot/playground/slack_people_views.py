"""What people do in modals and on the home tab: fill in, choose, search, submit, close."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.playground import slack_payloads as payloads
from bot.playground.slack_api_views import push_view, replace
from bot.playground.slack_blocks import check_options, check_view
from bot.playground.slack_methods import ApiError
from bot.playground.slack_sending import Answer, Outgoing, Sender
from bot.playground.slack_state import Json, Message, Person, Workspace, copy_json

REQUIRED = "Please complete this required field."
Values = Mapping[Any, Any]  # by action_id, by block_id, or by both of them in a pair
QUERY_LENGTH = 3  # letters before Slack asks what a menu offers, unless the menu says another number


class ViewActs:
    """The acts in views. What is held in a view's inputs is kept, as at Slack, until the view is gone."""

    def __init__(self, workspace: Workspace, sender: Sender) -> None:
        self._workspace = workspace
        self._sender = sender
        self._last: Outgoing | None = None

    def open_home(self, user: str, *, tab: str = "home") -> Answer:
        """A person opens the bot's home tab (or its messages)."""
        person = self._workspace.person(user)
        with self._workspace.change():
            room = self._workspace.direct_room([person.id])
            event: Json = {"type": "app_home_opened", "user": person.id, "channel": room.id, "tab": tab}
            if person.id in self._workspace.homes:
                event["view"] = payloads.view_json(self._workspace.homes[person.id])
        return self.send_event(event)

    def send_event(self, event: Mapping[str, Any]) -> Answer:
        """Any other event of the Events API: `event` is its inner part."""
        with self._workspace.lock:
            stamped = {"event_ts": self._workspace.next_ts(), **event}
            payload = payloads.event(self._workspace, stamped)
        return self._send(Outgoing("events_api", payload))

    def fill_view(self, user: str, values: Values, *, view_id: str | None = None) -> None:
        """A person types or chooses in inputs of the top modal, which the bot is not told. See `Values`."""
        with self._workspace.change():
            _hold(self._view(self._workspace.person(user), view_id), values)

    def click_view(
        self,
        user: str,
        action_id: str,
        value: Any = None,
        *,
        block_id: str | None = None,
        view_id: str | None = None,
        values: Values | None = None,
    ) -> Answer:
        """A click or choice in the top modal, or in the view with that id (a home tab, for example).

        `block_id` picks one among several with that action_id. `values` is what stands in its other inputs. Of an
        input the bot is told only when its block has dispatch_action; else the status is 0.
        """
        workspace = self._workspace
        with workspace.change():
            person = workspace.person(user)
            view = self._view(person, view_id)
            _hold(view, values or {})
            blocks = [each for each in view["blocks"] if block_id in (None, each["block_id"])]
            block, element = payloads.find_element(blocks, action_id, value)
            if element["type"] not in payloads.STATELESS:
                held = {"type": element["type"], **payloads.chosen(element, value)}
                view["state"]["values"].setdefault(block["block_id"], {})[action_id] = held
            if block["type"] == "input" and not block.get("dispatch_action"):
                return Answer(0)
            payload = {
                **payloads.interaction(workspace, person, "block_actions"),
                **payloads.on_view(view),
                "trigger_id": workspace.new_trigger(person.id),
                "actions": [payloads.action(workspace, block, element, value)],
            }
        return self._send(Outgoing("interactive", copy_json(payload)))

    def submit_view(self, user: str, values: Values | None = None, *, view_id: str | None = None) -> Answer:
        """A person fills in the top modal and submits it. See `Values`.

        What is not in `values` stays as it was filled in before, or at its initial value. Slack itself refuses a
        form whose required inputs are empty: the bot is not told, and the status is 0. Else the answer's
        response_action is carried out.
        """
        workspace = self._workspace
        with workspace.change():
            person = workspace.person(user)
            view = self._view(person, view_id)
            _hold(view, values or {})
            view.pop("errors", None)
            if missing := payloads.incomplete(view):
                view["errors"] = dict.fromkeys(missing, REQUIRED)
                return Answer(0)
            payload = {
                **payloads.interaction(workspace, person, "view_submission"),
                "trigger_id": workspace.new_trigger(person.id),
                "view": payloads.view_json(view),
                "response_urls": [],
            }
        answer = self._send(Outgoing("interactive", payload))
        if answer.ok:
            with workspace.change():
                self._note_form(answer, "answer to a submission")
                self._act_on_submission(person, view, answer.body if answer.text else {})
        return answer

    def close_view(self, user: str, *, view_id: str | None = None) -> Answer:
        """A person closes the top modal, and all below it when it has clear_on_close.

        The bot is told only when the view asked for it.
        """
        workspace = self._workspace
        with workspace.change():
            person = workspace.person(user)
            view = self._view(person, view_id)
            stack = workspace.modals.get(person.id, [])
            if not any(each is view for each in stack):
                raise LookupError("a home tab can't be closed")
            workspace.modals[person.id] = [] if view["clear_on_close"] else [each for each in stack if each is not view]
            payload = {
                **payloads.interaction(workspace, person, "view_closed"),
                "view": payloads.view_json(view),
                "is_cleared": view["clear_on_close"],
            }
        return self._send(Outgoing("interactive", payload)) if view["notify_on_close"] else Answer(0)

    def block_suggestion(
        self,
        user: str,
        action_id: str,
        query: str,
        *,
        room: str | None = None,
        ts: str | None = None,
        view_id: str | None = None,
    ) -> Answer:
        """A person types into an external_select, of a message (`room` and `ts`) or of a modal.

        Slack does not ask before min_query_length letters are typed, 3 by default: then the status is 0. What
        stands in other inputs of a modal, Slack does not tell here.
        """
        workspace = self._workspace
        with workspace.change():
            person = workspace.person(user)
            if room is not None and ts is not None:
                message = self._visible(person, room, ts)
                blocks = message.all_blocks
                where = payloads.on_message(workspace, person, message, blocks)
                del where["response_url"]
            else:
                view = self._view(person, view_id)
                blocks, where = view["blocks"], payloads.on_view(view)
                where["view"]["state"] = {"values": {}}  # https://github.com/slackapi/java-slack-sdk/issues/1292
            block, element = payloads.find_element(blocks, action_id)
            if not element["type"].endswith("external_select"):
                raise LookupError(f"{action_id!r} offers what it has, and asks nobody")
            if len(query) < element.get("min_query_length", QUERY_LENGTH):
                return Answer(0)
            payload = {
                **payloads.interaction(workspace, person, "block_suggestion"),
                **where,
                "action_id": action_id,
                "block_id": block["block_id"],
                "value": query,
            }
        answer = self._send(Outgoing("interactive", copy_json(payload)))
        if answer.ok:
            with workspace.change():
                self._note_form(answer, "answer to a menu")
                problems = check_options(answer.body)
                workspace.violations += [f"answer to a menu: {problem}" for problem in problems]
        return answer

    # Inside

    def _send(self, outgoing: Outgoing) -> Answer:
        self._last = outgoing
        return self._sender.send(outgoing)

    def _visible(self, person: Person, room: str, ts: str) -> Message:
        message = self._workspace.message(room, ts)
        if message.ephemeral_for not in (None, person.id):
            raise LookupError(f"@{person.name} does not see the message {ts}")
        return message

    def _view(self, person: Person, view_id: str | None) -> Json:
        """The person's view with that id, their top modal for None."""
        stack = self._workspace.modals.get(person.id, [])
        if view_id is None:
            if not stack:
                raise LookupError(f"@{person.name} has no modal open")
            return stack[-1]
        home = self._workspace.homes.get(person.id)
        for view in [*stack, *([home] if home else [])]:
            if view["id"] == view_id:
                return view
        raise LookupError(f"@{person.name} has no view {view_id} open")

    def _note_form(self, answer: Answer, where: str) -> None:
        """Slack reads JSON only where the answer says that it is JSON."""
        kind = answer.headers.get("content-type", "application/json")  # a websocket has no headers
        if answer.text and not kind.startswith("application/json"):
            self._workspace.violations.append(f"{where}: the Content-Type is {kind}, not application/json")

    def _act_on_submission(self, person: Person, view: Json, body: Any) -> None:
        """Carries out the response_action of a submission: clear, update, push or errors; else it closes."""
        workspace = self._workspace
        stack = workspace.modals.setdefault(person.id, [])
        act = body.get("response_action") if isinstance(body, dict) else "?"
        if act is None:
            workspace.modals[person.id] = [each for each in stack if each is not view]
        elif act == "clear":
            stack.clear()
        elif act in ("update", "push"):
            problems = check_view(body.get("view"))
            workspace.violations += [f"answer to a submission: {problem}" for problem in problems]
            if not problems and act == "update":
                replace(workspace, view, body["view"])
            elif not problems:
                try:
                    push_view(workspace, person.id, body["view"])
                except ApiError as error:
                    workspace.violations.append(f"answer to a submission: {error.name}")
        elif act == "errors":
            blocks = {block["block_id"] for block in view["blocks"] if block["type"] == "input"}
            errors = body.get("errors")
            if not isinstance(errors, dict) or not errors or errors.keys() - blocks:
                workspace.violations.append("answer to a submission: errors name no input block of the view")
            elif not all(isinstance(error, str) and error for error in errors.values()):
                workspace.violations.append("answer to a submission: an error must be a text")
            else:
                view["errors"] = copy_json(errors)
        else:
            workspace.violations.append(f"answer to a submission: unknown response_action {act!r}")


def _hold(view: Json, values: Values) -> None:
    """Puts `values` into the view's inputs. Raises LookupError for a name that nothing in it has."""
    known = set()
    for block, element in payloads.stateful(view["blocks"]):
        block_id, action_id = block["block_id"], element["action_id"]
        for name in (block_id, action_id, (block_id, action_id)):
            known.add(name)
            if name in values:
                held = {"type": element["type"], **payloads.filled(element, values[name])}
                view["state"]["values"].setdefault(block_id, {})[action_id] = held
    if unknown := [name for name in values if name not in known]:
        raise LookupError(f"nothing in the view is called {unknown[0]!r}")
