"""A comparison of training methods as a page that opens in any browser, with its pictures in it."""

import html
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pnnlab.cli._compare_text import COLUMNS, TITLES, cells, percent
from pnnlab.cli._text import count, duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pnnlab.training import Comparison, Curve, MethodResult

__all__ = ["write_report"]

_COLOURS: Final = (
    "#0b62a4", "#d1495b", "#2e8b57", "#e08e0b", "#7a4fa3", "#00868b", "#8c564b", "#5b6770", "#b5387a", "#6b8e23",
)  # fmt: skip
_STYLE: Final = """
:root { --ink: #1c2733; --soft: #5b6770; --line: #dde3e8; --best: #eef6ee; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink);
  max-width: 62rem; margin: 2.5rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.4rem; }
p.lead { font-size: 1.1rem; } .soft { color: var(--soft); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .93rem; }
th, td { padding: .38rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: 500; } th:first-child, td:first-child { text-align: left; }
tr.best td { background: var(--best); font-weight: 600; } tr.failed td { color: var(--soft); }
td .what { display: block; font-size: .8rem; color: var(--soft); font-weight: 400; white-space: normal; }
figure { margin: 1rem 0; } figure svg { width: 100%; height: auto; }
figcaption { color: var(--soft); font-size: .88rem; }
"""


def write_report(found: "Comparison") -> Path:
    """Write `report.html` and `report.csv` into a comparison's folder; return the page.

    Args:
        found: What the comparison found.
    """
    page = found.path / "report.html"
    page.write_text(_page(found), encoding="utf-8")
    (found.path / "report.csv").write_text(_csv(found), encoding="utf-8")
    return page


def _page(found: "Comparison") -> str:
    parts = [
        f"<h1>Training methods on {html.escape(found.bench)}</h1>",
        f'<p class="soft">recipe {html.escape(found.recipe)}, run {html.escape(found.path.name)}</p>',
        f'<p class="lead">{html.escape(_verdict(found))}</p>',
    ]
    for kind, title in TITLES.items():
        results = found.within(kind)
        if results:
            parts += [f"<h2>At {title} ({html.escape(_allowed(results[0]))})</h2>", _table(results)]
            parts += _pictures(found, results)
    if found.sweeps:
        parts.append(f"<h2>Robustness</h2>{_robustness(found)}")
    parts.append(f'<p class="soft">{_remarks(found)}</p>')
    body = "\n".join(parts)
    head = f"<title>Training methods on {html.escape(found.bench)}</title><style>{_STYLE}</style>"
    return f'<!doctype html><html lang="en"><head><meta charset="utf-8">{head}</head><body>\n{body}\n</body></html>\n'


def _verdict(found: "Comparison") -> str:
    """Say in a sentence or two which method serves the bench best."""
    said = []
    for kind, title in TITLES.items():
        done = [one for one in found.within(kind) if one.accuracy.n]
        if not done:
            continue
        best = done[0]
        said.append(f"At {title}, {best.method} is best with {percent(best.accuracy)}.")
        frugal = [one for one in done if one.shots_to(0.9 * best.accuracy.mean).n == len(one.curves)]
        if frugal:
            first = min(frugal, key=lambda one: one.shots_to(0.9 * best.accuracy.mean).mean)
            needed = count(round(first.shots_to(0.9 * best.accuracy.mean).mean))
            said.append(f"To nine tenths of that {first.method} needs the fewest shots, {needed}.")
        below = [one.method for one in done if one.accuracy.mean < found.linear]
        if below:
            names = "all methods" if len(below) == len(done) else f"{len(below)} of {len(done)} methods"
            said.append(f"A linear classifier on the inputs alone has {100 * found.linear:.1f} %, more than {names}.")
    if found.left:
        said.append(f"{found.left} trainings are not done yet.")
    return " ".join(said) or "No training has come to its end."


def _allowed(result: "MethodResult") -> str:
    shots, time_s = result.budget.shots, result.budget.time_s
    return f"{count(shots)} a training" if shots is not None else f"{duration(time_s or 0.0)} a training"


