"""The process that brings a database up to date for another one, and ends: stdin says which, stdout what is wrong."""

from __future__ import annotations

import sys

from bot.store.engine import Store, StoreError
from bot.store.migrations import migrate


def main() -> None:
    url = sys.stdin.buffer.read().decode()
    if not url:  # whoever began this was told to stop in that very moment
        return
    store = Store(url)
    try:
        migrate(store)
    except StoreError as error:
        sys.stdout.buffer.write(str(error).encode())
    finally:
        store.close()


if __name__ == "__main__":
    main()
