"""The last shots of a training are kept, no more and no fewer than asked for by whole batches."""

from pathlib import Path

import torch

from pnnlab.bench import Bench
from pnnlab.nn import RecentShots, record_shots
from pnnlab.training import build_model, build_twins, load_task, read_recipe

SMALL = Path(__file__).parents[1] / "data" / "small.yaml"


def test_the_last_shots_are_kept_and_can_be_put_back() -> None:
    with Bench.from_file(SMALL) as bench, torch.no_grad():
        _, recipe = read_recipe(bench.file)
        task = load_task(recipe.task)
        model = build_model(recipe, task, bench.systems, build_twins(recipe, bench.systems))
        recent = RecentShots(model, capacity=20)
        assert recent.shots() == {}
        with record_shots(model) as every:
            for part in task.train[0][:24].split(8):
                model(part)
        kept, last = recent.shots()["optics"], every["optics"][-3:]  # two layers, 8 shots each: 24 are the least of 20
        assert len(kept) == 24 and torch.equal(kept.y, torch.cat([one.y for one in last]))
        state = recent.state()
        recent.clear()
        assert recent.shots() == {}
        recent.load_state(state)
        assert torch.equal(recent.shots()["optics"].y, kept.y)
        recent.close()
        model(task.train[0][:8])
        assert torch.equal(recent.shots()["optics"].y, kept.y)
