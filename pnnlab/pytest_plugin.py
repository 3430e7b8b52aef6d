"""The conformance kit on the devices of a bench file: `pytest --pnnlab-device dac --bench instruments.yaml`.

Every pytest of an environment with pnnlab loads this module, so it imports nothing but pytest.
"""

from pathlib import Path

import pytest

__all__: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the options."""
    group = parser.getgroup("pnnlab", "pnnlab: what drivers keep")
    group.addoption(
        "--pnnlab-device",
        metavar="NAME",
        help="Run the conformance kit on this device of the bench file only.",
    )
    group.addoption(
        "--bench", metavar="FILE", default="instruments.yaml", help="The bench file, instruments.yaml if left out."
    )
    group.addoption(
        "--pnnlab-outputs", metavar="QUANTITY=RANGE", action="append", default=[],
        help="Allow the kit to put a live device's outputs anywhere in a range, as 'voltage=0 V to 1 V'; without it, "
        "only rules run that leave outputs in their safe state. Repeatable.",
    )  # fmt: skip
    group.addoption(
        "--pnnlab-evidence", metavar="FILE", help="Add what each test shows of a driver to a file, a line of JSON each."
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks; look at the bench file only where one is asked for."""
    for mark in (
        "pnnlab_driver(name, peer): the driver that a test shows something of, and what it talks to",
        "pnnlab_quiet: a rule that puts no output anywhere but into its safe state",
        "pnnlab_shows(check, ...): what a test shows of a driver",
    ):
        config.addinivalue_line("markers", mark)
    if config.getoption("pnnlab_device"):
        config.args = [str(_bench(config))]
    if config.getoption("pnnlab_device") or config.getoption("pnnlab_evidence"):
        from pnnlab.testing.evidence import EvidencePlugin

        config.pluginmanager.register(EvidencePlugin(config))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the suites of a device from its bench file."""
    config = parent.config
    if not config.getoption("pnnlab_device") or file_path != _bench(config):
        return None
    from pnnlab.testing.on_bench import BenchModule

    module: pytest.Collector = BenchModule.from_parent(parent, path=file_path)
    return module


def _bench(config: pytest.Config) -> Path:
    path = Path(config.invocation_params.dir, config.getoption("bench")).resolve()
    if not path.is_file():
        raise pytest.UsageError(f"there is no bench file {path}; name yours with --bench FILE")
    return path
