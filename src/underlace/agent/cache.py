"""The agent's memory across restarts and reboots: what it was told to hold, and what of that is confirmed.

    good.json        manifest of the last confirmed state
    candidate.json   manifest being applied or waiting for its confirmation; gone once that is decided
    rejected.json    digest of the manifest that was given up
    rendered.json    what the confirmed state was rendered to, and in which life of the device
    saved.json       digest of the manifest that the boot files hold
    good.txt         the confirmed native configuration, for a person on a device without its controller
    fragments/HASH   fragments, each named by the hash of its bytes

Every file but good.txt proves itself: JSON files begin with the SHA-256 of the rest, a fragment is its name's hash.
What fails the proof is moved aside with a diagnostic; it is never used and never stops the agent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from underlace.agent.files import ASIDE, remove_file, write_file, write_files
from underlace.model.device import hash_fragment
from underlace.model.diagnostic import Diagnostic, Severity, Where
from underlace.model.wire import Manifest

CORRUPT = ".corrupt"

T = TypeVar("T")


class Candidate(msgspec.Struct, frozen=True):
    """A manifest on its way. tries: how often an apply of it was begun without being decided."""

    manifest: Manifest
    tries: int = 1


class Rejected(msgspec.Struct, frozen=True):
    """A manifest that was given up `times` times in a row."""

    digest: str
    times: int = 1


class Rendered(msgspec.Struct, frozen=True):
    """digest: of the native items that a state was rendered to. life: of the device in which they were put there."""

    digest: str
    life: str


class Kept(NamedTuple):
    """A manifest with its fragments' bytes, by scope."""

    manifest: Manifest
    bodies: Mapping[str, bytes]


class Cache:
    """Files under one directory. Reading never raises; writing raises OSError."""

    def __init__(self, directory: Path, device: str) -> None:
        self._directory, self._device = directory, device
        self._fragments = directory / "fragments"
        self.found: list[Diagnostic] = []
        """What was wrong with files since somebody last took note."""

    def open(self) -> None:
        """Make the directories and clear what a crash left half written."""
        self._fragments.mkdir(mode=0o700, parents=True, exist_ok=True)
        for place in (self._directory, self._fragments):
            for left in place.glob("*" + ASIDE):
                left.unlink(missing_ok=True)

    def good(self) -> Kept | None:
        """The last confirmed state; None when there is none or any part of it is damaged."""
        manifest = self._read("good.json", Manifest)
        if manifest is None:
            return None
        bodies = self.bodies(manifest)
        return None if bodies is None else Kept(manifest, bodies)

    def candidate(self) -> Candidate | None:
        return self._read("candidate.json", Candidate)

    def rejected(self) -> Rejected | None:
        return self._read("rejected.json", Rejected)

    def saved(self) -> str:
        """Digest of the manifest that boot files were written for, "" for none."""
        return self._read("saved.json", str) or ""

    def rendered(self) -> Rendered | None:
        """What the last confirmed state was rendered to, by the agent that confirmed it."""
        return self._read("rendered.json", Rendered)

    def lacking(self, hashes: Iterable[str]) -> list[str]:
        """Hashes of fragments that are not here, or are damaged; sorted."""
        return sorted(h for h in set(hashes) if self._fragment(h) is None)

    def bodies(self, manifest: Manifest) -> dict[str, bytes] | None:
        """The fragments of a manifest by scope, or None when one is missing or damaged."""
        found: dict[str, bytes] = {}
        for scope, name in manifest.scopes.items():
            body = self._fragment(name)
            if body is None:
                return None
            found[scope] = body
        return found

    def add(self, bodies: Mapping[str, bytes]) -> None:
        """Keep fragments by hash; the caller has checked that each body has its hash."""
        write_files(self._fragments, bodies, mode=0o600)

    def begin(self, candidate: Candidate) -> None:
        self._write("candidate.json", candidate)

    def keep(self, manifest: Manifest, text: Iterable[str]) -> None:
        """The manifest is confirmed: from now on a restart brings back this one."""
        self._write("good.json", manifest)
        self.drop_candidate()
        with suppress(OSError):  # for people only; the next state writes it anew
            write_file(self._directory / "good.txt", "".join(f"{line}\n" for line in text).encode(), mode=0o600)
        self._prune(frozenset(manifest.scopes.values()))

    def mark_rendered(self, rendered: Rendered) -> None:
        self._write("rendered.json", rendered)

    def drop_candidate(self) -> None:
        remove_file(self._directory / "candidate.json")

    def reject(self, rejected: Rejected | None) -> None:
        if rejected is None:
            remove_file(self._directory / "rejected.json")
        else:
            self._write("rejected.json", rejected)

    def mark_saved(self, digest: str) -> None:
        self._write("saved.json", digest)

    def _prune(self, needed: frozenset[str]) -> None:
        """Drop fragments that the confirmed state does not name; a damaged one was kept for a person until now."""
        for path in self._fragments.iterdir():
            if path.name not in needed:
                with suppress(OSError):
                    path.unlink()

    def _fragment(self, name: str) -> bytes | None:
        if not _is_hash(name):
            return None
        path = self._fragments / name
        try:
            body = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as unreadable:
            self._set_aside(path, str(unreadable))
            return None
        if hash_fragment(body) == name:
            return body
        self._set_aside(path, "its bytes do not have the hash in its name")
        return None

    def _write(self, name: str, value: object) -> None:
        body = msgspec.json.encode(value)
        write_file(self._directory / name, _seal(body) + b"\n" + body, mode=0o600)

    def _read(self, name: str, kind: type[T]) -> T | None:
        path = self._directory / name
        try:
            seal, _, body = path.read_bytes().partition(b"\n")
            if seal != _seal(body):
                raise ValueError("its bytes do not have the hash in its first line")
            return msgspec.json.decode(body, type=kind)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as damaged:  # msgspec's errors are ValueErrors
            self._set_aside(path, str(damaged))
            return None

    def _set_aside(self, path: Path, why: str) -> None:
        with suppress(OSError):
            path.replace(path.with_name(path.name + CORRUPT))
        self.found.append(
            Diagnostic(
                Where(file=str(path), device=self._device),
                "agent-cache-damaged",
                "A file of the agent's cache is damaged and was set aside.",
                f"{path} on {self._device} is not used: {why}.",
                "Check the device's disk. The agent fetches what it lacks from the controller; "
                "until then it leaves the device as it is.",
                Severity.WARNING,
            )
        )


def _seal(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


def _is_hash(name: str) -> bool:
    """A name from outside becomes a file name only when it can be nothing else than a hash."""
    return len(name) == 64 and not set(name) - set("0123456789abcdef")
