"""A simulated Slack, a simulated GitHub, and the page to play with them: for the demo and for the tests."""