def _table(results: Sequence["MethodResult"]) -> str:
    best = max((one.accuracy.mean for one in results if one.accuracy.n), default=0.0)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in COLUMNS)
    rows = []
    for place, one in enumerate(results):
        name, *rest = (html.escape(cell) for cell in cells(one, best))
        what = html.escape(one.failures[0].splitlines()[0] if one.failures else one.summary)
        kind = "failed" if not one.accuracy.n else "best" if place == 0 else ""
        told = "".join(f"<td>{cell}</td>" for cell in rest)
        rows.append(f'<tr class="{kind}"><td>{name}<span class="what">{what}</span></td>{told}</tr>')
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _pictures(found: "Comparison", results: Sequence["MethodResult"]) -> list[str]:
    done = [one for one in results if one.accuracy.n]
    if not done:
        return []
    pictures = [
        _figure(lambda axes: _bars(axes[0], done, found.linear), 1, 0.9 + 0.34 * len(done),
                "Test accuracy on the bench: mean and standard deviation over seeds."),
    ]  # fmt: skip
    if any(curve.accuracy for one in done for curve in one.curves):
        pictures.append(
            _figure(lambda axes: _courses(axes, done, found), 2 if found.power_w is None else 3, 4.2,
                    _named("Validation accuracy in the course of training, mean over seeds.", done))
        )  # fmt: skip
    if any(curve.alignment for one in done for curve in one.curves):
        pictures.append(
            _figure(lambda axes: _alignment(axes[0], done), 1, 3.6,
                    _named("Cosine of each method's step with the exact gradient, as simulations tell it.", done))
        )  # fmt: skip
    return pictures


def _robustness(found: "Comparison") -> str:
    """Draw test accuracy against each imperfection's factor."""
    names = list(dict.fromkeys(name for methods in found.sweeps.values() for name in methods))

    def draw(axes: Sequence["Axes"]) -> None:
        for one, (kind, methods) in zip(axes, found.sweeps.items(), strict=True):
            for name, accuracies in methods.items():
                factors = sorted(factor for factor, spread in accuracies.items() if spread.n)
                means = [100 * accuracies[factor].mean for factor in factors]
                errors = [100 * accuracies[factor].std if accuracies[factor].n > 1 else 0.0 for factor in factors]
                line = _line(names.index(name), name)
                one.errorbar(factors, means, errors, marker="o", markersize=4, capsize=2, **line)
            one.axhline(100 * found.linear, color="0.6", linewidth=0.8, linestyle="--", zorder=0)
            one.set(xlabel=f"{kind}, times that of the bench", ylim=(0, 101))
        axes[0].set_ylabel("test accuracy (%)")
        axes[0].legend(frameon=False, fontsize=8)

    caption = "Test accuracy on benches whose imperfections are scaled; every method was trained anew on each."
    return _figure(draw, len(found.sweeps), 4.0, caption)


