"""Underlace: a controller for the physical network of a private cloud."""

__version__ = "0.1.0"
