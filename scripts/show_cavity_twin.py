"""A learned twin on a record of real physics: the acoustic cavity of Momeni et al. (Science 382, 1297, 2023).

    python scripts/show_cavity_twin.py PATH/acoustic_cavity.npz [--plot twin.png]

9000 shots of a real cavity: amplitudes of 20 tones in, response at 20 tones out. Prints the held-out R² of every output
for linear regression, a plain perceptron and pnnlab's twin (which has a linear shortcut and standardises), same split.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LinearRegression
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pnnlab.twins import FitConfig, Interface, MlpTwinConfig, ShotSet, evaluate, fit, make_twin

TEST = 1500


def load(path: Path) -> tuple[ShotSet, ShotSet]:
    """Return shots to learn from and shots to be judged by, split at random but always the same."""
    with np.load(path) as data:
        inputs, outputs = data["inputs"][1:], data["outputs"][1:]  # row 0 is empty in the record
    order = np.random.default_rng(0).permutation(len(inputs))
    shots = ShotSet((torch.from_numpy(inputs[order]).float(),), torch.from_numpy(outputs[order]).float())
    return shots[slice(TEST, None)], shots[slice(TEST)]


def r2(measured: torch.Tensor, predicted: torch.Tensor) -> torch.Tensor:
    """Return the coefficient of determination of each output."""
    return 1 - (measured - predicted).square().sum(0) / (measured - measured.mean(0)).square().sum(0)


def main() -> None:
    """Fit all three and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    learn, judge = load(args.data)
    x, y = learn.drive[0].numpy(), learn.y.numpy()
    scores = {"linear regression": r2(judge.y, torch.from_numpy(LinearRegression().fit(x, y).predict(judge.drive[0])))}
    perceptron = MLPRegressor(hidden_layer_sizes=(100, 100), random_state=0, early_stopping=True, max_iter=200)
    scaled = make_pipeline(StandardScaler(), perceptron)
    plain = TransformedTargetRegressor(scaled, transformer=StandardScaler()).fit(x, y)
    scores["plain perceptron"] = r2(judge.y, torch.from_numpy(plain.predict(judge.drive[0].numpy())).float())
    interface = Interface(drive_shapes=((x.shape[1],),), output_shape=(y.shape[1],))
    twin = make_twin(MlpTwinConfig(hidden=(256, 256)), interface)
    fit(twin, learn, FitConfig(epochs=80, batch=64, learning_rate=1e-3, patience=15))
    report = evaluate(twin, judge)
    scores["pnnlab twin"] = report.r2
    table = Table(title=f"held-out R² on {len(judge)} of {len(judge) + len(learn)} real shots", title_justify="left")
    table.add_column("output", justify="right")
    for name in scores:
        table.add_column(name, justify="right")
    for k in range(y.shape[1]):
        table.add_row(str(k), *(f"{float(score[k]):.4f}" for score in scores.values()))
    table.add_section()
    table.add_row("mean", *(f"{float(score.mean()):.4f}" for score in scores.values()))
    table.add_row("worst", *(f"{float(score.min()):.4f}" for score in scores.values()))
    Console().print(table)
    if args.plot is not None:
        report.plot(args.plot)


if __name__ == "__main__":
    main()
