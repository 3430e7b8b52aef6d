"""Aravis's fake camera: a GigE Vision server of its own process, whose pictures name themselves."""

import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
from filelock import FileLock

__all__ = ["ADDRESS", "EXPOSURE_REGISTER", "FakeCamera", "picture"]

ADDRESS, PORT = "127.0.0.1", 3956
EXPOSURE_REGISTER = 0x120


def picture(frame_id: int, shape: tuple[int, int], scale: float = 1.0) -> npt.NDArray[np.uint8]:
    """Return what the fake camera shows in the format Mono8 in the frame of a number."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    shown: npt.NDArray[np.uint8] = np.clip((x + y + frame_id) % 255 * scale, 0, 255).astype(np.uint8)
    return shown


class FakeCamera:
    """The server; there can be one on a computer at a time.

    Args:
        serial: What it reports.
        lost_per_mille: Packets of frames that it does not send.
    """

    def __init__(self, serial: str = "PNN01", lost_per_mille: int = 0) -> None:
        program = shutil.which("arv-fake-gv-camera-0.8")
        if program is None:
            raise RuntimeError("Aravis's fake camera is not installed; on Debian and Ubuntu: aravis-tools")
        self._command = [program, "-i", ADDRESS, "-s", serial, "-r"]
        self._lost_per_mille = lost_per_mille
        self._alone = FileLock(Path(tempfile.gettempdir()) / "pnnlab-gvcp.lock", timeout=900)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "FakeCamera":
        self._alone.acquire()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._alone.release()

    def start(self, lost_per_mille: int | None = None) -> None:
        """Let the camera be there; its first frame has the number 65401."""
        lost = str(self._lost_per_mille if lost_per_mille is None else lost_per_mille)
        silence = subprocess.DEVNULL
        self._process = subprocess.Popen([*self._command, lost], stdout=silence, stderr=silence)
        for _ in range(100):
            with suppress(OSError):
                self.register(0)
                return
        raise RuntimeError(f"{self._command} does not answer")

    def kill(self) -> None:
        """Pull the cable."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self, frozen: bool) -> None:
        """Let the camera answer nothing, or go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def register(self, address: int) -> int:
        """Return what a register holds, asked by GVCP as anybody may (READREG, GigE Vision 1.2, section 14)."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
            wire.settimeout(0.1)
            begin_s = time.monotonic()
            wire.sendto(struct.pack(">BBHHHI", 0x42, 0x01, 0x0080, 4, 1, address), (ADDRESS, PORT))
            try:
                reply = wire.recv(64)
            except ConnectionRefusedError:
                time.sleep(max(0.0, 0.02 - (time.monotonic() - begin_s)))
                raise
        value: int = struct.unpack(">HHHHI", reply[:12])[4]
        return value