def _figure(draw: Callable[[Sequence["Axes"]], None], columns: int, height: float, caption: str) -> str:
    from matplotlib.figure import Figure

    figure: Figure = Figure(figsize=(10, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    draw(list(axes))
    text = io.StringIO()
    figure.savefig(text, format="svg")
    svg = text.getvalue()
    return f"<figure>{svg[svg.index('<svg') :]}<figcaption>{html.escape(caption)}</figcaption></figure>"


def _line(place: int, name: str) -> dict[str, Any]:
    """Return colour and label of the first ones; the others are grey and without a name."""
    if place < len(_COLOURS):
        return {"color": _COLOURS[place], "label": name, "zorder": 2}
    return {"color": "0.8", "zorder": 1}


def _named(caption: str, done: Sequence["MethodResult"]) -> str:
    return caption if len(done) <= len(_COLOURS) else f"{caption} The best {len(_COLOURS)} are in colour."


def _bars(axes: "Axes", done: Sequence["MethodResult"], linear: float) -> None:
    for place, one in enumerate(done):
        spread = 100 * one.accuracy.std if one.accuracy.n > 1 else None
        mean = 100 * one.accuracy.mean
        axes.barh(
            place, mean, xerr=spread, color=_line(place, "")["color"], alpha=0.75, height=0.66, error_kw={"lw": 1}
        )
        ink = "white" if place < len(_COLOURS) else "0.3"
        axes.text(1, place, f"{mean:.1f} %", va="center", color=ink, fontsize=9, fontweight="bold")
    axes.axvline(100 * linear, color="0.4", linewidth=1, linestyle="--")
    axes.annotate(
        "linear on the inputs", (100 * linear, -0.75), ha="right", fontsize=8, color="0.4", annotation_clip=False
    )
    axes.set_yticks(range(len(done)), [one.method for one in done])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("test accuracy (%)")


def _courses(axes: Sequence["Axes"], done: Sequence["MethodResult"], found: "Comparison") -> None:
    kinds: list[tuple[str, Callable[[Curve], np.ndarray]]] = [
        ("shots", lambda curve: np.array(curve.shots)),
        ("bench time (s)", lambda curve: np.array(curve.bench_s)),
    ]
    power_w = found.power_w
    if power_w is not None:
        kinds.append(("energy of the devices (J)", lambda curve: power_w * np.array(curve.bench_s)))
    for one, (label, of) in zip(axes, kinds, strict=True):
        for place, result in enumerate(done):
            x, y = _mean_curve(result.curves, of, lambda curve: curve.accuracy)
            if len(x):
                one.plot(x, 100 * y, linewidth=1.6, **_line(place, result.method))
        one.axhline(100 * found.linear, color="0.6", linewidth=0.8, linestyle="--", zorder=0)
        one.set_xlabel(label)
        one.set_ylim(0, 101)
        one.set_xscale("log")
    axes[0].set_ylabel("validation accuracy (%)")
    axes[0].legend(frameon=False, fontsize=8)


def _alignment(axes: "Axes", done: Sequence["MethodResult"]) -> None:
    for place, result in enumerate(done):
        x, y = _mean_curve(result.curves, _progress, lambda curve: curve.alignment)
        if len(x):
            axes.plot(100 * x, y, linewidth=1.4, **_line(place, result.method))
    axes.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    axes.set(xlabel="part of the training (%)", ylabel="cosine with the exact gradient", ylim=(-0.3, 1.05))
    axes.legend(frameon=False, fontsize=8, ncols=3)


def _progress(curve: "Curve") -> np.ndarray:
    """Return at which part of its training a method's step was looked at."""
    return np.arange(len(curve.alignment)) / max(1, len(curve.alignment))


def _mean_curve(
    curves: Sequence["Curve"], of: Callable[["Curve"], np.ndarray], value: Callable[["Curve"], Sequence[float]]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean over seeds, which stand at the same points; as far as all of them reach."""
    kept = [curve for curve in curves if len(value(curve))]
    if not kept:
        return np.empty(0), np.empty(0)
    n = min(len(value(curve)) for curve in kept)
    x = np.mean([of(curve)[:n] for curve in kept], axis=0)
    return x, np.mean([np.array(value(curve))[:n] for curve in kept], axis=0)


def _remarks(found: "Comparison") -> str:
    energy = (
        "Energy is the declared power of all devices times bench time; the host is not in it."
        if found.power_w is not None
        else "No energy is told, because a device of the bench file declares no `power`."
    )
    return (
        "Shots and bench time are those of fitting, training and validation; every method's schedule goes by what it "
        f"may spend. {energy} In-silico methods take no shots but those of validation and fitting."
    )


def _csv(found: "Comparison") -> str:
    lines = ["budget,method,accuracy,accuracy_std,seeds,shots,bench_s,energy_j,alignment"]
    lines += [
        f"{one.budget.kind},{one.method},{one.accuracy.mean:.5f},{one.accuracy.std:.5f},{one.accuracy.n},"
        f"{one.shots.mean:.0f},{one.bench_s.mean:.4g},{one.energy_j.mean:.4g},{one.alignment.mean:.4f}"
        for one in found.results
    ]
    return "\n".join(lines) + "\n"
