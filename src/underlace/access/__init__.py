"""Who may do what. Pure: an actor and a resource in, a decision out. Every use case asks; a route never decides."""

from underlace.access.actor import CONTROLLER, TOKEN_ROLES, Actor, Role, device_actor
from underlace.access.decision import (
    Decision,
    Use,
    Verb,
    decide,
    decide_use,
    forbidden,
    missing,
    readable,
    refusal,
    unreadable_references,
)

__all__ = [
    "CONTROLLER",
    "TOKEN_ROLES",
    "Actor",
    "Decision",
    "Role",
    "Use",
    "Verb",
    "decide",
    "decide_use",
    "device_actor",
    "forbidden",
    "missing",
    "readable",
    "refusal",
    "unreadable_references",
]
