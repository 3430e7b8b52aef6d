"""An X server without a screen, whose framebuffer lies in a file: what an SLM's cable would carry."""

import struct
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import numpy.typing as npt

__all__ = ["Framebuffer", "VirtualDisplay"]

Levels = npt.NDArray[np.uint8]

_HEADER: Final = struct.Struct(">25I")
"""XWDFileHeader of X11's XWDFile.h, big-endian on every machine."""
_COLOUR_BYTES: Final = 12
_START_S: Final = 20.0


class Framebuffer:
    """A file in X's window dump format that a server keeps mapped (`Xvfb -fbdir`), 32 bits a pixel.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        memory = np.memmap(path, np.uint8, "r")
        header = _HEADER.unpack(memory[: _HEADER.size].tobytes())
        size, width, height, bits, line, colours = (header[k] for k in (0, 4, 5, 11, 12, 19))
        if bits != 32:
            raise ValueError(f"{path} has {bits} bits a pixel, 32 are expected; start the server with depth 24")
        begin = size + colours * _COLOUR_BYTES
        rows = memory[begin : begin + height * line].reshape(height, line)
        self._pixels = rows[:, : 4 * width].reshape(height, width, 4)

    @property
    def shape(self) -> tuple[int, int]:
        """Return rows and columns."""
        height, width, _ = self._pixels.shape
        return height, width

    def colours(self) -> Levels:
        """Return a copy of red, green and blue as they are now, shape `(h, w, 3)`; a change may be under way."""
        return np.array(self._pixels[:, :, 2::-1])

    def levels(self) -> Levels:
        """Return a copy of the green channel, shape `(h, w)`."""
        return np.array(self._pixels[:, :, 1])


class VirtualDisplay:
    """A server with some screens, from entering to leaving a `with`.

    Args:
        screens: Rows and columns of each.
        pointer: Whether the mouse pointer is shown on the black desktop.

    Attributes:
        name: The display, as `:7`; its screens are `:7.0`, `:7.1`.
        paths: The file of each screen's framebuffer.
        framebuffers: What each screen shows.
    """

    def __init__(self, *screens: tuple[int, int], pointer: bool = True) -> None:
        self._screens, self._pointer = screens, pointer
        self.name = ""
        self.paths: Sequence[Path] = ()
        self.framebuffers: Sequence[Framebuffer] = ()

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="pnnlab-display-")
        # the server picks a free number and tells it once it listens
        command = ["Xvfb", "-displayfd", "1", "-fbdir", self._folder.name, "-nolisten", "tcp", "-noreset", "-br"]
        command += [] if self._pointer else ["-nocursor"]
        for number, (height, width) in enumerate(self._screens):
            command += ["-screen", str(number), f"{width}x{height}x24"]
        self._server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._server.stdout is not None  # noqa: S101 (a pipe)
        told = self._server.stdout.readline().strip()
        if not told:
            self.__exit__(None, None, None)
            raise RuntimeError(f"the X server did not start: {' '.join(command)}")
        self.name = f":{told}"
        self.paths = [Path(self._folder.name) / f"Xvfb_screen{k}" for k in range(len(self._screens))]
        self.framebuffers = [Framebuffer(path) for path in self.paths]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.terminate()
        self._server.wait(_START_S)
        if self._server.stdout is not None:
            self._server.stdout.close()
        self.paths, self.framebuffers = (), ()
        self._folder.cleanup()
