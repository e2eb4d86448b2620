"""Keyed diff of two states, and the order in which a device accepts the changes. Pure.

Works on anything with a key, references and claims: device objects (what a plan shows) and a driver's
native items (what an agent applies).
"""
