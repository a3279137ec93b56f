"""The verbs. Each reads what it needs from GitHub and Slack first, then decides and commits in one transaction.

Nothing here is Slack's or a webhook's: doors call the verbs, workers call them again for what is still to be
done, and every verb may be called twice for the same thing without doing it twice.
"""

from __future__ import annotations

from bot.service.again import Again
from bot.service.burying import Burying
from bot.service.linking import Linking
from bot.service.locking import Locking
from bot.service.previewing import Previewing
from bot.service.redelivering import Redelivering
from bot.service.remembering import Remembering
from bot.service.subscribing import Subscribing
from bot.service.voting import Voting


class Service(Redelivering, Previewing, Again, Voting, Locking, Linking, Remembering, Subscribing, Burying):
    """What can be done with deploys, one file for each kind of verb."""
