"""`pnnlab devices preview`."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from pnnlab.cli._camera_plot import look_at
from pnnlab.cli._test_card import test_card as make_card


def test_a_camera_is_looked_through(pnnlab, folder: Path) -> None:
    answer = pnnlab("devices", "preview", "camera", "--exposure", "1 ms")
    assert answer.code == 0
    for word in ("SIM-CAM-1", "16 x 16 pixels", "exposed 1 ms", "saturated", "camera-preview.png"):
        assert word in answer.out
    assert imread(folder / "camera-preview.png").std() > 0


def test_a_modulator_shows_its_card(pnnlab, folder: Path) -> None:
    answer = pnnlab("devices", "preview", "slm", "--for", "1 s", "--out", "card.png")
    assert answer.code == 0 and "two at the upper right" in answer.out and "safe state" in answer.err
    assert imread(folder / "card.png").std() > 0


def test_limits_hold_for_cards(pnnlab, edit) -> None:
    edit('range: "0 to 255"', 'range: "10 to 99"')
    assert "levels 10 to 99" in pnnlab("devices", "preview", "slm", "--for", "1 s").out


def test_exposure_limits_hold(pnnlab) -> None:
    answer = pnnlab("devices", "preview", "camera", "--exposure", "1 s")
    assert answer.code == 2 and "nothing was sent" in answer.err


@pytest.mark.parametrize("shape", [(16, 16), (64, 64), (60, 200), (1080, 1920)])
def test_no_mirrored_or_turned_card_looks_like_the_card(shape: tuple[int, int]) -> None:
    card = make_card(shape, 256, "left")
    assert (card.shape, card.min(), card.max()) == (shape, 0.0, 255.0)
    forms = [np.rot90(form, k) for form in (card, card[::-1]) for k in range(4)]
    same = [form for form in forms if form.shape == card.shape and np.array_equal(form, card)]
    assert len(same) == 1
    # what a camera sees blurred, cropped by a border and dimmed still tells the forms apart
    inner = (slice(shape[0] // 16, -shape[0] // 16), slice(shape[1] // 16, -shape[1] // 16))
    alike = [np.corrcoef(form[inner].ravel(), card[inner].ravel())[0, 1] for form in forms if form.shape == card.shape]
    assert sorted(alike)[-2] < 0.9


def test_cards_of_two_panels_differ_by_their_names() -> None:
    left, right = (make_card((200, 300), 256, name) for name in ("left", "right"))
    assert not np.array_equal(left, right)


def test_small_panels_have_a_card() -> None:
    assert make_card((1, 1), 2, "slm").shape == (1, 1)
    assert make_card((5, 4), 2, "slm").shape == (5, 4)


@pytest.mark.parametrize(
    ("counts", "saturated", "advice"),
    [
        ([[0, 10], [20, 30]], 0, "dark"),
        ([[0, 600], [700, 1000]], 0, "well exposed"),
        ([[0, 1023], [1023, 1000]], 2, "too bright"),
    ],
)
def test_saturation_is_counted_and_advice_given(counts: list[list[int]], saturated: int, advice: str) -> None:
    seen = look_at(np.array(counts, np.uint16), 10)
    assert (seen.saturated, seen.top) == (saturated, 1023)
    assert seen.advice.startswith(advice)
    assert seen.histogram.sum() == 4 and seen.sparkline.startswith("0 |")
