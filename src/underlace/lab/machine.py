"""Whether this machine can run a lab for whoever asks, and what to do when it cannot."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from underlace.lab import frr, holder, userns
from underlace.lab.build import MAX_VRFS
from underlace.lab.process import search_path
from underlace.model.diagnostic import Diagnostic, Refused, Where

PROGRAMS = ("ip", "nft", "nsenter", "vtysh", "openssl")

Read = Callable[[str], str | None]
"""A kernel setting by its name as sysctl writes it; None where the kernel has no such setting."""


class Restriction(NamedTuple):
    """A kernel setting, the value that keeps ordinary users from making namespaces, and one that does not."""

    name: str
    forbids: str
    allows: str


RESTRICTIONS = (
    Restriction("user.max_user_namespaces", "0", "15000"),
    Restriction("user.max_net_namespaces", "0", "15000"),
    Restriction("user.max_mnt_namespaces", "0", "15000"),
    Restriction("user.max_uts_namespaces", "0", "15000"),
    Restriction("kernel.unprivileged_userns_clone", "0", "1"),  # Debian and its heirs
    Restriction("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),  # Ubuntu from 23.10 on
)


def setting(name: str, root: Path = Path("/proc/sys")) -> str | None:
    """The value of a kernel setting."""
    try:
        return root.joinpath(*name.split(".")).read_text().strip()
    except OSError:
        return None


def tried() -> str:
    """Why an ordinary user cannot make namespaces here, in the kernel's words; "" when it can."""
    argv = [sys.executable, "-m", "underlace.lab.userns"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    said = done.stderr.strip().splitlines() or [f"the trial ended with {done.returncode}"]
    return "" if done.returncode == 0 else said[-1]


def programs() -> Iterator[Diagnostic]:
    """Programs that a lab needs and this machine lacks."""
    path = search_path(os.environ)
    lacking = [f"the program {name} is missing" for name in PROGRAMS if shutil.which(name, path=path) is None]
    lacking += [f"FRR's {d} is missing" for d in frr.DEVICE_DAEMONS if not Path(frr.directory(), d).exists()]
    if lacking:
        yield Diagnostic(
            Where(),
            "lab-requirements",
            "This machine cannot run a lab as it is",
            "; ".join(lacking),
            remedy="As root: apt-get install frr iproute2 nftables openssl util-linux",
        )


def namespaces(refused: str, read: Read = setting) -> Iterator[Diagnostic]:
    """What keeps an ordinary user from making namespaces.

    refused: what `tried` said. It counts: settings alone prove nothing, as AppArmor lets some programs pass.
    """
    if not refused:
        return
    found = [one for one in RESTRICTIONS if read(one.name) == one.forbids]
    for one in found:
        yield Diagnostic(
            Where(),
            "lab-user-namespaces",
            "A setting of this machine keeps ordinary users from making namespaces",
            f"{one.name} is {one.forbids}: {refused}",
            f"As root: sysctl -w {one.name}={one.allows}; to keep it, put the line {one.name} = {one.allows} "
            "into /etc/sysctl.d/60-underlace-lab.conf. Or run the lab as root.",
        )
    if not found:
        yield Diagnostic(
            Where(),
            "lab-user-namespaces",
            "This machine does not let an ordinary user make namespaces",
            refused,
            remedy="Run the lab as root. In a container, let the container make namespaces: docker and podman run "
            "with --privileged.",
        )


def open_files(limit: int, needed: int) -> Iterator[Diagnostic]:
    """A limit that ends zebra in a lab with as many VRFs as a device may have. Root raises it, nobody else can."""
    if limit < needed:
        yield Diagnostic(
            Where(),
            "lab-open-files",
            "An ordinary user may not open as many files here as a lab needs",
            f"a device of a lab needs {needed} descriptors, the hard limit is {limit}",
            f"As root: put the line `* hard nofile {needed}` into /etc/security/limits.d/underlace-lab.conf, then "
            "log in anew. Or run the lab as root.",
        )


def refuse() -> None:
    """Raises Refused when this machine cannot run a lab for whoever asks."""
    found = list(programs())
    if not found and userns.needed():
        found += namespaces(tried())
        found += open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[1], holder.descriptors(MAX_VRFS))
    if found:
        raise Refused(found)
