"""Names and references: how one resource speaks of another."""

from __future__ import annotations

import re
from typing import NamedTuple

NO_TENANT = "-"
"""The tenant part of a fabric resource's identity: it belongs to no tenant."""

SYSTEM_TENANT = "system"
"""The built-in tenant that owns the border VPC and the fabric's own prefixes."""

NAME_PATTERN = r"[A-Za-z0-9](?:[A-Za-z0-9 ._:@/()+#-]*[A-Za-z0-9.)#+])?"
NAME_MAX = 255
_NAME = re.compile(NAME_PATTERN)
_LABEL_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")


class Ref(NamedTuple):
    """Identity of a resource: (kind, tenant | "-", name). Sorts and hashes by value."""

    kind: str
    tenant: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.tenant}/{self.name}"


def fabric(kind: str, name: str) -> Ref:
    """Reference to a resource that belongs to the fabric, not to a tenant."""
    return Ref(kind, NO_TENANT, name)


def within(kind: str, text: str, tenant: str) -> Ref:
    """Reference as a tenant's spec writes it: `name`, or `tenant/name` across tenants.

    A name may hold slashes of its own only when the tenant is written before it.
    """
    owner, slash, name = text.partition("/")
    return Ref(kind, owner, name) if slash else Ref(kind, tenant, text)


BORDER_VPC = Ref("vpc", SYSTEM_TENANT, "border")
"""The system VPC: upstream sessions, public addresses, hidden V-Nets."""


def is_name(text: str) -> bool:
    """Whether text may name a resource: printable, no control characters, no leading or trailing blank."""
    return len(text) <= NAME_MAX and _NAME.fullmatch(text) is not None


def is_hostname(text: str) -> bool:
    """Whether text may name a device (RFC 1123 host name, lower case, at most 63 characters)."""
    return len(text) <= 63 and _LABEL_NAME.fullmatch(text) is not None
