"""Methods are found by name, of pnnlab and of other distributions, and say what they need."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import Tensor, nn, optim

from pnnlab.bench import Bench
from pnnlab.errors import CapabilityError, RunError
from pnnlab.methods import (
    GROUP,
    LossFunction,
    MethodOptions,
    PhysicsAware,
    Setting,
    TrainingMethod,
    check_capabilities,
    find_method,
    known_methods,
    make_method,
    runnable,
)
from pnnlab.systems import Capability
from pnnlab.training import train

SMALL = Path(__file__).parents[1] / "data" / "small.yaml"


class EchoOptions(MethodOptions):
    """Options of the method below."""

    loudness: float = 1.0


class Echo(TrainingMethod):
    """Needs what no shipped bench has."""

    name = "echo"
    summary = "for tests"
    Options = EchoOptions
    needs_twin = False
    needs = frozenset({Capability.TIME_REVERSAL})

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        raise NotImplementedError

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        raise NotImplementedError


class NoMethod:
    """Claims to be one."""


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[object]:
    """Return a function that installs a distribution which offers entry points."""

    def install(*lines: str) -> None:
        info = tmp_path / "third_party-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]))
        monkeypatch.syspath_prepend(str(tmp_path))
        importlib.invalidate_caches()
        known_methods.cache_clear()

    yield install
    monkeypatch.undo()
    known_methods.cache_clear()


def test_a_method_of_another_distribution_is_listed_and_made(offer) -> None:  # type: ignore[no-untyped-def]
    offer(f"echo = {__name__}:Echo")
    assert "echo" in known_methods() and "physics_aware" in known_methods()
    method = make_method("echo", {"loudness": 2})
    assert isinstance(method, TrainingMethod) and method.options == EchoOptions(loudness=2.0)


def test_a_name_claimed_twice_is_refused(offer) -> None:  # type: ignore[no-untyped-def]
    offer(f"physics_aware = {__name__}:Echo")
    with pytest.raises(RunError, match=r"physics_aware' is claimed by .*Echo and pnnlab"):
        known_methods()


@pytest.mark.parametrize(
    ("target", "said"),
    [("NoMethod", "no subclass"), ("Echo", "calls itself 'echo'"), ("Missing", "does not import")],
)
def test_what_is_no_method_says_so(offer, target: str, said: str) -> None:  # type: ignore[no-untyped-def]
    offer(f"odd = {__name__}:{target}")
    with pytest.raises(RunError, match=said):
        find_method("odd")


def test_unknown_names_and_options_are_told_with_what_is_allowed() -> None:
    with pytest.raises(RunError, match="did you mean 'physics_aware'"):
        find_method("physics_awar")
    with pytest.raises(RunError, match=r"physics_aware.*rate.*options are none"):
        make_method("physics_aware", {"rate": 1})


def test_capabilities_that_are_lacking_are_told_with_what_can_run() -> None:
    with Bench.from_file(SMALL) as bench:
        systems = list(bench.systems.values())
        check_capabilities(PhysicsAware, systems)
        with pytest.raises(CapabilityError, match=r"'optics' \(slm-camera\) lacks time_reversal; .*physics_aware"):
            check_capabilities(Echo, systems)
        assert set(runnable(systems)) >= {"in_silico", "physics_aware"}


def test_wrong_options_in_a_recipe_come_before_any_device_is_opened(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="options"):
        train(SMALL, changes={"method_options": {"physics_aware": {"rate": 1}}}, root=tmp_path)
    assert not list(tmp_path.iterdir())
