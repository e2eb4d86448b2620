"""Rules of a whole device, which the claims of kinds hold by themselves."""

from __future__ import annotations

import pytest

from underlace.compiler import check_device
from underlace.model.device import AccessPort, DeviceObject, L2Vni, Port, RoutedPort, Vrf

RED = Vrf("red", l3vni=7, rd="10.0.0.1:1")


def test_consistent() -> None:
    objects = [RED, L2Vni(8, "red", "10.0.0.1:2"), Port("swp1"), AccessPort("swp1", 8, "red"), Port("swp2")]
    assert check_device("leaf1", objects) == []


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ([RED, L2Vni(7, "red")], "l2vni 7 and vrf red both hold vni:7"),
        ([RED, L2Vni(8, "red", "10.0.0.1:1")], "both hold rd:10.0.0.1:1"),
        ([RED, Port("swp1"), L2Vni(8), AccessPort("swp1", 8), RoutedPort("swp1", "red")], "both hold port:swp1"),
        ([AccessPort("swp1")], "access-port swp1 stands on port swp1, which is not there"),
        ([L2Vni(8, "red")], "l2vni 8 stands on vrf red, which is not there"),
    ],
)
def test_inconsistent(objects: list[DeviceObject], words: str) -> None:
    (found,) = check_device("leaf1", objects)
    assert found.code == "device-inconsistent"
    assert words in found.detail
    assert check_device("leaf1", objects[::-1]) == [found]
