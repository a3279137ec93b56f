"""GitHub's door: the client, the webhooks that come in, and what their payloads mean."""
