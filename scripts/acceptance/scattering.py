"""Gradients by scattering, and by errors reversed in time, beside autograd through the same simulated physics."""

import statistics
from pathlib import Path

from pnnlab.methods import (
    PhysicalMedia,
    ScatteringBackpropagation,
    ScatteringBackpropagationOptions,
    ScatteringGradient,
    ScatteringGradientOptions,
)
from scripts.acceptance._row import Finding, Row
from scripts.setups import cosine, error, gradients
from scripts.setups.coupled_modes import kerr_for, kerr_modes, resonators
from scripts.setups.wave_media import cavity, delay_line, narma_error

__all__ = ["ROWS"]

_STRENGTHS = (0.01, 0.05, 0.2)
_SHIFTS = (0.06, 0.12, 0.21)


def _exact(_: Path) -> Finding:
    uneven = {"detuning_spread_hz": 3e5, "coupling_spread_hz": 1e5}
    n_trained, found = 12, {}
    for told, reciprocity in (("by reciprocity", True), ("without", False)):
        method = ScatteringGradient(ScatteringGradientOptions(reciprocity=reciprocity))
        ours, exact = gradients(resonators(plant=uneven), method)["controls"]
        for name, part in (("detunings", slice(n_trained)), ("couplings", slice(n_trained, None))):
            found[f"{name} {told}"] = error((ours[part], exact[part]))
    text = ", ".join(f"{name} {value:.0e}" for name, value in found.items())
    return Finding(text, all(value < 1e-6 for value in found.values()))


def _uneven(_: Path) -> Finding:
    medians = [
        statistics.median(
            cosine(gradients(resonators(seed=seed, plant={"nonreciprocity": s}), ScatteringGradient())["controls"])
            for seed in range(12)
        )
        for s in _STRENGTHS
    ]
    near = all(abs(m - e) <= t for m, e, t in zip(medians, (0.9996, 0.98, 0.57), (0.003, 0.04, 0.25), strict=True))
    text = " / ".join(f"{value:.4f}" for value in medians)
    return Finding(f"cosine {text}", near and medians == sorted(medians, reverse=True))


def _kerr(_: Path) -> Finding:
    method, means, worst = ScatteringBackpropagation(ScatteringBackpropagationOptions(nudge=0.01)), [], 1.0
    for shift in (0.0, *_SHIFTS):
        found = []
        for seed in range(6):
            system = kerr_modes(seed=seed, kerr=kerr_for(shift, seed=seed))
            ours, exact = gradients(system, method, batch=1, seed=seed)["controls"]
            found.append(cosine((ours[:10], exact[:10])))
        means.append(statistics.mean(found))
        worst = min(worst, *found)
    expected, allowed = (1.0, 0.996, 0.991, 0.88), (1e-9, 0.01, 0.02, 0.12)
    near = all(abs(m - e) <= t for m, e, t in zip(means, expected, allowed, strict=True))
    text = " / ".join(f"{value:.4f}" for value in means)
    return Finding(f"mean cosine {text}, worst draw {worst:.2f}", near and means == sorted(means, reverse=True))


def _reversed(_: Path) -> Finding:
    found = {
        name: error(gradients(system, PhysicalMedia())["controls"])
        for name, system in (("damped cavity", cavity()), ("delay line", delay_line()))
    }
    blown = error(gradients(cavity(flow=0.02), PhysicalMedia())["controls"])
    text = ", ".join(f"{name} {value:.0e}" for name, value in found.items())
    return Finding(f"{text}; with a flow {blown:.0e}", all(v < 1e-12 for v in found.values()) and blown > 1e-4)


def _narma(_: Path) -> Finding:
    found = narma_error(seed=0)
    return Finding(f"NRMSE {found.reservoir:.3f} (inputs alone {found.inputs:.3f})", found.reservoir < 0.5)


ROWS = (
    Row(
        "scattering-gradient",
        "relative error 6e-10 (detunings), 4e-10 (couplings): 12 lossy modes, two injections",
        "below 1e-6, through converters",
        _exact,
    ),
    Row(
        "scattering-nonreciprocal",
        "cosine 0.9996 / 0.98 / 0.57 at couplings that differ by 0.01 / 0.05 / 0.2 κ in their directions",
        "median of 12 draws within 0.003 / 0.04 / 0.25, and monotone",
        _uneven,
        0.3,
    ),
    Row(
        "scattering-kerr",
        "mean cosine 1.000 / 0.996 / 0.991 / 0.88 at a largest Kerr shift of 0 / 0.06 / 0.12 / 0.21 κ, 10 modes",
        "6 draws, mean within 1e-9 / 0.01 / 0.02 / 0.12, and monotone",
        _kerr,
        0.5,
    ),
    Row(
        "physical-media",
        "equal to backpropagation through time whatever the damping (Hermans et al. 2015, Nat. Commun. 6, 6729)",
        "relative error below 1e-12; above 1e-4 where a flow breaks reciprocity",
        _reversed,
    ),
    Row(
        "delay-reservoir",
        "NARMA-10 by one sin² node with delay and 50 virtual nodes (NRMSE about 0.3 to 0.5 in the literature)",
        "NRMSE below 0.5",
        _narma,
        0.5,
    ),
)
