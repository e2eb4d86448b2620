"""Live queries: what can be asked about devices right now. One file each; `registry.QUERIES` is all of them.

A query says what may be asked (parameters), what comes back (row), and which probe of a device OS answers it. Command
line, REST, access, reference page and metrics follow from that. Pure.
"""
