"""Draw how equilibrium propagation degrades on nodes that settle: with the nudge, asymmetry, noise and impatience.

    python scripts/show_gradient_energies.py --out docs/images/gradient_energies.png

Every point is measured through the shipped boards, wirings and methods, in double precision, against autograd on the
same simulated board. Lines are what theory predicts: errors that fall with the nudge and with its square, scatter of a
sampled machine that falls with the nudge and the root of the reads, and errors of first order in what breaks the
symmetry. Takes about a minute on one core.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes

from pnnlab.methods import AgnosticEquilibriumPropagation, AgnosticEquilibriumPropagationOptions
from pnnlab.systems import CoupledNodes, FloatArray
from scripts.setups.coupled_nodes import batch, cosine_to, distance, estimated, exact_gradient, nodes

_NUDGES = np.geomspace(0.003, 1.0, 9)
_KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "hopfield": ("Hopfield units", {"layers": (4, 6, 3)}),
    "oscillators": ("phase oscillators", {"layers": (4, 6, 3)}),
    "springs": ("springs", {"layers": (4, 4, 3)}),
    "ising": ("Ising machine, T = 1", {"layers": (4, 6, 3)}),
    "spins": ("quantum spins", {"layers": (4, 3, 3), "joining": "all"}),
}
"""How each kind is called and set up."""


def made(kind: str, **options: Any) -> CoupledNodes:
    """Return a system of one kind."""
    settings: dict[str, Any] = {**_KINDS[kind][1], **options}
    return nodes(kind, **settings)


def errors(system: CoupledNodes, **options: Any) -> float:
    """Return the relative error of the gradient of the controls."""
    drawn = batch(system)
    return distance(estimated(system, drawn, **options)[1], exact_gradient(system, *drawn)[1])


def predicted(axes: Axes, x: FloatArray, found: Sequence[float], order: float, at: int = 0) -> None:
    """Draw the power law that theory predicts through one of the points."""
    axes.plot(x, found[at] * (x / x[at]) ** order, color="0.6", lw=1, ls=":", zorder=0)


def draw_nudges(axes: Axes) -> None:
    """Draw errors against the nudge, one-sided and centred."""
    for number, (kind, (label, _)) in enumerate(_KINDS.items()):
        system = made(kind)
        for nudge, style, order in (("one_sided", "o--", 1), ("centred", "s-", 2)):
            found = [errors(system, beta=float(beta), nudge=nudge) for beta in _NUDGES]
            name = label if nudge == "centred" else None
            axes.loglog(_NUDGES, found, style, color=f"C{number}", ms=3, lw=1, label=name)
            predicted(axes, _NUDGES, found, order)
    axes.set(xlabel="nudge β", ylabel="relative error", title="bias: β one-sided (dashed), β² centred", ylim=(1e-8, 10))
    axes.legend(fontsize=7)


def draw_scatter(axes: Axes) -> None:
    """Draw the error of a sampled machine and of counted quantum spins, where bias and scatter meet."""
    betas = np.geomspace(0.03, 3.0, 7)
    for number, (kind, knob, counts) in enumerate((("ising", "reads", (100, 1600)), ("spins", "shots", (400, 6400)))):
        exact = exact_gradient(made(kind), *batch(made(kind)))[1]
        for count, style in zip(counts, ("o--", "s-"), strict=True):
            system = made(kind, **{knob: count, "config": {"largest_nudge": 20.0}})
            found = [
                float(np.mean([distance(estimated(system, batch(system), beta=float(b))[1], exact) for _ in range(4)]))
                for b in betas
            ]
            axes.loglog(betas, found, style, color=f"C{3 + number}", ms=3, lw=1, label=f"{kind}, {count} {knob}")
            predicted(axes, betas, found, -1)
    axes.set(xlabel="nudge β", ylabel="relative error", title="sampled: scatter 1/(β√N), then bias")
    axes.legend(fontsize=7)


def draw_knob(
    axes: Axes, values: FloatArray, cases: Sequence[tuple[str, Callable[[float], CoupledNodes]]], order: float | None
) -> None:
    """Draw the error that no nudge removes against what breaks the symmetry.

    Args:
        axes: Where.
        values: Of the knob.
        cases: Labels, and systems at a value of the knob.
        order: Power that theory predicts for small values, if it does.
    """
    for label, system_at in cases:
        found = [errors(system_at(float(value)), beta=0.003) for value in values]
        axes.loglog(values, found, "o-", ms=3, lw=1, label=label)
        if order is not None:
            predicted(axes, values, found, order)
    axes.set_ylabel("relative error")
    axes.legend(fontsize=7)


def asymmetric(kind: str) -> Callable[[float], CoupledNodes]:
    """Return what makes systems of a kind at an asymmetry."""
    layers = (4, 4, 4, 3)
    return lambda value: made(kind, asymmetry=value, layers=layers, config={"largest_coupling": 0.8})


def draw_softness(axes: Axes) -> None:
    """Draw the error of agnostic equilibrium propagation against the controls' compliance."""
    hard = made("hopfield")
    drawn, compliances = batch(hard), np.geomspace(1e-4, 0.1, 7)
    exact = exact_gradient(hard, *drawn)[1]
    method = AgnosticEquilibriumPropagation(
        AgnosticEquilibriumPropagationOptions(beta=0.003, homeostasis=8, normalise=False)
    )
    found, cosines = [], []
    for compliance in compliances:
        soft = made("hopfield", compliance=float(compliance), config={"compliance": float(compliance)})
        gradient = estimated(soft, drawn, method)[1]
        found.append(distance(gradient, exact))
        cosines.append(1 - cosine_to(gradient, exact))
    axes.loglog(compliances, found, "o-", ms=3, lw=1, label="relative error")
    axes.loglog(compliances, cosines, "s-", ms=3, lw=1, label="1 - cosine")
    predicted(axes, compliances, found, 1)
    axes.set(xlabel="compliance ε of the controls", title="agnostic: first order in ε")
    axes.legend(fontsize=7)


