"""Every broken bench file is refused with all that is wrong, each with its line, its key and words for a person."""

import re
from pathlib import Path

import pytest

from pnnlab.bench import BenchFile
from pnnlab.errors import BenchFileError
from pnnlab.systems import system_kinds

FOLDER = Path(__file__).parent / "broken"

# file: (line, key, a part of the message), in the order of the message
BROKEN: dict[str, list[tuple[int, str, str]]] = {
    "at-sign.yaml": [(4, "", "put it in quotes")],
    "bad-names.yaml": [
        (3, "plants.optical table", "letters, digits, - and _"),
        (5, "devices.slm.1", "letters, digits, - and _"),
    ],
    "bench-section.yaml": [
        (1, "bench.clock", "choose 'simulated' or 'real'"),
        (1, "bench.name", "the name 'my bench' has other characters"),
        (1, "bench.nmae", "did you mean 'name'?"),
    ],
    "binary.yaml": [(1, "", "the byte 0x89 is not UTF-8")],
    "circular-alias.yaml": [(3, "devices.slm", "stands inside what it repeats")],
    "control-character.yaml": [(2, "", "U+0007")],
    "driver-missing.yaml": [
        (5, "devices.slm.driver", "the key is missing"),
        (6, "devices.camera.driver", "5 is no text"),
        (7, "devices.card.Driver", "did you mean 'driver'?"),
        (7, "devices.card.driver", "the key is missing"),
    ],
    "drivers.yaml": [
        (5, "devices.d0.driver", "no driver is named 'sim-slmm'"),
        (6, "devices.d1.driver", "there is no module 'tests.bench.nowhere'"),
        (7, "devices.d2.driver", "did you mean 'Panel'?"),
        (8, "devices.d3.driver", "no subclass of Device"),
        (9, "devices.d4.driver", "no subclass of Device"),
        (10, "devices.d5.driver", "it lacks _close, _identify"),
        (11, "devices.d6.driver", "it needs the module 'santec_sdk_that_nobody_has'"),
        (12, "devices.d7.driver", "ZeroDivisionError: division by zero in a driver"),
        (13, "devices.d8.driver", "is no 'module:Class'"),
        (14, "devices.d9.driver", "is no 'module:Class'"),
        (15, "devices.d10.driver", "is no 'module:Class'"),
    ],
    "duplicate-keys.yaml": [
        (8, "devices.slm.driver", "stands twice, first in line 6"),
        (9, "devices.slm", "stands twice, first in line 5"),
    ],
    "empty-entries.yaml": [
        (5, "devices.slm", "the entry is empty"),
        (6, "devices.camera", "'sim-camera' is no mapping"),
        (8, "systems.optics", "the entry is empty"),
    ],
    "empty.yaml": [(0, "", "the file is empty")],
    "endless-aliases.yaml": [(3, "training.e[7]", "more than 100000 values")],
    "escape.yaml": [(4, "", "a backslash in double quotes")],
    "everything-at-once.yaml": [
        (3, "plants.table.options.gain", "'loud' is no number"),
        (5, "devices.slm.plant", "did you mean 'table'?"),
        (6, "devices.camera.limits.level", "quantities are exposure"),
        (8, "systems.optics.decoder", "the key is missing"),
        (8, "systems.optics.encoder", "the key is missing"),
        (8, "systems.optics.slm", "'camera' (Eye) is no SpatialLightModulator"),
        (9, "extra", "sections are bench, devices, plants, systems, training"),
    ],
    "half-pair.yaml": [(4, "devices.slm.driver", "half a pair")],
    "huge-number.yaml": [
        (8, "devices.slm.identity.serial", "123456789012345678901234567890 is no finite number"),
        (9, "devices.slm.options.settle", ".inf is no finite number"),
    ],
    "identity.yaml": [
        (9, "devices.slm.identity.serial", "4711 is no text"),
        (10, "devices.slm.identity.modell", "did you mean 'model'?"),
    ],
    "indentation.yaml": [(3, "", "check the indentation")],
    "latin-1.yaml": [(3, "", "the byte 0xb1 is not UTF-8")],
    "limits.yaml": [
        (9, "devices.slm.limits.voltage", "quantities are level"),
        (10, "devices.slm.limits.level.range", "write it as '0 to 255'"),
        (15, "devices.camera.limits.exposure.range", "runs downwards"),
        (16, "devices.camera.limits.exposur", "did you mean 'exposure'?"),
        (22, "devices.card.limits.voltage.range", "a list is no range"),
        (23, "devices.card.limits.voltage.slew", "write it in V/s, as '10 V/s'"),
        (25, "devices.card.limits.temperature.range", "write it as '0 K to 5 K'"),
        (26, "devices.card.limits.temperature.slew", "allows no change at all"),
        (31, "devices.card2.limits.voltage", "is no mapping"),
        (32, "devices.card2.limits.temperature", "write range, slew or both"),
        (36, "devices.card3.limits", "is no mapping"),
        (41, "devices.card4.limits.voltage.rnage", "did you mean 'range'?"),
        (41, "devices.card4.limits.voltage.slew", "no quantity in V/s"),
        (42, "devices.card4.limits.temperature.range", "write it as '0 K to 5 K'"),
    ],
    "list.yaml": [(1, "", "a list instead of sections")],
    "merge-of-text.yaml": [(4, "devices.slm.<<", "a merge key needs a mapping")],
    "missing-colon.yaml": [(4, "", "a key has no colon")],
    "names-twice.yaml": [
        (5, "devices.table", "one of the plants already, in line 3"),
        (8, "systems.eye", "one of the devices already, in line 6"),
    ],
    "no-plants-at-all.yaml": [(3, "devices.slm.plant", "describe one below plants")],
    "no-sections.yaml": [(0, "bench", "the section is missing"), (0, "devices", "the bench has no devices")],
    "nul.yaml": [(2, "", "NUL")],
    "number-keys.yaml": [
        (3, "devices", "a key is 1"),
        (4, "devices", "a key is true"),
        (5, "devices", "a key is nothing"),
        (6, "devices", "a key is a list or a mapping"),
    ],
    "only-comments.yaml": [(0, "", "the file is empty")],
    "options.yaml": [
        (9, "devices.slm.options.shape", "entry 2 of the list is missing"),
        (10, "devices.slm.options.settle", "the number 5 has no unit; write it in s"),
        (11, "devices.slm.options.fails", "choose 'never', 'open', 'safe', 'close' or 'interrupted'"),
        (12, "devices.slm.options.seral", "did you mean 'serial'?"),
        (16, "devices.camera.options", "a list is no mapping"),
        (21, "devices.eye.options.shape[1]", "'4' is no whole number"),
        (22, "devices.eye.options.settle", "'5 volts' is no quantity in s"),
        (24, "devices.eye.options.serial", "1 is no text"),
    ],
    "plant-of-a-real-device.yaml": [(3, "devices.supply.plant", "is not simulated and has no plant")],
    "plant-references.yaml": [
        (5, "devices.slm.plant", "plants are table"),
        (6, "devices.camera.plant", "did you mean 'table'?"),
        (7, "devices.card.plant", "5 is no text"),
    ],
    "plants.yaml": [
        (3, "plants.a.driver", "no plant is named 'sim-optical-tabel'"),
        (4, "plants.b.driver", "does not have a plant's shape"),
        (5, "plants.c.options.wavelenght", "did you mean 'wavelength'?"),
        (5, "plants.c.seed", "allowed is at least 0"),
        (6, "plants.d.options.gain", "'high' is no number"),
        (6, "plants.d.options.wavelength", "write it in m"),
        (6, "plants.d.sede", "did you mean 'seed'?"),
        (7, "plants.e.driver", "the key is missing"),
        (7, "plants.e.seed", "1.5 is no whole number"),
    ],
    "python-tag.yaml": [
        (3, "devices.slm", "the tag !!python/object/apply:os.system is not read"),
        (4, "devices.camera", "the tag !mine is not read"),
    ],
    "ramped-level.yaml": [(8, "devices.slm.limits.level.slew", "nothing ramps the level of Panel")],
    "real-driver-on-simulated-clock.yaml": [(3, "devices.supply.driver", "simulated clock no wait lasts")],
    "section-kinds.yaml": [
        (1, "bench", "'broken' is no mapping"),
        (2, "plants", "a list is no mapping"),
        (3, "devices", "a list is no mapping"),
        (5, "systems", "5 is no mapping"),
    ],
    "system-keys.yaml": [
        (11, "systems.optics.camera", "5 is no text"),
        (12, "systems.optics.exposure", "the number 1 has no unit"),
        (13, "systems.optics.retakes", "'soon'"),
        (14, "systems.optics.precision", "choose 'float32' or 'float64'"),
        (15, "systems.optics.encoder.macropixel", "did you mean 'macropixels'?"),
        (15, "systems.optics.encoder.macropixels", "the key is missing"),
        (16, "systems.optics.decoder.bins", "3 entries are too many"),
        (16, "systems.optics.decoder.region.height", "allowed is more than 0"),
        (16, "systems.optics.decoder.region.top", "allowed is at least 0"),
    ],
    "system-kinds.yaml": [
        (7, "systems.a.kind", f"add it: {' or '.join(system_kinds())}"),
        (8, "systems.b.kind", "did you mean 'slm-camera'?"),
        (9, "systems.c.kind", "kinds are absorber, crossbar"),
    ],
    "system-roles.yaml": [
        (10, "systems.swapped.slm", "devices with this role are slm"),
        (11, "systems.swapped.camera", "'slm' (Panel) is no Camera"),
        (17, "systems.unknown.slm", "did you mean 'slm'?"),
        (18, "systems.unknown.camera", "no device is named 'table'"),
        (22, "systems.no-card.decoder", "the key is missing"),
        (22, "systems.no-card.encoder", "the key is missing"),
        (22, "systems.no-card.rate", "add it: a quantity in Hz, as '60 Hz'"),
        (24, "systems.no-card.dac", "no device of the bench has this role"),
        (25, "systems.no-card.adc", "is no ADC"),
    ],
    "tab.yaml": [(3, "", "indent with spaces")],
    "too-deep.yaml": [(3, "training.deep[0]", "more than 50 levels")],
    "two-colons.yaml": [(1, "", "a colon stands where no value can follow")],
    "two-documents.yaml": [(6, "", "a second document")],
    "unclosed-list.yaml": [(7, "", "a list [...] is opened here")],
    "unclosed-mapping.yaml": [(1, "", "a mapping {...} is opened here")],
    "unclosed-quote.yaml": [(3, "", "a quote is opened here")],
    "unknown-anchor.yaml": [(4, "devices.slm2", "did you mean 'panel'?")],
    "unknown-section.yaml": [(6, "sytems", "did you mean 'systems'?"), (8, "logging", "sections are")],
    "utf-16.yaml": [(0, "", "encoded in UTF-16")],
    "word.yaml": [(1, "", "'bench' instead of sections")],
}

# what pydantic, ruamel and Python say and a person should not have to read
JARGON = re.compile(
    r"Input should|Value error|type=|https?://|valid (integer|string|boolean|number)|Extra inputs|Field required|"
    r"while (scanning|parsing)|<block|could not convert|None\b|NoneType|Traceback|pydantic"
)


def test_every_broken_file_is_in_the_table() -> None:
    assert sorted(BROKEN) == sorted(path.name for path in FOLDER.iterdir())


@pytest.mark.parametrize("name", BROKEN)
def test_broken_file_is_refused_with_all_its_problems(name: str) -> None:
    with pytest.raises(BenchFileError) as caught:
        BenchFile.load(FOLDER / name)
    problems = caught.value.problems
    assert [(problem.line, problem.key) for problem in problems] == [(line, key) for line, key, _ in BROKEN[name]]
    for problem, (_, _, part) in zip(problems, BROKEN[name], strict=True):
        assert part in str(problem)
        assert problem.file == str(FOLDER / name)
        assert problem.found
        assert problem.allowed
    assert not JARGON.search(str(caught.value))
