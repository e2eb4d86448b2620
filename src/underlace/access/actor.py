"""Who asks: a name for the audit, a role, and the tenants it speaks for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """From most to least: each may do less than the one before. A device is none of them: it has its own verbs."""

    ADMIN = "admin"
    """Everything, identity included."""
    OPERATOR = "operator"
    """Reads all, writes the fabric and every tenant's resources; enrols and forgets devices."""
    READER = "reader"
    """Reads all, writes nothing."""
    TENANT = "tenant"
    """A user of its tenants: sees and writes what is theirs, and learns of nothing else."""
    DEVICE = "device"
    """An agent: its own desired state and report, and nothing of intent."""


TOKEN_ROLES = (Role.ADMIN, Role.OPERATOR, Role.READER, Role.TENANT)
"""Roles that a token may carry; a device shows a certificate instead."""


@dataclass(frozen=True, slots=True)
class Actor:
    """One authenticated caller. `tenants` is meaningful for Role.TENANT only; a device's name is the device."""

    name: str
    role: Role
    tenants: frozenset[str] = frozenset()

    @property
    def sees_all(self) -> bool:
        """Whether reading is unlimited: then nothing has to be filtered or hidden."""
        return self.role in (Role.ADMIN, Role.OPERATOR, Role.READER)


CONTROLLER = Actor("underlace", Role.ADMIN)
"""The controller itself: built-in resources, expiry, its own housekeeping."""


def device_actor(device: str) -> Actor:
    """The actor behind a device certificate."""
    return Actor(device, Role.DEVICE)
