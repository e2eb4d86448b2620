"""Use cases: the only writer of intent. Each takes an Actor and decides what it may do."""
