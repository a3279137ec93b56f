"""Slack's door: grammar, listeners, conversation, outbox, and every word the bot says."""
