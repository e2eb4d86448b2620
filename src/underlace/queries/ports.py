"""Ports of devices: admin and oper state, carrier, errors, MTU and speed."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from underlace.queries.base import Metric, Parameters, Query, Row


class Asked(Parameters, frozen=True):
    port: Annotated[str, Meta(description="Only this port or lag.", pattern=r"^[a-z0-9._-]{0,15}$")] = ""


class Port(Row, frozen=True):
    port: Annotated[str, Meta(description="The port, a lag, or a VLAN of one (`swp5.100`).")]
    vrf: Annotated[str, Meta(description="The VRF that it is in; `default` is the underlay.")]
    admin: Annotated[str, Meta(description="`up` or `down`: what it is told.")]
    oper: Annotated[str, Meta(description="`up` or `down`: whether it carries frames.")]
    mtu: Annotated[int, Meta(description="Bytes of a packet.")]
    speed: Annotated[int, Meta(description="Mbit/s, 0 when unknown.")]
    carrier_changes: Annotated[int, Meta(description="How often the carrier came or went.")]
    rx_bytes: Annotated[int, Meta(description="Bytes received.")]
    tx_bytes: Annotated[int, Meta(description="Bytes sent.")]
    rx_packets: Annotated[int, Meta(description="Packets received.")]
    tx_packets: Annotated[int, Meta(description="Packets sent.")]
    rx_errors: Annotated[int, Meta(description="Frames received broken.")]
    tx_errors: Annotated[int, Meta(description="Frames that could not be sent.")]
    rx_dropped: Annotated[int, Meta(description="Packets received and dropped.")]
    tx_dropped: Annotated[int, Meta(description="Packets dropped before they were sent.")]


LABELS = ("port",)

QUERY = Query(
    name="ports",
    summary="Ports: admin and oper state, carrier changes, errors, MTU, speed.",
    row=Port,
    parameters=Asked,
    metrics=(
        Metric("node_network_up", "Whether the port carries frames.", "oper", LABELS, values={"up": 1}),
        Metric("node_network_mtu_bytes", "MTU of the port.", "mtu", LABELS),
        Metric(
            "node_network_carrier_changes_total",
            "How often the carrier changed.",
            "carrier_changes",
            LABELS,
            "counter",
        ),
        Metric("node_network_receive_bytes_total", "Bytes received.", "rx_bytes", LABELS, "counter"),
        Metric("node_network_transmit_bytes_total", "Bytes sent.", "tx_bytes", LABELS, "counter"),
        Metric("node_network_receive_packets_total", "Packets received.", "rx_packets", LABELS, "counter"),
        Metric("node_network_transmit_packets_total", "Packets sent.", "tx_packets", LABELS, "counter"),
        Metric("node_network_receive_errs_total", "Frames received broken.", "rx_errors", LABELS, "counter"),
        Metric("node_network_transmit_errs_total", "Frames not sent.", "tx_errors", LABELS, "counter"),
        Metric("node_network_receive_drop_total", "Packets dropped on receipt.", "rx_dropped", LABELS, "counter"),
        Metric("node_network_transmit_drop_total", "Packets dropped on sending.", "tx_dropped", LABELS, "counter"),
    ),
)
