"""Slots: what a number is to its owner ("vni"; "rd/leaf1" on a device), and how that is stored."""

from __future__ import annotations


def slot_device(slot: str) -> str:
    """The device that a slot is bound to ("rd/leaf1"), "" for a number that many devices may carry."""
    return slot.partition("/")[2]


def shortened(slot: str, pool: str) -> str:
    """A slot as it is stored: not at all where it is bound to a device and called as its pool is, which most are."""
    return "" if slot == pool and slot_device(slot) else slot


def lengthened(stored: str, pool: str) -> str:
    return stored or pool
