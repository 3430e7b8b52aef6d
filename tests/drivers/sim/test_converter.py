"""The frozen errors of converters against their data-sheet definitions."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from pnnlab_drivers.sim._converter import Converter


def converter(n_channels: int = 3, *, n_codes: int = 256, **errors: Any) -> Converter:
    return Converter(
        n_channels, low=-1.0, high=1.0, n_codes=n_codes, generator=torch.Generator().manual_seed(0),
        dtype=torch.float64, torch_device=torch.device("cpu"), **errors,
    )  # fmt: skip


def test_a_converter_without_errors_changes_nothing() -> None:
    values = torch.linspace(-2, 2, 99, dtype=torch.float64)[:, None].expand(-1, 3)
    assert torch.equal(converter().distort(values), values)


def test_offsets_and_gains_have_their_spread() -> None:
    n = 4000
    offsets = converter(n, offset=0.3).distort(torch.zeros(n, dtype=torch.float64))
    gains = converter(n, gain=0.02).distort(torch.ones(n, dtype=torch.float64)) - 1
    # the relative standard error of a standard deviation of n normal numbers is 1/sqrt(2 n) = 1.1 %; five of them
    assert float(offsets.std()) == pytest.approx(0.3, rel=5 / math.sqrt(2 * n))
    assert float(gains.std()) == pytest.approx(0.02, rel=5 / math.sqrt(2 * n))


def test_integral_nonlinearity_has_its_size_and_ends_at_the_ends() -> None:
    values = torch.linspace(-1, 1, 513, dtype=torch.float64)[:, None].expand(-1, 8)
    bent = (converter(8, inl_lsb=1.5).distort(values) - values) / (2 / 256)
    assert bent[[0, -1]].abs().max() < 1e-12
    # looked for on another grid than where it was scaled: a sine of four waves is curved by 5e-4 between two points
    torch.testing.assert_close(bent.abs().amax(0), torch.full((8,), 1.5, dtype=torch.float64), rtol=1e-3, atol=0)


def test_differential_nonlinearity_has_its_root_mean_square() -> None:
    codes = torch.as_tensor(converter().nearest(-1 + np.arange(256) * 2 / 256))[:, None].expand(-1, 50)
    steps = torch.diff(converter(50, dnl_lsb=0.25).distort(codes), dim=0) / (2 / 256) - 1
    # 12 750 steps; neighbours share a code, which widens the standard error of 0.6 % by sqrt(1.5); five of them
    assert float((steps**2).mean().sqrt()) == pytest.approx(0.25, rel=0.04)


def test_codes_are_those_of_two_s_complement() -> None:
    plain = converter(n_codes=8)
    np.testing.assert_array_equal(plain.nearest(np.array([-2, -1, -0.126, 0, 0.1, 0.9, 2])),
                                  [-1, -1, -0.25, 0, 0, 0.75, 0.75])  # fmt: skip
