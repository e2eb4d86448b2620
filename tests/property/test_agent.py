"""What holds for every device state, every desired state and every fault: law 5 and hazards 19."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from support.agent_rig import Rig, Scopes, items
from support.memory_door import Faults, Killed, MemoryDriver
from underlace.drivers.protocol import Items
from underlace.model.device import AccessPort, BgpRouter, DeviceObject, L2Vni, Port, Svi, Vrf

VRFS = ("red", "blue", "green")


@contextmanager
def fresh_rig(**settings: object) -> Iterator[Rig]:
    directory = tempfile.mkdtemp()
    try:
        yield Rig(Path(directory), **settings)
    finally:
        shutil.rmtree(directory)


@st.composite
def device_models(draw: st.DrawFn) -> Scopes:
    """Whole models whose objects refer to one another and claim VNIs that move between VRFs."""
    mtu = draw(st.sampled_from([1500, 9000]))
    scopes: dict[str, list[DeviceObject]] = {"base": [Port("swp1", mtu=mtu), Port("swp2")]}
    vnis = draw(st.permutations([100, 200, 300]))
    used = draw(st.lists(st.sampled_from(VRFS), unique=True, max_size=3))
    for name, vni in zip(sorted(used), vnis, strict=False):
        held: list[DeviceObject] = [Vrf(name, l3vni=vni), BgpRouter(name, asn=65000)]
        if draw(st.booleans()):
            held += [L2Vni(vni + 1, vrf=name, mtu=mtu), Svi(vni + 1, vrf=name, addresses=frozenset({"10.0.0.1/24"}))]
        scopes[f"vrf:{name}"] = held
        if (
            draw(st.booleans())
            and len(held) > 2
            and not any("access-port" in str(o.key) for s in scopes.values() for o in s)
        ):
            held.append(AccessPort("swp2", vni=vni + 1, vrf=name))
    return scopes


operations = st.sets(st.integers(0, 30), max_size=3)
faults = st.builds(
    Faults,
    refuse=st.dictionaries(st.integers(0, 30), st.just("% refused"), max_size=3),
    hang=operations,
    silent=st.integers(0, 2),
)


@given(before=device_models(), after=device_models(), kill=st.integers(0, 40), early=st.booleans())
def test_killed_at_any_operation_and_restarted_it_converges(
    before: Scopes, after: Scopes, kill: int, early: bool
) -> None:
    with fresh_rig() as rig:
        rig.settled_on(before)
        rig.controller.want(after)
        at = {rig.door.operations + kill}
        rig.door.faults = Faults(die_before=at) if early else Faults(die=at)
        try:
            rig.turns()
        except Killed:
            rig.door.mend()
            rig.start()
            assert rig.door.state == items(before), "after a restart the confirmed state is back"
            rig.turns()
        assert rig.door.state == rig.door.boot == items(after)
        assert rig.controller.reports[-1].outcome == "held"


@given(before=device_models(), after=device_models(), kills=st.lists(st.integers(0, 12), max_size=2))
def test_killed_again_while_recovering_it_converges(before: Scopes, after: Scopes, kills: list[int]) -> None:
    with fresh_rig() as rig:
        rig.settled_on(before)
        rig.controller.want(after)
        for kill in kills:
            rig.door.faults = Faults(die={rig.door.operations + kill})
            try:
                rig.start().turns()
            except Killed:
                continue
        rig.door.mend()
        rig.start().turns(2)
        assert rig.door.state == rig.door.boot == items(after)


@given(before=device_models(), after=device_models(), kill=st.integers(0, 20))
def test_killed_with_the_controller_gone_the_confirmed_state_comes_back(
    before: Scopes, after: Scopes, kill: int
) -> None:
    with fresh_rig() as rig:
        rig.settled_on(before)
        rig.controller.want(after)
        rig.door.faults = Faults(die={rig.door.operations + kill})
        rig.controller.on_report = _die
        try:
            rig.turns()
        except Killed:
            rig.door.mend()
        rig.controller.on_report = lambda report: None
        rig.controller.reachable = False
        assert rig.door.boot == items(before)
        rig.start().turns(3)
        assert rig.door.state == items(rig_good(rig, before, after))


def rig_good(rig: Rig, before: Scopes, after: Scopes) -> Scopes:
    """Which of two states the agent was told to keep: no operation, no report, no kill, if both are equal."""
    return after if items(before) == items(after) else before


class _Newer(MemoryDriver):
    """Renders every port with a description more."""

    def items(self, objects: Iterable[DeviceObject]) -> Items:
        found = super().items(objects)
        return {k: replace(one, description="ours") if isinstance(one, Port) else one for k, one in found.items()}


@given(before=device_models(), after=device_models(), faults=faults, starts=st.integers(1, 3))
def test_an_agent_of_another_release_changes_nothing_by_itself(
    before: Scopes, after: Scopes, faults: Faults, starts: int
) -> None:
    """Law 10, whatever goes wrong; and a change that fails goes back to what that agent found."""
    with fresh_rig() as rig:
        rig.settled_on(before)
        rig.driver = _Newer()
        rig.door.done.clear()
        for _ in range(starts):
            rig.start().turns(2)
        assert rig.door.done == []
        rig.controller.want(after)
        rig.door.faults = faults
        rig.turns()
        rig.door.mend()
        rig.clock.pass_by(rig.config.read_interval)
        rig.turns(2)
        assert rig.controller.manifest is not None
        kept = rig.controller.reports[-1].digest == rig.controller.manifest.digest and items(before) != items(after)
        assert rig.door.state == (_Newer().items(items(after).values()) if kept else items(before))


def _die(report: object) -> None:
    raise Killed


@given(before=device_models(), after=device_models(), injected=faults, drift=device_models())
def test_revert_restores_bit_for_bit(before: Scopes, after: Scopes, injected: Faults, drift: Scopes) -> None:
    """No confirm comes, whatever the device does meanwhile: afterwards it holds what it held before."""
    with fresh_rig() as rig:
        rig.settled_on(before)
        rig.door.state = dict(items(drift))  # nobody has noticed yet
        rig.controller.confirms = False
        wanted = rig.controller.want(after, confirm_within=2.0)
        start = rig.door.operations
        rig.door.faults = Faults(
            refuse={start + n: words for n, words in injected.refuse.items()},
            hang={start + n for n in injected.hang},
            silent=injected.silent,
        )
        rig.turns()
        rig.door.mend()
        rig.turns(12)
        assert rig.door.state == rig.door.boot == items(before)
        last = rig.controller.reports[-1]
        assert (last.digest, last.outcome in ("held", "reverted")) == (rig.agent.holding.digest, True)
        if items(before) != items(after):
            assert wanted.digest in {report.rejected for report in rig.controller.reports}


@given(found=device_models(), after=device_models(), injected=faults)
def test_first_manifest_that_is_not_confirmed_leaves_the_device_as_found(
    found: Scopes, after: Scopes, injected: Faults
) -> None:
    with fresh_rig() as rig:
        rig.door.state = dict(items(found))
        rig.controller.confirms = False
        rig.controller.want(after, confirm_within=2.0)
        rig.door.faults = Faults(refuse=injected.refuse, hang=injected.hang)
        rig.start().turns()
        rig.door.mend()
        rig.turns(12)
        assert rig.door.state == items(found)
        assert rig.door.boot is None


@given(model=device_models(), turns=st.lists(st.booleans(), max_size=12), restarts=st.sets(st.integers(0, 11)))
def test_controller_gone_and_back_causes_no_operation(model: Scopes, turns: list[bool], restarts: set[int]) -> None:
    with fresh_rig() as rig:
        rig.settled_on(model)
        done = rig.door.operations
        for number, reachable in enumerate(turns):
            rig.controller.reachable = reachable
            if number in restarts:
                rig.start()
            rig.turns()
        rig.controller.reachable = True
        rig.start().turns(2)
        assert rig.door.operations == done
        assert rig.door.saves == 1
        assert rig.controller.reports[-1].outcome == "held"
        assert rig.controller.reports[-1].drift == ()


@given(model=device_models(), drifted=device_models())
def test_drift_is_mended_with_the_controller_gone(model: Scopes, drifted: Scopes) -> None:
    with fresh_rig() as rig:
        rig.settled_on(model)
        rig.controller.reachable = False
        rig.door.state = dict(items(drifted))
        rig.turns(20)
        assert rig.door.state == items(model)
        rig.controller.reachable = True
        rig.turns()
        report = rig.controller.reports[-1]
        assert bool(report.drift) == (items(model) != items(drifted))


@given(models=st.lists(device_models(), min_size=1, max_size=5), injected=faults)
def test_whatever_went_wrong_the_last_manifest_is_reached_in_the_end(models: list[Scopes], injected: Faults) -> None:
    with fresh_rig(retry_rejected=5.0) as rig:
        rig.start()
        rig.door.faults = injected
        for model in models:
            rig.controller.want(model)
            rig.turns(2)
        rig.door.mend()
        rig.turns(60)
        assert rig.door.state == rig.door.boot == items(models[-1])
        assert rig.controller.reports[-1].outcome == "held"
        assert rig.controller.reports[-1].rejected == ""
