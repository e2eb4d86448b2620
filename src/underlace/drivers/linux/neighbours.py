"""What zebra must be told of: neighbours that the kernel has known since before zebra knew their V-Net.

zebra 8.4.4 only hears of changes: it does not look at what was there when it started, or when a VXLAN joined its
bridge. A host that talks all the time never changes: it gets no host route, and other leaves that ask for it get no
answer, because the leaf that eats the answer has nothing to learn from it. Stating the entry again is such a change,
and loses no packet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from underlace.drivers.linux import names, programs
from underlace.drivers.linux.namespaces import Namespaces

_LEARNT = frozenset({"REACHABLE", "STALE", "DELAY", "PROBE"})


class Neighbour(msgspec.Struct):
    """An entry of `ip -json neigh`."""

    dst: str = ""
    dev: str = ""
    lladdr: str = ""
    state: tuple[str, ...] = ()
    extern_learn: msgspec.UnsetType | None = msgspec.UNSET
    """Present for what FRR itself has put there."""


_decoder = msgspec.json.Decoder(list[Neighbour])


def decode(said: str) -> list[Neighbour]:
    """Entries in what `ip -json neigh` says. Raises msgspec.DecodeError."""
    return _decoder.decode(said.strip() or "[]")


def restated(said: str) -> Iterator[str]:
    """`ip` commands that state again what the kernel has learnt on gateways. Raises msgspec.DecodeError."""
    for entry in decode(said):
        own = entry.extern_learn is msgspec.UNSET and set(entry.state) <= _LEARNT
        if own and entry.lladdr and names.BRIDGE_PATTERN.fullmatch(entry.dev):
            yield f"neigh replace {entry.dst} lladdr {entry.lladdr} dev {entry.dev} nud stale"


class Neighbours:
    """Tells each new zebra once, and any zebra of the V-Nets that it has just got."""

    def __init__(self, namespaces: Namespaces, run_dir: Path) -> None:
        self._namespaces, self._pidfile = namespaces, run_dir / "zebra.pid"
        self._told = ""

    def restate(self, places: Iterable[str]) -> None:
        """State the neighbours of namespaces again."""
        for place in places:
            with self._namespaces.inside(place):
                lines = "".join(f"{line}\n" for line in restated(programs.ask("ip", "-json", "neigh", "show")))
                if lines:
                    programs.run(["ip", "-force", "-batch", "-"], lines)  # one may vanish meanwhile, others count

    def tell(self, vrfs: Iterable[str]) -> None:
        """Restate everything, once for each zebra that is seen running."""
        zebra = self._zebra()
        if zebra and zebra != self._told:
            self.restate(vrfs)
            self._told = zebra

    def _zebra(self) -> str:
        """Which zebra runs: its pid and when it started."""
        try:
            pid = int(self._pidfile.read_text())
            return f"{pid} {Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[19]}"
        except (OSError, ValueError, IndexError):
            return ""
