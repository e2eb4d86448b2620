"""The device OS of the neutral fabric: the Linux driver, as if it had tagged ports.

The neutral fabric has ten tagged VLANs a port, which the Linux driver refuses (docs/adr/0009). What it refuses is the
capability; everything else is its own work.
"""

from __future__ import annotations

import msgspec

from underlace.drivers.linux import LinuxDriver
from underlace.model.capability import Capabilities


class TaggedLinux(LinuxDriver):
    def capabilities(self, version: str = "") -> Capabilities:
        return msgspec.structs.replace(super().capabilities(version), tagged_ports=True)
