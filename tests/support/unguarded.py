"""Give a device on whatever kernel this runs on a fabric, and say as JSON what came of it."""

from __future__ import annotations

import json
import sys

from support.device_ns import DeviceNamespace
from support.linux_models import PORTS, base, red
from underlace.diff.order import ordered
from underlace.drivers.linux import LinuxDriver
from underlace.drivers.linux.io import LinuxDoor


def main() -> None:
    with DeviceNamespace("leaf1") as device:
        for port in PORTS:
            device.add_port(port)
        device.start_frr()
        door: LinuxDoor = device.call(LinuxDoor)
        plan = ordered(device.call(door.read), LinuxDriver().items(base() + red()))
        failures = device.call(door.run, plan)
        links = json.loads(device.run("ip", "-json", "link", "show"))
        up = [link["ifname"] for link in links if link["ifname"] in PORTS and "UP" in link["flags"]]
    json.dump({"refused": [failure._asdict() for failure in failures], "up": up}, sys.stdout)


if __name__ == "__main__":
    main()
