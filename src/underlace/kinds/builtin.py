"""What every controller starts with: written through the normal change path when its store is new."""

from __future__ import annotations

from underlace.model.document import Document
from underlace.model.ids import BORDER_VPC, NO_TENANT, SYSTEM_TENANT

BUILTIN: tuple[Document, ...] = (
    Document(
        "tenant", NO_TENANT, SYSTEM_TENANT, {}, {"description": "Owns the border VPC and the fabric's own prefixes."}
    ),
    Document("vpc", SYSTEM_TENANT, BORDER_VPC.name, {}, {"description": "Upstream sessions and public addresses."}),
    Document("profile", NO_TENANT, "default", {}, {}),
)
"""They may be changed, not deleted."""
