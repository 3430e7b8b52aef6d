"""Features and regions of cameras, against a made-up camera that is as odd as real ones are."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pnnlab.devices import RegionOfInterest
from pnnlab.errors import DeviceError, SetpointError
from pnnlab_drivers.genicam._features import Bounds, Features, FeatureValue
from pnnlab_drivers.genicam._frame_ids import FrameIds
from pnnlab_drivers.genicam._region import set_region


class Tree:
    """Some features, kept in memory; sizes and offsets limit each other as on a sensor."""

    def __init__(self, **values: Any) -> None:
        self.values: dict[str, Any] = values
        self.steps: dict[str, float] = {}
        self.least: dict[str, float] = {}
        self.sensor = {"Width": 100, "Height": 80}
        self.written: list[str] = []
        self.deaf: dict[str, Any] = {}

    def has(self, name: str) -> bool:
        return name in self.values

    def can_write(self, name: str) -> bool:
        return not name.endswith("Locked")

    def read(self, name: str) -> FeatureValue:
        value: FeatureValue = self.values[name]
        return value

    def write(self, name: str, value: FeatureValue) -> None:
        bounds = self.bounds(name) if not isinstance(value, str | bool) else None
        if bounds is not None and name in ("Width", "Height", "OffsetX", "OffsetY"):
            assert bounds.low <= value <= bounds.high and (value - bounds.low) % bounds.step == 0, (name, value, bounds)
        self.written.append(name)
        self.values[name] = self.deaf.get(name, value)

    def run(self, name: str) -> None:
        self.written.append(name)

    def bounds(self, name: str) -> Bounds:
        size = {"OffsetX": "Width", "OffsetY": "Height"}.get(name, name)
        if size not in self.sensor:
            return Bounds(0.0, 10.0)
        step, least = self.steps.get(name, 1), self.least.get(name, 0)
        other = self.values[size] if name != size else self.values.get(f"Offset{'X' if size == 'Width' else 'Y'}", 0)
        return Bounds(least, least + (self.sensor[size] - other - least) // step * step, step)

    def entries(self, name: str) -> Sequence[str]:
        return {"Mode": ("Off", "On")}.get(name, ())


def test_what_the_camera_does_not_have_is_refused_before_it_is_written() -> None:
    tree = Tree(Mode="Off", Gain=1.0)
    features = Features("camera", tree)
    cases: dict[str, tuple[str, FeatureValue]] = {
        "no feature Nothing": ("Nothing", 1), "Mode 'Maybe' is asked for, the camera has Off, On": ("Mode", "Maybe"),
        "Gain 11 is asked for, the camera allows 0 to 10": ("Gain", 11), "Gain nan is": ("Gain", math.nan),
    }  # fmt: skip
    for message, (name, value) in cases.items():
        with pytest.raises(SetpointError, match=message):
            features.set(name, value)
    features.set_if_there("Nothing", 1)
    features.set_if_there("Mode", "Maybe")
    assert tree.written == []


def test_what_the_camera_takes_without_a_word_and_does_not_do_is_told() -> None:
    tree = Tree(Mode="Off", Gain=1.0)
    tree.deaf = {"Mode": "Off", "Gain": 7.5}
    features = Features("camera", tree)
    with pytest.raises(DeviceError, match=r"Mode 'On' was sent, the camera took it without a word and says 'Off'"):
        features.set("Mode", "On")
    with pytest.raises(DeviceError, match=r"Gain 9 was sent, .* says 7.5"):
        features.set_near("Gain", 9, within=1.0)
    assert features.set_near("Gain", 9, within=2.0) == 7.5


def test_what_is_so_already_is_not_written_and_what_is_locked_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    tree = Tree(Mode="Off", GammaLocked=2.0)
    features = Features("camera", tree)
    features.set("Mode", "Off")
    features.set_if_there("GammaLocked", 1.0)
    assert tree.written == [] and "GammaLocked is 2.0 and cannot be set to 1.0" in caplog.text


@given(st.data())
def test_the_region_that_is_read_holds_the_one_that_is_asked_for(data: st.DataObject) -> None:
    steps = st.sampled_from([1, 2, 4, 16])
    tree = Tree(Width=96, Height=80, OffsetX=0, OffsetY=0)
    tree.steps = {name: data.draw(steps) for name in ("Width", "Height", "OffsetX", "OffsetY")}
    tree.least = {size: data.draw(st.integers(1, 3)) * tree.steps[size] for size in ("Width", "Height")}
    for offset in data.draw(st.sets(st.sampled_from(["OffsetX", "OffsetY"]))):
        del tree.values[offset]  # a camera that only reads from the corner on
    shape = (tree.sensor["Height"], tree.sensor["Width"] // tree.steps["Width"] * tree.steps["Width"])
    top, left = (data.draw(st.integers(0, pixels - 1)) for pixels in shape)
    height, width = (data.draw(st.integers(1, pixels - at)) for pixels, at in zip(shape, (top, left), strict=True))
    asked = RegionOfInterest(top, left, height, width)
    found = set_region(Features("camera", tree), asked, shape)
    assert (found.height, found.width) == (tree.values["Height"], tree.values["Width"])
    assert (found.top, found.left) == (tree.values.get("OffsetY", 0), tree.values.get("OffsetX", 0))
    assert 0 <= found.top <= top and 0 <= found.left <= left
    assert top + height <= found.top + found.height <= shape[0]
    assert left + width <= found.left + found.width <= shape[1]
    assert set_region(Features("camera", tree), found, shape) == found


def test_numbers_of_frames_become_counters_from_zero_on() -> None:
    assert FrameIds.sixteen_bits().counters([65534, 65535, 1, 2, 0]).tolist() == [65533, 65534, 0, 1, -1]
    assert FrameIds.wide().counters([0, 5, 2**64 - 1]).tolist() == [0, 5, -1]
    assert FrameIds.extended().counters([1, 2**62 + 1, 0]).tolist() == [0, 0, -1]
