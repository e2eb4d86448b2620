"""Restarting the routing service: the last resort when a device cannot be reverted (hazards 19)."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

RESTART_SECONDS = 90


def restart(command: Sequence[str]) -> None:
    """Run the configured command. Raises OSError with its words when it fails or takes too long."""
    try:
        done = subprocess.run(
            list(command), capture_output=True, text=True, errors="replace", timeout=RESTART_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as slow:
        raise TimeoutError(f"{' '.join(command)} did not end within {RESTART_SECONDS} s") from slow
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()
        raise OSError(f"{' '.join(command)} ended with {done.returncode}: {words}")
