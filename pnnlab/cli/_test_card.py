"""A pattern that shows where a panel's pixels come out: mirrored, turned, shifted, or on another panel."""

import io
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["test_card"]

Card = npt.NDArray[np.float64]

_LETTER: Final = ("#####", "#....", "#....", "####.", "#....", "#....", "#....")
"""The letter F: it looks like itself in none of its mirrored and turned forms."""


def test_card(shape: tuple[int, int], levels: int, name: str) -> Card:
    """Return a test card.

    One, two, three and four squares lie at the corners, clockwise from the upper left; the first row and column are
    bright; the letter F stands in the middle, the device's name below it, and the lowest rows hold all levels from the
    left to the right.

    Args:
        shape: The panel's pixels as `(h, w)`, at least 16 of both.
        levels: Grey levels of the panel.
        name: The device's name, which is written where there is room for it.

    Returns:
        Levels from 0 to `levels - 1`, shape `(h, w)`.
    """
    h, w = shape
    card = np.zeros(shape)
    unit = max(1, min(h, w) // 24)
    letter = max(1, min(h, w) // 18)
    _put_letter(card, letter, middle=h // 2 if h < 200 else round(0.45 * h))
    for corner, count in (((0, 0), 1), ((0, 1), 2), ((1, 1), 3), ((1, 0), 4)):
        _put_squares(card, corner, count, unit)
    ramp = max(1, h // 12)
    card[h - ramp :] = np.linspace(0, 1, w)
    card[0], card[:, 0] = 1.0, 1.0
    _put_name(card, name, below=round(0.45 * h) + 4 * letter, above=h - ramp - 4 * unit)
    return card * (levels - 1)


def _put_letter(card: Card, unit: int, middle: int) -> None:
    letter = np.kron([[pixel == "#" for pixel in row] for row in _LETTER], np.ones((unit, unit)))
    if letter.shape[0] > card.shape[0] or letter.shape[1] > card.shape[1]:
        return
    top, left = middle - letter.shape[0] // 2, (card.shape[1] - letter.shape[1]) // 2
    card[top : top + letter.shape[0], left : left + letter.shape[1]] = letter


def _put_squares(card: Card, corner: tuple[int, int], count: int, unit: int) -> None:
    """Put squares side by side near a corner; `corner` is 0 or 1 for top and bottom, left and right."""
    h, w = card.shape
    row = 2 * unit if not corner[0] else h - max(1, h // 12) - 2 * unit
    for k in range(count):
        column = 2 * unit * (k + 1) if not corner[1] else w - 2 * unit * (count - k)
        card[row : row + unit, column : column + unit] = 1.0


def _put_name(card: Card, name: str, *, below: int, above: int) -> None:
    """Write the name between two rows; nothing where it would not be readable."""
    from matplotlib.figure import Figure

    (_, w), height = card.shape, above - below
    if height < 10:
        return
    dpi = 100
    points = 72 / dpi * min(0.7 * height, 1.2 * w / len(name))  # a letter is some 0.6 times as wide as high
    figure = Figure(figsize=(w / dpi, height / dpi), dpi=dpi, facecolor="black")
    figure.text(0.5, 0.5, name, color="white", fontsize=points, ha="center", va="center", family="monospace")
    drawn = io.BytesIO()
    figure.savefig(drawn, format="rgba")
    picture = np.frombuffer(drawn.getvalue(), np.uint8).reshape(-1, w, 4)[:height, :, 0] / 255
    card[below : below + len(picture)] = np.maximum(card[below : below + len(picture)], picture)
