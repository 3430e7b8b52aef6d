"""EDID blocks, made by the standard."""

HEADER = bytes([0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x00])


def make_edid(
    vendor: str = "HOL", product: int = 0x1234, number: int = 0, *, name: str = "", serial: str = "",
    native: tuple[int, int] | None = None,
) -> bytes:  # fmt: skip
    """Return a block of 128 bytes (VESA Enhanced EDID Standard, release A, revision 2, section 3)."""
    packed = 0
    for letter in vendor:
        packed = packed << 5 | ord(letter) - ord("@")
    head = HEADER + packed.to_bytes(2, "big") + product.to_bytes(2, "little") + number.to_bytes(4, "little")
    descriptors = [_timing(native) if native else bytes(18)]
    descriptors += [_text(0xFC, name), _text(0xFF, serial), _text(0x10, "")]
    block = head.ljust(54, b"\0") + b"".join(descriptors) + b"\0"
    return block + bytes([-sum(block) % 256])


def _timing(native: tuple[int, int]) -> bytes:
    height, width = native
    timing = bytearray(18)
    timing[0:2] = (14850).to_bytes(2, "little")
    timing[2], timing[4] = width & 0xFF, width >> 8 << 4
    timing[5], timing[7] = height & 0xFF, height >> 8 << 4
    return bytes(timing)


def _text(kind: int, text: str) -> bytes:
    content = text.encode("cp437")
    if 0 < len(content) < 13:
        content += b"\n"
    return bytes([0, 0, 0, kind if text else 0x10, 0]) + content.ljust(13, b" ")
