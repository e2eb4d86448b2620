"""Bodies of fragments are stored squeezed, and read for ever."""

from __future__ import annotations

from base64 import b64decode

from hypothesis import given
from hypothesis import strategies as st

from underlace.store.squeeze import DICTIONARY, plain, squeezed

BODY = (
    '[{"type":"l2vni","vni":48096,"vrf":"vpc-44129","rd":"10.240.4.40:19","mtu":9000},'
    '{"type":"vrf","name":"vpc-44129"}]'
)


@given(st.text())
def test_a_body_comes_back_as_it_was(body: str) -> None:
    assert plain(squeezed(body)) == body


def test_what_was_squeezed_once_is_read_for_ever() -> None:
    """A changed dictionary would make every store unreadable."""
    assert plain(b"1" + b64decode("wxFMJhYGlmbIzjIxMTSyRAouIxMDPRM9E6ApIFFs3sdwPMSI2lgA")) == BODY


def test_a_body_takes_much_less() -> None:
    assert len(squeezed(BODY)) < 0.6 * len(BODY)
    assert len(squeezed(DICTIONARY.decode() * 40)) < 0.05 * len(DICTIONARY) * 40
