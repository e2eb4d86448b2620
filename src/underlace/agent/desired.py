"""What a manifest means on this device: its objects, their native items, and the scope each belongs to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from underlace.drivers.protocol import Driver, Items
from underlace.model.change import Key
from underlace.model.device import DeviceObject, FieldConflict, decode_fragment, hash_fragment, merge_objects
from underlace.model.diagnostic import Diagnostic, Refused, Where
from underlace.model.fact import BASE
from underlace.model.wire import Manifest, manifest_digest


@dataclass(frozen=True, slots=True)
class Desired:
    """A manifest that can be carried out. `objects` by scope."""

    manifest: Manifest
    objects: Mapping[str, tuple[DeviceObject, ...]]
    items: Items
    driver: Driver = field(repr=False)

    @property
    def digest(self) -> str:
        return self.manifest.digest

    def scopes_of(self, keys: Iterable[Key]) -> dict[Key, str]:
        """The scope of each native key, for words to people: the first that yields it by itself, else the base.

        Rendering scope by scope is only done when something is wrong, and a scope that does not render alone is
        passed over: this names places, it decides nothing.
        """
        wanted, found = set(keys), {}
        for scope in sorted(self.objects):
            if not wanted:
                break
            try:
                held = wanted & self.driver.items(self.objects[scope]).keys()
            except Exception:  # noqa: S112 - a part of a model may lack what a driver counts on
                continue
            found.update(dict.fromkeys(held, scope))
            wanted -= held
        return found | {key: _guess(key, self.objects) for key in wanted}


def _guess(key: Key, scopes: Iterable[str]) -> str:
    """The scope of something that no scope yields: the one whose port or VRF the key names, else the base."""
    named = (s for s in sorted(scopes) if s.partition(":")[2] in key)
    return next(named, BASE)


def check_manifest(manifest: Manifest, device: str) -> None:
    """Raise Refused for a manifest of another device, or one whose digest is not that of its scopes."""
    if manifest.device != device:
        wrong = Diagnostic(
            Where(device=device),
            "manifest-of-another-device",
            "A manifest names another device.",
            f"The controller sent {device} the manifest of {manifest.device!r}, revision {manifest.revision}.",
            "Check that the certificate on the device is its own; enrol it again if it is not.",
        )
    elif manifest.digest != manifest_digest(manifest.scopes):
        wrong = Diagnostic(
            Where(device=device),
            "manifest-digest-wrong",
            "A manifest's digest is wrong.",
            f"Revision {manifest.revision} for {device}: {manifest.digest!r} is not the digest of its scopes.",
            "Check that controller and agent are at most one release apart; report it as a bug if they are.",
        )
    else:
        return
    raise Refused([wrong])


def check_bodies(device: str, bodies: Mapping[str, str], asked: Iterable[str]) -> dict[str, bytes]:
    """Fetched fragments as bytes. Raises Refused for one that is missing or is not what its hash says."""
    found, wrong = {}, []
    for name in asked:
        body = bodies.get(name, "").encode()
        if name in bodies and hash_fragment(body) == name:
            found[name] = body
            continue
        what = "was not sent" if name not in bodies else "has other bytes than its hash says"
        wrong.append(
            Diagnostic(
                Where(device=device),
                "fragment-damaged",
                "A fragment cannot be used.",
                f"Fragment {name} for {device} {what}.",
                "Ask for `underlace status`; if the controller's store is damaged, restore it from a backup.",
            )
        )
    if wrong:
        raise Refused(wrong)
    return found


def load(manifest: Manifest, bodies: Mapping[str, bytes], driver: Driver) -> Desired:
    """Everything a manifest asks for. Raises Refused, naming every scope that this agent cannot carry out."""
    objects = _decode(manifest.device, bodies)
    model = _merge(manifest.device, objects)
    try:
        return Desired(manifest, objects, driver.items(model.values()), driver)
    except Exception as bug:
        finding = Diagnostic(
            Where(device=manifest.device),
            "driver-cannot-render",
            "The driver cannot render the desired state.",
            f"Driver {driver.name} cannot render revision {manifest.revision} of {manifest.device}: {bug!r}.",
            "Report it as a bug, with the manifest's fragments. The device keeps its last good state.",
        )
        raise Refused([finding]) from bug


def _decode(device: str, bodies: Mapping[str, bytes]) -> dict[str, tuple[DeviceObject, ...]]:
    objects: dict[str, tuple[DeviceObject, ...]] = {}
    wrong: list[Diagnostic] = []
    for scope, body in sorted(bodies.items()):
        try:
            objects[scope] = decode_fragment(body)
        except msgspec.DecodeError as odd:
            wrong.append(
                Diagnostic(
                    Where(device=device),
                    "fragment-unknown",
                    "A fragment cannot be read.",
                    f"Scope {scope} of {device} holds what this agent does not know: {odd}.",
                    "Install the agent of the controller's release on the device.",
                    related=(scope,),
                )
            )
    if wrong:
        raise Refused(wrong)
    return objects


def _merge(device: str, objects: Mapping[str, Iterable[DeviceObject]]) -> dict[Key, DeviceObject]:
    model: dict[Key, DeviceObject] = {}
    for scope, held in objects.items():
        for one in held:
            try:
                model[one.key] = merge_objects(model[one.key], one) if one.key in model else one
            except FieldConflict as conflict:
                finding = Diagnostic(
                    Where(device=device),
                    "fragments-disagree",
                    "Two fragments of a device disagree.",
                    f"{'/'.join(one.key)} in scope {scope} of {device} disagrees with another scope: {conflict}.",
                    "Report it as a bug: the compiler should have refused this.",
                    related=(scope,),
                )
                raise Refused([finding]) from conflict
    return model
