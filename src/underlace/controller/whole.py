"""The whole fabric compiled from nothing, in bounded memory: for a check of what is stored.

    resources, a batch at a time ──compile──► pieces of fragments ──by device──► temporary files
                                                  each file: pieces ──merge, hash──► fragments of some devices

A fragment's facts come from resources far apart, so all of them have to be seen before any fragment is whole; in
memory they would take a gigabyte for each hundred thousand V-Nets.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, Any
from zlib import crc32

from sqlalchemy import Connection

from underlace.compiler import compile_fragments, merged
from underlace.controller.run import Engine
from underlace.model.device import decode_fragment, encode_fragment, hash_fragment
from underlace.model.fact import FragmentKey
from underlace.model.resource import Resource
from underlace.store import rows
from underlace.store.slots import slot_device
from underlace.store.view import StoreView

BATCH = 5_000
"""Resources in memory at once, with all that they read of others."""

PARTS = 64
"""Files: the fragments of one of them are in memory at once."""

_APART = b"\t"


class Pieces:
    """Pieces of fragments by device, in files that are gone when nobody holds them any more."""

    def __init__(self, files: list[IO[bytes]]) -> None:
        self._files = files

    @classmethod
    @contextmanager
    def on_disk(cls) -> Iterator[Pieces]:
        with ExitStack() as stack:
            yield cls([stack.enter_context(tempfile.TemporaryFile()) for _ in range(PARTS)])

    @staticmethod
    def part_of(device: str) -> int:
        return crc32(device.encode()) % PARTS

    def add(self, key: FragmentKey, body: bytes) -> None:
        """body: canonical bytes, which have no line break; empty for a fragment that cannot be."""
        self._files[self.part_of(key.device)].write(
            _APART.join((key.device.encode(), key.scope.encode(), body)) + b"\n"
        )

    def hashes(self, part: int) -> dict[FragmentKey, str]:
        """The hashes of the fragments of a part. What owners disagree about is left out."""
        found: dict[FragmentKey, list[bytes]] = {}
        file = self._files[part]
        file.seek(0)
        for line in file:
            device, scope, body = line.rstrip(b"\n").split(_APART, 2)
            found.setdefault(FragmentKey(device.decode(), scope.decode()), []).append(body)
        whole = {key: _whole(bodies) for key, bodies in found.items()}
        return {key: hash_fragment(body) for key, body in whole.items() if body is not None}


def _whole(bodies: list[bytes]) -> bytes | None:
    if not all(bodies):
        return None
    if len(bodies) == 1:
        return bodies[0]
    objects = merged(item for body in bodies for item in decode_fragment(body))
    return None if objects is None else encode_fragment(objects)


Progress = Callable[[int, int], None]
"""Told how many resources are compiled, of how many."""


def compile_all(engine: Engine, c: Connection, pieces: Pieces, progress: Progress = lambda _, __: None) -> None:
    """Compile every resource into pieces."""
    done, total = 0, rows.total(c)
    for batch in rows.in_batches(c, BATCH):
        progress(done, total)
        done += len(batch)
        # A view remembers what it reads: a new one for each batch.
        view = engine.view(c)
        resources = [view.parse(row) for row in batch]
        _foresee(engine, view, resources)
        compiled = compile_fragments(resources, view)
        for key, fragment in compiled.fragments.items():
            pieces.add(key, fragment.body)
        for key in compiled.broken:
            pieces.add(key, b"")
    progress(done, total)


def _foresee(engine: Engine, view: StoreView, resources: Iterable[Resource[Any]]) -> None:
    """Read what they will ask for in a few statements: one by one that is most of the time."""
    resources = list(resources)
    kinds = engine.kinds
    view.load_common(r.id for r in resources)
    view.load(x.target for r in resources for x in kinds[r.ref.kind].refs(r) if not x.soft)
    view.load_bound(_bound_needs(engine, view, resources))


def _bound_needs(engine: Engine, view: StoreView, resources: Iterable[Resource[Any]]) -> Iterator[tuple[int, str]]:
    for r in resources:
        for need in engine.kinds[r.ref.kind].needs(r, view):
            if slot_device(need.slot) and (owner := view.get(need.owner)) is not None:
                yield owner.id, need.slot
