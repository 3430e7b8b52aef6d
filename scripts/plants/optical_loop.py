"""A display SLM, a light path and an emulated camera, ready for real drivers.

    python -m scripts.plants.optical_loop pnnlab train --bench scripts/benches/optical_loop.yaml
    python -m scripts.plants.optical_loop pnnlab calibrate run latency --bench scripts/benches/optical_loop.yaml

starts an X server and the light path, and runs a command whose environment leads to them.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from scripts.plants.virtual_display import VirtualDisplay

__all__ = ["OpticalLoop"]

ROOT: Final = Path(__file__).parents[2]
SIMULATED: Final = ROOT / "scripts" / "benches" / "optical_loop_sim.yaml"
PICTURE: Final = Path("build") / "optical_loop.png"
"""As the bench file `optical_loop.yaml` names it, relative to where the command runs."""
_SCREEN: Final = (64, 64)
_END_S: Final = 20.0


class OpticalLoop:
    """Everything but the drivers, from entering to leaving a `with`.

    Args:
        bench: Bench file of the simulated devices whose physics joins display and camera.
        picture: What the camera takes; its place is the bench file's.

    Attributes:
        environment: What leads real drivers to display and camera.
        display: What the SLM's cable carries.
        account: What the light path told when it ended: how many patterns it saw, and how long their pictures took.
    """

    def __init__(self, bench: Path = SIMULATED, picture: Path = PICTURE) -> None:
        self._bench, self._picture = bench, picture
        self.display = VirtualDisplay(_SCREEN)
        self.environment: dict[str, str] = {}
        self.account: Mapping[str, float] = {}

    def __enter__(self) -> Self:
        self.display.__enter__()
        command = [
            sys.executable, "-m", "scripts.plants.optical_path", "--bench", str(self._bench),
            "--display", f"{self.display.name}.0", "--framebuffer", str(self.display.paths[0]),
            "--picture", str(self._picture),
        ]  # fmt: skip
        there = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self._path = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": there}
        )
        assert self._path.stdout is not None  # noqa: S101 (a pipe)
        if self._path.stdout.readline() != "ready\n":
            self.__exit__(None, None, None)
            raise RuntimeError("the light path did not start; its error stands above")
        self.environment = {"DISPLAY": f"{self.display.name}.0", "PYLON_CAMEMU": "1"}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        told, _ = self._path.communicate(timeout=_END_S)
        self.account = json.loads(told) if told.strip() else {}
        self.display.__exit__(kind, error, trace)


def main() -> int:
    """Run a command inside."""
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    with OpticalLoop() as loop:
        found = subprocess.run(sys.argv[1:], env={**os.environ, **loop.environment}, check=False).returncode
    took = ", ".join(f"{key} {value:.3g}" for key, value in loop.account.items())
    print(f"light path: {took}", file=sys.stderr)
    return found


if __name__ == "__main__":
    sys.exit(main())
