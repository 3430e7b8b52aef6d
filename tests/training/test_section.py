"""The section `training` of a bench file."""

from pathlib import Path

import pytest

from pnnlab.bench import BenchFile, Document
from pnnlab.errors import RunError
from pnnlab.training import bench_file_schema, change_recipe, check_recipes

BENCH = """
bench: { name: small-table, clock: simulated }
plants:
  table:
    driver: pnnlab_drivers.sim.optical_table:OpticalTable
    options: { medium: { kind: transmission-matrix, input_modes: [8, 8], output_modes: [8, 8] } }
devices:
  slm: { driver: "pnnlab_drivers.sim.slm:SimSlm", plant: table, options: { shape: [8, 8] } }
  camera: { driver: "pnnlab_drivers.sim.camera:SimCamera", plant: table, options: { sensor: [8, 8] } }
systems:
  optics:
    kind: slm-camera
    slm: slm
    camera: camera
    exposure: "2 ms"
    encoder: { macropixels: [8, 8] }
    decoder: { bins: [8, 8] }
training:
  first:
    network: { layers: [optics] }
    twins: { optics: { kind: mlp } }
    epochs: 3
  second:
    network: { layers: [optics, optics] }
    twins: { optics: { kind: mlp } }
    fit: { shots: 64 }
"""


@pytest.fixture
def file(tmp_path: Path) -> BenchFile:
    path = tmp_path / "instruments.yaml"
    path.write_text(BENCH, encoding="utf-8")
    return BenchFile.load(path)


def told(text: str) -> list[str]:
    """Return the places of the problems with recipes, on a bench that has the system `optics`."""
    document = Document(f"systems: {{ optics: {{}} }}\ntraining:\n  {text}\n", file="bench")
    return [f"{problem.key}: {problem.found}" for problem in check_recipes(document)]


def test_sound_recipes_have_no_problems(file: BenchFile) -> None:
    assert check_recipes(file.document) == []


def test_a_bench_need_not_train() -> None:
    assert check_recipes(Document("systems: {}", file="bench")) == []


TWIN = "twins: { optics: { kind: mlp } }"
PROBLEMS = {
    "no mapping": ("[1, 2]", ["training: the section is no mapping"]),
    "no twin": (
        "a: { network: { layers: [optics] } }",
        ["training.a.twins: the method 'physics_aware' needs a twin of 'optics'"],
    ),
    "no system": (
        f"a: {{ network: {{ layers: [optics, optix] }}, {TWIN} }}",
        ["training.a.network.layers[1]: no system is named 'optix'"],
    ),
    "twin of nothing": (
        "a: { network: { layers: [optics] }, twins: { optics: { kind: mlp }, optix: { kind: mlp } } }",
        ["training.a.twins.optix: no system is named 'optix'"],
    ),
    "names are checked where other keys are wrong": (
        f"a: {{ network: {{ layers: [optix] }}, {TWIN}, epochs: 0, method: magic }}",
        [
            "training.a.epochs: 0 is too small",
            "training.a.method: no method is named 'magic'",
            "training.a.network.layers[0]: no system is named 'optix'",
        ],
    ),
    "every recipe is checked": (
        f"{{ a: {{ network: {{ layers: [optics] }}, {TWIN}, seed: -1 }}, b: 7 }}",
        ["training.a.seed: -1 is too small", "training.b: 7 is no mapping"],
    ),
}


@pytest.mark.parametrize(("text", "problems"), PROBLEMS.values(), ids=PROBLEMS)
def test_problems_name_key_and_value(text: str, problems: list[str]) -> None:
    assert told(text) == problems


def test_changes_reach_deep_and_make_what_was_left_out(file: BenchFile) -> None:
    changes = {"epochs": 7, "fit.shots": 128, "network.readout_gain": 1e-05, "twins.optics": {"kind": "mlp", "seed": 3}}
    name, recipe = change_recipe(file, None, changes)
    assert name == "first"
    assert (recipe.epochs, recipe.network.readout_gain, recipe.network.layers) == (7, 1e-05, ("optics",))
    assert recipe.fit is not None
    assert recipe.fit.shots == 128
    # the file's own recipe is as before
    assert change_recipe(file, "first", {})[1].epochs == 3


def test_wrong_changes_are_told_together(file: BenchFile) -> None:
    with pytest.raises(RunError) as raised:
        change_recipe(file, "second", {"epochs": "many", "fit.shot": 1, "network.layers": ["optix"]})
    text = str(raised.value)
    assert text.startswith("recipe 'second' cannot be changed like this")
    for words in ("epochs: 'many' is no whole number", "fit.shot: ", "network.layers[0]: no system is named 'optix'"):
        assert words in text


def test_what_has_no_keys_is_replaced_as_a_whole(file: BenchFile) -> None:
    with pytest.raises(RunError, match=r"network\.layers\.first: network\.layers of the recipe has no keys"):
        change_recipe(file, "second", {"network.layers.first": "optics"})


def test_the_schema_refers_to_nothing_that_is_missing() -> None:
    schema = bench_file_schema()

    def references(node: object) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [ref for value in node.values() for ref in references(value)]
        return [ref for value in node for ref in references(value)] if isinstance(node, list) else []

    found = references(schema)
    assert "#/$defs/Recipe" in found
    assert {ref.removeprefix("#/$defs/") for ref in found} <= set(schema["$defs"])
