"""Namespaces of VRFs, for those who have to find them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.device_ns import DeviceNamespace, missing
from underlace.drivers.linux.namespaces import Namespaces

pytestmark = pytest.mark.contract


def test_frr_reaches_namespaces_of_an_agent_that_hides_its_files() -> None:
    """A service has umask 077; zebra is a user of its own."""
    if reason := missing():
        pytest.skip(reason)
    with DeviceNamespace("leaf1") as device:
        before = os.umask(0o077)
        try:
            held = device.call(Namespaces, None, Path("/run/frr/netns"), Path("/run/netns"))
            device.call(held.create, "vpc-1")
        finally:
            os.umask(before)
        as_frr = ["setpriv", "--reuid=frr", "--regid=frr", "--clear-groups"]
        assert device.run(*as_frr, "stat", "--dereference", "--format=%n", "/run/netns/vpc-1") == "/run/netns/vpc-1\n"
