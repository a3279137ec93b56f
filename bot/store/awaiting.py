"""Waits for a PostgreSQL that is not there yet: after a reboot, or where both are started at once, it may be later."""

from __future__ import annotations

import time

import psycopg
import structlog
from psycopg import conninfo, pq

from bot.store.engine import Store, shown

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

PATIENCE = 60.0  # seconds
LONGEST_PAUSE = 5.0  # seconds between two looks
ANSWER = 3  # seconds for one; no signal is heard while it is waited for
REASONS = {pq.Ping.REJECT: "it takes no connections yet", pq.Ping.NO_RESPONSE: "it does not answer"}


def await_server(store: Store, patience: float = PATIENCE) -> None:
    """Returns as soon as the server takes connections, and at the latest when patience is at its end.

    What keeps this bot from it then, such as a wrong password, whoever connects is told.
    """
    url = store.engine.url
    options = dict(store.engine.dialect.create_connect_args(url)[1])
    options.pop("context", None)  # is psycopg's own, and not the server's
    try:
        address = conninfo.make_conninfo(**{**options, "connect_timeout": ANSWER}).encode()
    except psycopg.Error:  # an option that there is not
        return
    until = time.monotonic() + patience
    pause = 0.25
    while (ping := pq.PGconn.ping(address)) in REASONS and (left := until - time.monotonic()) > 0:
        pause = min(2 * pause, LONGEST_PAUSE, left)
        log.warning(
            "waiting_for_database", database=shown(url), reason=REASONS[pq.Ping(ping)], seconds_left=round(left)
        )
        time.sleep(pause)