def main() -> None:
    """Measure, draw, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gradient_energies.png"), help="the picture")
    args = parser.parse_args()
    torch.set_num_threads(1)
    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(12.5, 7), layout="constrained")
    draw_nudges(axes[0, 0])
    draw_scatter(axes[0, 1])
    draw_softness(axes[0, 2])
    cases = [(_KINDS[kind][0], asymmetric(kind)) for kind in ("hopfield", "oscillators", "springs")]
    draw_knob(axes[1, 0], np.geomspace(0.01, 0.5, 6), cases, 1)
    axes[1, 0].set(xlabel="relative asymmetry of couplings", title="non-reciprocal: first order, whatever the nudge")
    settling = [
        (_KINDS[kind][0], lambda value, kind=kind: made(kind, settling=value, config={"largest_coupling": 0.5}))
        for kind in ("hopfield", "oscillators", "springs")
    ]
    draw_knob(axes[1, 1], np.geomspace(2, 40, 6), settling, None)
    axes[1, 1].set(xlabel="time to settle", xscale="linear", title="unsettled: falls exponentially")
    spins = [
        ("hurried: switched on in a time of 1 / x", lambda value: made("spins", ramp=1 / value)),
        ("misread with a probability of x", lambda value: made("spins", flip=value)),
    ]
    draw_knob(axes[1, 2], np.geomspace(0.01, 0.3, 6), spins, None)
    axes[1, 2].set(xlabel="x", title="quantum spins: hurried, misread")
    figure.suptitle("Equilibrium propagation on nodes that settle, against autograd (dotted: theory)")
    figure.savefig(args.out, dpi=80)
    print(f"drawn: {args.out}")


if __name__ == "__main__":
    main()
