import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pnnlab_drivers.display._edid import Edid, read_edid
from tests.drivers.display.edids import make_edid

letters = st.text(string.ascii_uppercase, min_size=3, max_size=3)
texts = st.text(string.ascii_letters + string.digits + "-_ .", max_size=13).map(str.strip)
sides = st.integers(1, 4095)


@given(letters, st.integers(0, 65535), st.integers(0, 2**32 - 1), texts, texts, st.none() | st.tuples(sides, sides))
def test_what_a_block_says_is_read(
    vendor: str, product: int, number: int, name: str, serial: str, native: tuple[int, int] | None
) -> None:
    block = make_edid(vendor, product, number, name=name, serial=serial, native=native)
    expected = Edid(vendor, name or f"{product:04X}", serial or (str(number) if number else ""), native)
    assert read_edid(block) == expected
    assert read_edid(block + bytes(128)) == expected  # an extension follows


@given(st.integers(0, 127), st.integers(1, 255))
def test_a_damaged_block_is_none(at: int, change: int) -> None:
    block = bytearray(make_edid(name="PLUTO", serial="2220-0011", native=(1080, 1920)))
    block[at] = (block[at] + change) % 256
    assert read_edid(bytes(block)) is None


@given(st.binary(max_size=300))
def test_garbage_is_none(block: bytes) -> None:
    assert read_edid(block) is None


@pytest.mark.parametrize("mode", [(1080, 1920), (720, 1280)])
def test_another_mode_than_the_native_one_is_told(mode: tuple[int, int]) -> None:
    edid = read_edid(make_edid(native=(1080, 1920)))
    assert edid is not None
    assert ("1920 x 1080" in edid.mode_flaw(mode)) == (mode != (1080, 1920))


def test_without_a_preferred_mode_any_is_taken() -> None:
    edid = read_edid(make_edid())
    assert edid is not None and edid.mode_flaw((480, 640)) == ""
