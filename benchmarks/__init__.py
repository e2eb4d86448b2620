"""Figures of design §10, each beside its comparison: `make bench`."""
