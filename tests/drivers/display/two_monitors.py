"""An X server with two monitors that can be plugged and unplugged: Xorg with its dummy driver."""

import os
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

CONFIGURATION = """
Section "Device"
  Identifier "device"
  Driver "dummy"
  VideoRam 64000
EndSection
Section "Monitor"
  Identifier "monitor"
  HorizSync 5-1000
  VertRefresh 5-200
  {modeline}
EndSection
Section "Screen"
  Identifier "screen"
  Device "device"
  Monitor "monitor"
  DefaultDepth 24
  SubSection "Display"
    Depth 24
    Virtual 1600 1200
    Modes "640x480"
  EndSubSection
EndSection
"""
MODE = ("640x480", "25.175", "640", "656", "752", "800", "480", "490", "492", "525", "-hsync", "-vsync")
RATE_HZ = 25.175e6 / (800 * 525)


class TwoMonitors:
    """`DUMMY0` at the left of `DUMMY1`, 640 x 480 pixels each, from entering to leaving a `with`.

    Attributes:
        name: The display.
    """

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="pnnlab-xorg-")
        folder = Path(self._folder.name)
        modeline = f'Modeline "{MODE[0]}" {" ".join(MODE[1:])}'
        (folder / "x.conf").write_text(CONFIGURATION.format(modeline=modeline))
        read, write = os.pipe()
        command = [
            "Xorg", "-displayfd", str(write), "-config", str(folder / "x.conf"), "-logfile", str(folder / "log"),
            "-noreset", "-nolisten", "tcp", "-br",
        ]  # fmt: skip
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._server = subprocess.Popen(command, pass_fds=[write], **quiet)
        os.close(write)
        with os.fdopen(read) as told:
            number = told.readline().strip()
        if not number:
            raise RuntimeError(f"Xorg did not start: {(folder / 'log').read_text()[-2000:]}")
        self.name = f":{number}"
        self.xrandr("--newmode", "slm", *MODE[1:])
        self.xrandr("--addmode", "DUMMY1", "slm")
        self.plug()
        return self

    def plug(self) -> None:
        """Plug the second monitor in, as it was at first."""
        self.xrandr("--output", "DUMMY1", "--mode", "slm", "--right-of", "DUMMY0")
        self.xrandr("--output", "DUMMY1", "--gamma", "1:1:1")

    def unplug(self) -> None:
        """Pull its cable."""
        self.xrandr("--output", "DUMMY1", "--off")

    def xrandr(self, *arguments: str) -> str:
        """Change outputs."""
        deadline_s = time.monotonic() + 10
        while True:
            found = subprocess.run(
                ["xrandr", "--display", self.name, *arguments], capture_output=True, text=True, check=False
            )
            if not found.returncode:
                return found.stdout
            assert time.monotonic() < deadline_s, found.stderr
            time.sleep(0.1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.terminate()
        self._server.wait(20)
        self._folder.cleanup()
