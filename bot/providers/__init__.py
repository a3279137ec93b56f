"""Providers: what carries out a deployment and reports how it goes. `base.py` is all that one needs to know."""
