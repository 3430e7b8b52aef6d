"""What a monitor says about itself over its cable."""

from dataclasses import dataclass
from typing import Final

__all__ = ["Edid", "read_edid"]

_HEADER: Final = bytes([0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x00])
_DESCRIPTORS: Final = range(54, 126, 18)
_NAME_TEXT: Final = 0xFC
_SERIAL_TEXT: Final = 0xFF


@dataclass(frozen=True)
class Edid:
    """Identity and native mode of a monitor (VESA Enhanced EDID Standard, release A, revision 2, section 3).

    Attributes:
        vendor: Three letters of the maker.
        model: The monitor's name, or its product code in hexadecimal digits where it has no name.
        serial: The serial number as text, or as a number where there is no text; empty where it has none.
        native: Pixels `(h, w)` of the preferred mode; `None` where there is none.
    """

    vendor: str
    model: str
    serial: str
    native: tuple[int, int] | None

    def mode_flaw(self, shape: tuple[int, int]) -> str:
        """Return why a mode of pixels `(h, w)` is not shown pixel by pixel; empty where it is."""
        if self.native in (None, shape):
            return ""
        height, width = self.native
        return f"has {width} x {height} pixels of its own; set this mode"


def read_edid(block: bytes) -> Edid | None:
    """Return what the first 128 bytes of an EDID say; `None` where they are none, or arrived damaged."""
    if len(block) < 128 or block[:8] != _HEADER or sum(block[:128]) % 256:
        return None
    maker = int.from_bytes(block[8:10], "big")
    vendor = "".join(chr(ord("@") + (maker >> shift & 0x1F)) for shift in (10, 5, 0))
    product, number = int.from_bytes(block[10:12], "little"), int.from_bytes(block[12:16], "little")
    texts = {block[at + 3]: _text(block[at + 5 : at + 18]) for at in _DESCRIPTORS if not any(block[at : at + 3])}
    return Edid(
        vendor if vendor.isalpha() else "",
        texts.get(_NAME_TEXT) or f"{product:04X}",
        texts.get(_SERIAL_TEXT) or (str(number) if number else ""),
        _preferred(block[54:72]),
    )


def _text(field: bytes) -> str:
    """Return a text that a line feed ends; what no screen could show is left out."""
    return "".join(character for character in field.split(b"\n")[0].decode("cp437") if character.isprintable()).strip()


def _preferred(timing: bytes) -> tuple[int, int] | None:
    if not any(timing[:2]):
        return None
    width = timing[2] | (timing[4] >> 4) << 8
    height = timing[5] | (timing[7] >> 4) << 8
    return (height, width) if height and width else None
