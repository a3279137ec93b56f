"""The page's endpoints for modals and the home tab of the bot."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.playground.asked import Act, Close, Held, OpenHome, Option, Search, Submit, do, failed, known_person, read
from bot.playground.slack import Answer, SimulatedSlack


class ViewEndpoints:
    """What a person does in views. Bad input is 400, a bot that does not take it 502, both in words."""

    def __init__(self, slack: SimulatedSlack) -> None:
        self._slack = slack
        self.routes = [
            Route("/playground/view/submit", self._submit, methods=["POST"]),
            Route("/playground/view/close", self._close, methods=["POST"]),
            Route("/playground/view/act", self._act, methods=["POST"]),
            Route("/playground/view/options", self._options, methods=["POST"]),
            Route("/playground/home/open", self._open_home, methods=["POST"]),
        ]

    async def _submit(self, request: Request) -> Response:
        sent = await read(request, Submit)
        known_person(sent.user)
        values = _values(sent.values)
        answer = await do(lambda: self._slack.submit_view(sent.user, values, view_id=sent.view))
        if not answer.ok and not self._refused(sent):
            return failed(f"Shipbot did not take the form (HTTP status {answer.status}).", status=502)
        return JSONResponse({"ok": True, "status": answer.status})

    def _refused(self, sent: Submit) -> bool:
        """Whether Slack itself found the form incomplete: then it shows that at its fields."""
        return any(view["id"] == sent.view and view.get("errors") for view in self._slack.views(sent.user))

    async def _close(self, request: Request) -> Response:
        sent = await read(request, Close)
        known_person(sent.user)
        await do(lambda: self._slack.close_view(sent.user, view_id=sent.view))
        return JSONResponse({"ok": True})

    async def _act(self, request: Request) -> Response:
        sent = await read(request, Act)
        known_person(sent.user)
        values = _values(sent.values)
        answer = await do(
            lambda: self._slack.click_view(
                sent.user,
                sent.action_id,
                _chosen(sent.value),
                block_id=sent.block_id,
                view_id=sent.view,
                values=values,
            )
        )
        return _told(answer, "the click")

    async def _options(self, request: Request) -> Response:
        sent = await read(request, Search)
        known_person(sent.user)
        answer = await do(
            lambda: self._slack.block_suggestion(sent.user, sent.action_id, sent.query, view_id=sent.view)
        )
        if not answer.ok or not isinstance(answer.body, dict):
            return failed(f"Shipbot did not say what there is (HTTP status {answer.status}).", status=502)
        groups = answer.body.get("option_groups") or [answer.body]
        return JSONResponse({"options": [each for group in groups for each in group.get("options", [])]})

    async def _open_home(self, request: Request) -> Response:
        sent = await read(request, OpenHome)
        known_person(sent.user)
        return _told(await do(lambda: self._slack.open_home(sent.user)), "that its home was opened")


def _told(answer: Answer, what: str) -> Response:
    if not answer.ok:
        return failed(f"Shipbot did not take {what} (HTTP status {answer.status}).", status=502)
    return JSONResponse({"ok": True, "status": answer.status})


def _values(held: list[Held]) -> dict[tuple[str, str], object]:
    return {(each.block_id, each.action_id): _chosen(each.value) for each in held}


def _chosen(value: str | list[str] | Option | None) -> object:
    return value.json_of() if isinstance(value, Option) else value
