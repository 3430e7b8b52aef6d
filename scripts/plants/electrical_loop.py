"""One bench file, two benches: an Arduino's real firmware beside a simulated circuit, and simulated devices only."""

from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from pnnlab.bench import Bench
from pnnlab_drivers.sim.circuit_board import CircuitBoard
from scripts.plants.avr_board import BoardCircuit

__all__ = ["BENCH", "NOISE_V", "SUPPLY_V", "circuit_of", "real_bench", "simulated_bench"]

BENCH: Final = Path(__file__).parents[1] / "benches" / "electrical_loop.yaml"
SUPPLY_V: Final = 5.0
MIDDLE_V: Final = 2.5
NOISE_V: Final = 2e-3
"""Noise of a conversion; a step of the converter is 4.9 mV."""
_SPREAD: Final = 0.05
"""By how much components differ from the design."""
_SEED: Final = 1
_SUBSTEPS: Final = 160
"""Of a sample of 10 ms: the circuit's settled voltages are then those of infinitely many to 0.6 mV."""


def _plant_options(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return the options of the plant whose design a recipe's twin tells."""
    design = {key: value for key, value in recipe["twins"]["loop"].items() if key != "kind"}
    return {"network": design | {"substeps": _SUBSTEPS}, "component_spread": _SPREAD}


def _load(bench: Path) -> dict[str, Any]:
    data: dict[str, Any] = YAML(typ="safe").load(bench)
    return data


def circuit_of(simulated: Path) -> BoardCircuit:
    """Return the circuit for the firmware's pins: the very specimen of a simulated bench, which must be closed."""
    with Bench.from_file(simulated) as bench:
        plant = bench.devices["dac"].plant
    if not isinstance(plant, CircuitBoard):
        raise TypeError(f"{simulated} has no circuit")
    return BoardCircuit(plant.network, zero_v=MIDDLE_V, noise_rms_v=NOISE_V, supply_v=SUPPLY_V)


def real_bench(bench: Path, folder: Path, port: Path, **options: object) -> Path:
    """Write the bench file for a board at another port."""
    data = _load(bench)
    data["devices"]["board"]["options"] |= {"resource": str(port), **options}
    return _write(data, folder / "real.yaml")


def simulated_bench(bench: Path, folder: Path) -> Path:
    """Write the bench file with simulated converters in the board's place, of as many bits and as much noise."""
    data = _load(bench)
    recipe = next(iter(data["training"].values()))
    data["bench"] = {"name": "electrical-loop-simulated", "clock": "simulated"}
    data["plants"] = {"circuit": {"driver": "sim-circuit", "seed": _SEED, "options": _plant_options(recipe)}}
    half = f"{MIDDLE_V} V"
    data["devices"] = {
        "dac": {
            "driver": "sim-dac", "plant": "circuit",
            "options": {"bits": 8, "range": ["0 V", f"{SUPPLY_V} V"], "max_samples": 0},
        },
        "adc": {
            "driver": "sim-adc", "plant": "circuit",
            "options": {"bits": 10, "range": [f"-{half}", half], "noise_rms": f"{NOISE_V} V"},
        },
    }  # fmt: skip
    system = data["systems"]["loop"]
    system |= {"dac": "dac", "adc": "adc"}
    system["decoder"]["zero"] = f"-{half}"  # the board's pins see half of the supply where the circuit gives 0 V
    return _write(data, folder / "simulated.yaml")


def _write(data: dict[str, Any], path: Path) -> Path:
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(data, file)
    return path
