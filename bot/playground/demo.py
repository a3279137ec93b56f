"""`python -m bot demo`: the real bot between a simulated Slack and a simulated GitHub, with a page to play with."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType

from bot.playground.seed import FIRST_COMMAND
from bot.playground.stage import BotFailed, Stage, Stopped

PORT = 7070
LOOK = 0.25  # seconds between two looks at whether the bot still runs


def run(port: int = PORT) -> int:
    """Runs the playground until Ctrl-C, SIGTERM or SIGHUP; then stops the bot and removes all files.

    `port` is where the page is; a taken one is stepped over. Returns the exit code: 0, or 1 when the bot has
    ended by itself or no port was free. Needs the main thread, where Python handles signals.
    """
    stop = threading.Event()

    def asked_to_stop(number: int, frame: FrameType | None) -> None:
        stop.set()

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), asked_to_stop)
    say("Setting up a Slack, a GitHub and the bot between them …")
    try:
        with Stage(port=port, stop=stop) as stage:
            say(
                "",
                f"  The playground is at  {stage.url}",
                "",
                f"  Open it and type      {FIRST_COMMAND}",
                "  then report in progress and success on its GitHub side and watch the card.",
                "",
                "  Ctrl-C ends it; nothing stays behind.",
                "",
            )
            while not stop.wait(LOOK):
                stage.check()
    except Stopped:
        pass
    except BotFailed as error:
        say("", str(error))
        return 1
    except OSError as error:
        say("", f"The playground can't be served on port {port} or the ones after it: {error.strerror}")
        return 1
    say("Stopped.")
    return 0


def say(*lines: str) -> None:
    """Writes lines to the terminal, at once."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
