"""Gradients of twins and bench, compared: as a table and as a picture."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pnnlab.cli._terminal import print_table
from pnnlab.cli._text import count
from pnnlab.errors import RunError

if TYPE_CHECKING:
    from pnnlab.nn import Agreement
    from pnnlab.training import TwinCheck, TwinSearch

__all__ = ["draw_fidelity", "tell_fidelity", "tell_search"]


def tell_fidelity(check: "TwinCheck") -> None:
    """Print a table and what it means."""
    columns = ["layer", "system", "gradient in", "cosine", "norm, twin : bench", "noise : signal", "says"]
    rows = [
        [
            str(one.layer + 1), one.system, one.of, _with_error(one.cosine, one.cosine_error),
            _with_error(one.ratio, one.ratio_error), f"{one.noise:.2f}", _verdict(one),
        ]
        for one in check.found
    ]  # fmt: skip
    print_table(columns, rows, folding=["says"])
    where = f"step {check.step}" if check.step else "the controls that training begins with"
    typer.echo(f"at {where}, with {count(check.shots)} shots")


def draw_fidelity(check: "TwinCheck", path: Path) -> None:
    """Draw cosines and norm ratios with their errors.

    Raises:
        RunError: The picture cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    cosines, ratios = figure.subplots(1, 2)
    for of, colour, shift in (("controls", "C0", -0.08), ("inputs", "C1", 0.08)):
        kept = [one for one in check.found if one.of == of]
        at = [one.layer + 1 + shift for one in kept]
        for axes, name in ((cosines, "cosine"), (ratios, "ratio")):
            values, errors = ([getattr(one, key) for one in kept] for key in (name, f"{name}_error"))
            axes.errorbar(at, values, errors, fmt="o", color=colour, capsize=3, label=f"in {of}")
    layers = sorted({one.layer + 1 for one in check.found})
    for axes, line in ((cosines, 1.0), (ratios, 1.0)):
        axes.axhline(line, color="0.7", linewidth=1, zorder=0)
        axes.set_xticks(layers, [str(layer) for layer in layers])
        axes.set_xlabel("physical layer")
    cosines.axhline(0, color="0.7", linewidth=1, zorder=0)
    cosines.set(ylabel="cosine of twin's and bench's gradient", ylim=(-0.35, 1.1))
    ratios.set(ylabel="norm of the twin's : of the bench's", ylim=(0, None))
    cosines.legend(frameon=False, loc="lower right")
    try:
        figure.savefig(path, dpi=130)
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: the picture cannot be written ({error}); name a file ending in .png") from error


def _with_error(value: float, error: float) -> str:
    return "lost in noise" if math.isnan(value) else f"{value:.3f} ± {error:.3f}"


def _verdict(one: "Agreement") -> str:
    if math.isnan(one.cosine):
        return "the bench's gradient is lost in noise: more samples, or larger steps"
    if one.cosine - 2 * one.cosine_error <= 0:
        return "not told from a random direction: the twin does not help here"
    if one.cosine >= 0.9:
        return "nearly the bench's own gradient"
    return "downhill on the bench" if one.cosine >= 0.3 else "barely downhill on the bench"


def tell_search(search: "TwinSearch") -> None:
    """Print what was tried, and the best as a recipe holds it."""
    columns = ["", "twin", "learning rate", "held-out R²", "gradient's cosine", "fit"]
    rows = [
        [
            "*" if one.best else "",
            _describe(one.config.model_dump()),
            f"{one.learning_rate:.2g}" if one.fit_s else "",
            f"{one.r2:.4f}",
            _with_error(one.cosine, one.cosine_error),
            f"{one.fit_s:.1f} s" if one.fit_s else "as designed",
        ]
        for one in search.candidates
    ]
    print_table(columns, rows, folding=["twin"])
    typer.echo(f"* none is better in both; {count(search.shots)} shots of {search.system}, all candidates together")
    best = next((one for one in search.candidates if one.fit_s), None)
    if best is not None:
        chosen = best.config.model_dump(mode="json", exclude_defaults=True) | {"kind": best.config.kind}
        typer.echo(f"\nthe best fitted one in a recipe:\n  twins: {json.dumps({search.system: chosen})}")
        typer.echo(f"  fit: {{ learning_rate: {best.learning_rate:.2g} }}")


def _describe(config: dict[str, Any]) -> str:
    network = config.get("residual", config)
    hidden = "-".join(str(width) for width in network.get("hidden", ()))
    physics = config["physics"]["kind"] if "physics" in config else ""
    if not hidden:
        return str(config["kind"])
    return f"{physics} + perceptron {hidden}" if physics else f"perceptron {hidden}"
