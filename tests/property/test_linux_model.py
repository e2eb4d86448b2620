"""The Linux driver's two translations agree, and no field of a device object is lost in silence."""

from hypothesis import given, settings
from hypothesis import strategies as st

from support.strategies import OBJECT_TYPES, Model, field_changes, identity, leaves
from underlace.diff.change import changes
from underlace.drivers.linux import LinuxDriver, frr
from underlace.drivers.linux.native import Item

DRIVER = LinuxDriver()


@settings(max_examples=100)
@given(leaves())
def test_items_read_back_as_the_normal_model(model: Model) -> None:
    assert DRIVER.model(DRIVER.items(model.values())) == DRIVER.normalise(model.values())


@settings(max_examples=100)
@given(leaves())
def test_normalising_twice_changes_nothing(model: Model) -> None:
    once = DRIVER.normalise(model.values())
    assert DRIVER.normalise(once.values()) == once
    assert DRIVER.items(once.values()) == DRIVER.items(model.values())


@settings(max_examples=30)
@given(leaves(), st.randoms())
def test_items_do_not_depend_on_the_order_of_objects(model: Model, random) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(model.values())
    random.shuffle(shuffled)
    assert DRIVER.items(shuffled) == DRIVER.items(model.values())
    assert DRIVER.text(DRIVER.items(shuffled)) == DRIVER.text(DRIVER.items(model.values()))


def test_a_changed_field_changes_the_items_or_is_listed() -> None:
    """By the registry: a new type, or a new field of one, cannot slip by."""
    seen: set[tuple[str, str]] = set()

    @settings(max_examples=30)
    @given(leaves(least_vrfs=2))
    def check(model: Model) -> None:
        model = dict(DRIVER.normalise(model.values()))
        before = DRIVER.items(model.values())
        for change in field_changes(model):
            seen.add((change.tag, change.field))
            if (change.tag, change.field) not in DRIVER.not_carried():
                after = DRIVER.items(change.after.values())
                assert changes(before, after), f"{change.tag}.{change.field} is lost"

    check()
    every = {
        (str(kind.__struct_config__.tag), field)
        for kind in OBJECT_TYPES
        for field in kind.__struct_fields__
        if field not in identity(kind)
    }
    assert every - seen - DRIVER.not_carried() == set()


@settings(max_examples=50)
@given(leaves())
def test_keys_are_unique_and_references_lead_somewhere(model: Model) -> None:
    items = DRIVER.items(model.values())
    claimed: dict[str, object] = {}
    for key, item in items.items():
        assert isinstance(item, Item)
        assert item.key == key
        for claim in item.claims:
            shared = claim == frr.UNDERLAY_NEIGHBORS or claim.startswith("mode:")  # of all members of a lag
            assert claim not in claimed or shared, f"{claim} is claimed by {claimed[claim]} and {key}"
            claimed[claim] = key
