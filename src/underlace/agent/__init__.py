"""The agent: runs on a device, pulls what it should hold, makes it so, and says what it found.

    controller ──manifest, fragments──► loop ──items──► apply ──changes──► door ──► device
         ▲                               │ ▲                                 │
         └────────── report ─────────────┘ └──────── cache (disk) ◄── confirmed state

Imports the standard library, msgspec and `model`, `diff`, `drivers.protocol`; a driver is loaded by its name.
"""
