"""What the tests of the Aravis driver need."""

import shutil

import numpy as np
import numpy.typing as npt
import pytest

from scripts.peers import picture

__all__ = ["name_of", "needs_aravis"]


def needs_aravis() -> None:
    """Skip where Aravis, or its fake camera, is not installed."""
    gi = pytest.importorskip("gi", reason="PyGObject is not installed: pip install pnnlab[aravis]")
    try:
        gi.require_version("Aravis", "0.8")
    except ValueError:
        pytest.skip("Aravis is not installed: gir1.2-aravis-0.8")
    if shutil.which("arv-fake-gv-camera-0.8") is None:
        pytest.skip("Aravis's fake camera is not installed: aravis-tools")


def name_of(counts: npt.NDArray[np.number]) -> int:
    """Return the number of a frame, modulo 255, as its pixels tell it at the scale 1; -1 if they tell none."""
    first = int(counts[0, 0])
    return first if np.array_equal(counts, picture(first, counts.shape[-2:])) else -1
