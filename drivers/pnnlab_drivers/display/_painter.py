"""Grey levels on a window, pixel by pixel."""

from typing import Any

import glfw
import numpy as np
import numpy.typing as npt
from OpenGL import GL

from pnnlab.errors import DeviceError

__all__ = ["Painter"]

Levels = npt.NDArray[np.uint8]


class Painter:
    """Draws one texture of the size of the window; level k becomes k in red, green and blue.

    Args:
        window: The window, of `shape` pixels.
        shape: Rows and columns.
    """

    def __init__(self, window: Any, shape: tuple[int, int]) -> None:
        self._window, self._shape = window, shape
        glfw.make_context_current(window)
        self.renderer = f"{_text(GL.GL_RENDERER)}, OpenGL {_text(GL.GL_VERSION)}"
        largest = int(GL.glGetIntegerv(GL.GL_MAX_TEXTURE_SIZE))
        # before 2.0 textures have sides that are powers of two
        if _text(GL.GL_VERSION) < "2" or max(shape) > largest:
            raise DeviceError(
                f"the graphics driver ({self.renderer}) draws no picture of {shape[1]} x {shape[0]} pixels; install "
                "the driver of the graphics card's maker"
            )
        height, width = shape
        GL.glViewport(0, 0, width, height)
        for feature in (GL.GL_DITHER, GL.GL_BLEND, GL.GL_MULTISAMPLE, GL.GL_FRAMEBUFFER_SRGB):
            GL.glDisable(feature)
        GL.glPixelStorei(GL.GL_UNPACK_ALIGNMENT, 1)
        GL.glPixelStorei(GL.GL_PACK_ALIGNMENT, 1)
        GL.glEnable(GL.GL_TEXTURE_2D)
        GL.glBindTexture(GL.GL_TEXTURE_2D, GL.glGenTextures(1))
        for side in (GL.GL_TEXTURE_MIN_FILTER, GL.GL_TEXTURE_MAG_FILTER):
            GL.glTexParameteri(GL.GL_TEXTURE_2D, side, GL.GL_NEAREST)
        GL.glTexEnvi(GL.GL_TEXTURE_ENV, GL.GL_TEXTURE_ENV_MODE, GL.GL_REPLACE)
        GL.glTexImage2D(
            GL.GL_TEXTURE_2D, 0, GL.GL_LUMINANCE8, width, height, 0, GL.GL_LUMINANCE, GL.GL_UNSIGNED_BYTE, None
        )

    def show(self, levels: Levels) -> None:
        """Show levels of shape `(h, w)`; returns once the graphics card has changed to them."""
        self._draw(levels)
        glfw.swap_buffers(self._window)
        GL.glFinish()

    def flaw(self) -> str:
        """Draw all levels without showing them, read them back, and say what is wrong; empty where nothing is."""
        height, width = self._shape
        # no two rows or columns alike: a picture that is turned or mirrored is found, too
        levels = np.random.default_rng(0).integers(0, 256, self._shape, dtype=np.uint8)
        self._draw(levels)
        drawn = GL.glReadPixels(0, 0, width, height, GL.GL_RGB, GL.GL_UNSIGNED_BYTE)
        found = np.frombuffer(drawn, np.uint8).reshape(height, width, 3)[::-1]
        wrong = (found != levels[:, :, None]).any(2)
        if not wrong.any():
            return ""
        return (
            f"the graphics driver ({self.renderer}) draws {int(wrong.sum())} of {wrong.size} pixels at other levels "
            "than it is told; switch off its colour and sharpness settings, or update it"
        )

    def _draw(self, levels: Levels) -> None:
        height, width = self._shape
        GL.glTexSubImage2D(GL.GL_TEXTURE_2D, 0, 0, 0, width, height, GL.GL_LUMINANCE, GL.GL_UNSIGNED_BYTE, levels)
        GL.glBegin(GL.GL_QUADS)
        # row 0 of a texture is its first row of levels, and belongs to the top
        for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            GL.glTexCoord2f((x + 1) / 2, (1 - y) / 2)
            GL.glVertex2f(x, y)
        GL.glEnd()


def _text(name: int) -> str:
    return bytes(GL.glGetString(name)).decode("ascii", "replace")
