"""Train a deep optical network on handwritten digits: the script to copy.

    python scripts/train_digits.py [--bench instruments.yaml] [--epochs 20]

The forward pass is measured, the backward pass runs through a twin that is first fitted to shots of this very bench.
"""

import argparse
from pathlib import Path

import torch
from torch import nn

from pnnlab.bench import Bench
from pnnlab.nn import ClassBins, PhysicalLayer, Reencode, Spread, interface_of, record_shots
from pnnlab.training import DigitsConfig, evaluate, load_task
from pnnlab.twins import FitConfig, OpticalTwinConfig, ShotSet, fit, make_twin


def main() -> None:
    """Fit the twin, train, test."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=Path("instruments.yaml"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    task = load_task(DigitsConfig())
    x_train, y_train = task.train

    with Bench.from_file(args.bench) as bench:
        optics = bench.systems["optics"]

        # the network: three passes through the same optics, fixed structure between them, nothing digital to train
        design = OpticalTwinConfig(macropixels=(32, 32), outputs=(32, 32), seed=7)
        twin = make_twin(design, interface_of(optics))
        layers = [PhysicalLayer(optics, twin) for _ in range(3)]
        model = nn.Sequential(
            Spread(task.grid, (32, 32)),
            layers[0],
            Reencode(optics.n_in, scale=2),
            layers[1],
            Reencode(optics.n_in, scale=2),
            layers[2],
            ClassBins(optics.n_out, task.n_classes),
        )

        # the twin learns from what the network really visits
        with torch.no_grad(), record_shots(model) as shots:
            for index in torch.randint(len(x_train), (16, 64)):
                model(x_train[index])
        print("twin:", fit(twin, ShotSet.join(shots["optics"]), FitConfig(epochs=20)))
        twin.freeze()

        optimiser = torch.optim.Adam([layer.raw_controls for layer in layers], lr=0.02)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, args.epochs)
        for epoch in range(1, args.epochs + 1):
            for index in torch.randperm(len(x_train)).split(64):
                loss = nn.functional.cross_entropy(model(x_train[index]), y_train[index])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            schedule.step()
            score = evaluate(model, task.validation)
            print(f"epoch {epoch}: validation accuracy {score.accuracy:.3f}, {optics.n_shots} shots")
        print(f"test accuracy on the bench: {evaluate(model, task.test).accuracy:.4f}")


if __name__ == "__main__":
    main()
