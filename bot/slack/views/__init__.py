"""Every word the bot says in Slack, and every block it says it in. Nothing else in `bot/` writes either.

Text from outside (refs, reasons, commit messages, descriptions, names) goes into code spans or plain-text
elements, which Slack formats no further, and never into mrkdwn as it is.
https://api.slack.com/reference/block-kit/blocks
"""
