"""Training a crossbar in place where its cells' steps up and down differ: what breaks, and what does not."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from pnnlab.devices import SimulatedClock
from pnnlab.physics import fixed_pulses
from scripts.acceptance._row import Finding, Row
from scripts.setups.pulsed_regression import OPTIONS, PulsedRegression, wired_array

__all__ = ["ROWS"]

_STRONG: Final = 0.6


def _error(_: Path, method: str, options: Mapping[str, Any], asymmetry: float, most: float) -> Finding:
    found = PulsedRegression(asymmetry).error(method, options=options)
    return Finding(f"relative error of the weights {found:.3f}", found < most)


def _breaks(_: Path) -> Finding:
    found = PulsedRegression(_STRONG).error("analog_sgd")
    return Finding(f"relative error of the weights {found:.3f}", found > 1)


def _mean_update(_: Path) -> Finding:
    """E[dw] = BL dw_min C^2 x d on the array itself."""
    step, slots, lr, n = 1e-4, 10, 0.02, 2000
    pulses = {"response": "idealized-rasch-2019", "step": step, "step_spread": 0, "low_spread": 0, "high_spread": 0,
              "cycle_std": 0}  # fmt: skip
    system = wired_array("layer", (6, 5), pulses, clock=SimulatedClock(), seed=0)
    system.write(np.full(30, 0.5))
    x, d = torch.linspace(-1, 1, 6)[None].double(), torch.linspace(-0.9, 0.8, 5)[None].double()
    sent = fixed_pulses(
        x.expand(n, -1), d.expand(n, -1), lr=lr, step=1e-2, n_slots=slots,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    system.pulse(sent.rows.numpy(), sent.columns.numpy())
    chance = (lr / (slots * 1e-2)) * (x.T @ d).numpy()
    expected = -n * slots * step * chance
    sigma = step * np.sqrt(n * slots * np.abs(chance) * (1 - np.abs(chance)))
    worst = float((np.abs(system.read_weights() - expected) / np.maximum(sigma, 1e-5)).max())
    return Finding(f"off by {worst:.1f} standard errors at most, of 30 cells", worst < 4)


def _transpose(_: Path) -> Finding:
    pulses = {"response": "ecram-tang-2018"}
    system = wired_array("layer", (32, 16), pulses, clock=SimulatedClock(), seed=0, read_noise=0.01)
    theta = np.random.default_rng(0).random(512)
    forwards = np.stack([system.measure(np.eye(32), theta).y for _ in range(20)])
    backwards = np.stack([system.read_transposed(np.eye(16)) for _ in range(20)])
    noise = np.sqrt((forwards.var(0, ddof=1) + backwards.var(0, ddof=1).T) / 20)
    z = (forwards.mean(0) - backwards.mean(0).T) / noise
    return Finding(f"differences are {float(z.std()):.2f} of their standard errors, rms", float(z.std()) < 1.15)


ROWS = (
    Row("crossbar-mean-update", "E[dw] = BL dw_min C² x d (Gokmen & Vlasov 2016)", "4 standard errors", _mean_update),
    Row("crossbar-transpose", "read from the columns = transpose of that from the rows", "noise alone", _transpose),
    Row("crossbar-sgd-symmetric", "analog SGD, asymmetry 0: 0.17 (10 x 20, 6000 samples)", "< 0.25",
        partial(_error, method="analog_sgd", options={}, asymmetry=0.0, most=0.25), 1.0),
    Row("crossbar-sgd-breaks", "analog SGD, asymmetry 0.6: 1.55", "> 1", _breaks, 1.0),
    Row("crossbar-mixed-precision", "mixed precision, asymmetry 0.3: 0.067", "< 0.25",
        partial(_error, method="mixed_precision", options={}, asymmetry=0.3, most=0.25), 1.0),
    *(
        Row(f"crossbar-tiki-taka-{version}", expected, "< 0.25",
            partial(_error, method="tiki_taka", options=OPTIONS[version], asymmetry=_STRONG, most=0.25), 1.0)
        for version, expected in (
            (1, "Tiki-Taka 1, asymmetry 0.6: 0.140"), (2, "Tiki-Taka 2, asymmetry 0.6: 0.14"),
            (3, "chopped Tiki-Taka, asymmetry 0.6: as version 2"), (4, "AGAD, asymmetry 0.6: as version 2"),
        )
    ),
)  # fmt: skip
