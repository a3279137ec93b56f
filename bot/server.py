"""`serve`: the process around the bot, from the environment to exit."""

from __future__ import annotations

import contextlib
import gc
import logging
import signal
import sys
from collections.abc import Iterator
from types import FrameType

import structlog
import uvicorn

from bot import logs
from bot.app import Bot
from bot.deploys.clock import SystemClock
from bot.deploys.config import Config
from bot.settings import Settings
from bot.store.engine import Store, only_process
from bot.store.jobs import release_all, release_expired
from bot.store.migrations import migrate

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

TURN = 0.001  # seconds that a thread computes before another gets its turn
GRACE = 2  # seconds for requests under way at the end; each is one insert


class _Server(uvicorn.Server):
    """Uvicorn, ending with 0 when it is told to stop: its own way is to die of the signal once it is done."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        def stop(number: int, _frame: FrameType | None) -> None:
            logging.getLogger(__name__).info("stopping on signal %s", signal.Signals(number).name)
            self.should_exit = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _stopped_early(_number: int, _frame: FrameType | None) -> None:
    """Told to stop while it was still starting: there is nothing to finish."""
    raise SystemExit(0)


def serve(settings: Settings, config: Config) -> None:
    """Runs until SIGTERM or SIGINT. Raises StoreError when the database can't be used."""
    signal.signal(signal.SIGTERM, _stopped_early)
    # The door's loop and the workers' threads share one interpreter; a turn of 5 ms, Python's own measure, is as
    # long as the door takes for twenty requests.
    sys.setswitchinterval(TURN)
    logs.set_up(settings.log_level, settings.secrets())
    release = only_process(settings.database_url)
    store = Store(settings.database_url)
    try:
        migrate(store)
        with store.write() as connection:
            now = SystemClock().now()
            if store.sqlite:  # there is no other process, so whatever is claimed was claimed by one that is gone
                release_all(connection, now)
            else:
                release_expired(connection, now)
        bot = Bot(settings, config, store)
        gc.collect()
        gc.freeze()  # the program itself is no garbage; looking through it again and again costs a tenth of the time
        gc.set_threshold(20_000, 50, 100)  # a request leaves no cycles behind, so they are looked for more rarely
        server = _Server(
            uvicorn.Config(
                bot,
                host=settings.host,
                port=settings.port,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # nobody reads who the client is: what counts is signed
                lifespan="on",
                ws="none",  # an Upgrade is passed over, not answered with 500
                timeout_graceful_shutdown=GRACE,
            )
        )
        server.run()
        if not server.started:
            raise SystemExit(1)
        log.info("stopped")
    finally:
        store.close()
        release()
