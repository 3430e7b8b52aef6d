"""Steps of any method can be profiled: of one whose twin learns along, too."""

from pathlib import Path

from pnnlab.bench import Bench
from pnnlab.training import Recipe, profile, read_recipe

SMALL = Path(__file__).parents[1] / "data" / "small.yaml"


def test_a_method_whose_twin_learns_along_can_be_profiled() -> None:
    with Bench.from_file(SMALL) as bench:
        _, recipe = read_recipe(bench.file)
        changed = Recipe.model_validate(recipe.model_dump() | {"method": "online_physics_aware", "batch": 16})
        assert profile(bench, changed, steps=2).account.wall_s > 0
