"""Shipbot: `/deploy` in Slack makes a GitHub deployment, and its progress comes back to the room."""

__version__ = "0.1.0"
