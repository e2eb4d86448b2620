"""What an agent loads: the driver, and the door that its settings describe."""

from __future__ import annotations

from collections.abc import Mapping

from underlace.drivers.linux import LinuxDriver
from underlace.drivers.linux.io import LinuxDoor
from underlace.drivers.protocol import Door, Driver


def driver() -> Driver:
    return LinuxDriver()


def door(options: Mapping[str, str]) -> Door:
    """options: parameters of LinuxDoor by name. Raises TypeError for one that it does not take."""
    return LinuxDoor(**options)
