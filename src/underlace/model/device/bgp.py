"""BGP: routers and their neighbours, in the words of RFC 4271 and FRR."""

from __future__ import annotations

import msgspec

from underlace.model.device.base import DeviceObject, Key

DEFAULT_VRF = "default"
"""The VRF of the underlay: loopbacks and nothing else."""


class Bfd(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 5880 timers in milliseconds."""

    transmit: int = 300
    receive: int = 300
    multiplier: int = 3


class BgpRouter(DeviceObject, frozen=True, tag="bgp-router"):
    """A BGP instance of a VRF.

    networks: prefixes originated. connected: redistribute connected routes of the VRF. aggregates: prefixes
    originated as long as there is a route inside, which stays (RFC 4271 §9.2.2.2). static: so are static routes.
    evpn: "transit" carries EVPN routes (spine), "vtep" originates them too, None has no EVPN.
    """

    vrf: str
    asn: int | None = None
    router_id: str | None = None
    networks: frozenset[str] = frozenset()
    aggregates: frozenset[str] = frozenset()
    connected: bool | None = None
    static: bool | None = None
    evpn: str | None = None
    maximum_paths: int | None = None
    bfd: Bfd | None = None

    @property
    def key(self) -> Key:
        return ("bgp-router", self.vrf)

    @property
    def refs(self) -> frozenset[Key]:
        return frozenset() if self.vrf == DEFAULT_VRF else frozenset({("vrf", self.vrf)})


class BgpNeighbor(DeviceObject, frozen=True, tag="bgp-neighbor"):
    """A session. peer: an interface name (unnumbered, RFC 8950) or an address.

    remote_as: None means any external AS. fabric: an underlay session that carries IPv4 unicast and, where the router
    has it and `evpn` does not deny it, EVPN. export: the only prefixes announced to it (exact match); None announces
    all. refuse: prefixes (and all inside them) never accepted. local_as: the AS shown to the neighbour instead of the
    router's own.
    """

    vrf: str
    peer: str
    port: str | None = None
    fabric: bool | None = None
    remote_as: int | None = None
    local_as: int | None = None
    bfd: bool | None = None
    export: frozenset[str] | None = None
    refuse: frozenset[str] = frozenset()
    maximum_prefixes: int | None = None
    description: str | None = None
    evpn: bool | None = None

    @property
    def key(self) -> Key:
        return ("bgp-neighbor", self.vrf, self.peer)

    @property
    def refs(self) -> frozenset[Key]:
        router: Key = ("bgp-router", self.vrf)
        if self.port is None:
            return frozenset({router})
        return frozenset({router, ("port", self.port) if self.vrf == DEFAULT_VRF else ("routed-port", self.port)})


class EvpnPeer(DeviceObject, frozen=True, tag="evpn-peer"):
    """An EVPN session of the underlay between loopbacks, over any number of hops (multihop eBGP), and nothing else in
    it. source: the own loopback. Next hops pass unchanged: a router whose `evpn` is "transit" is a route server.
    """

    peer: str
    source: str | None = None

    @property
    def key(self) -> Key:
        return ("evpn-peer", self.peer)

    @property
    def refs(self) -> frozenset[Key]:
        return frozenset({("bgp-router", DEFAULT_VRF)})
