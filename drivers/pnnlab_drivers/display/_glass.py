"""A borderless window that covers one monitor, pixel on pixel."""

import os
import sys
import time
from typing import Any

from pnnlab.errors import DeviceError
from pnnlab_drivers.display._monitor import Monitor

# the library's Wayland variant cannot put a window onto a chosen monitor
os.environ["PYGLFW_LIBRARY_VARIANT"] = "x11"

import glfw

from pnnlab_drivers.display._painter import Painter

__all__ = ["Glass", "wake"]


class Glass:
    """The window; belongs to the main thread of its process.

    GLFW's full-screen window in the monitor's present mode: no mode is switched, it lies above all others, compositors
    and the screen saver are told to keep off, and it stays when it loses the focus.

    Args:
        monitor: Which monitor it covers.
        vsync: Whether a new picture waits for the refresh.
    """

    def __init__(self, monitor: Monitor, *, vsync: bool) -> None:
        glfw.ERROR_REPORTING = "raise"
        if sys.platform.startswith("linux"):
            glfw.init_hint(glfw.PLATFORM, glfw.PLATFORM_X11)
        glfw.init()
        self._monitor = monitor
        handle = self._handle()
        if handle is None:
            raise DeviceError(f"the window system does not know the monitor {monitor}; look at its cable")
        mode = glfw.get_video_mode(handle)
        for hint, value in (
            (glfw.RED_BITS, 8), (glfw.GREEN_BITS, 8), (glfw.BLUE_BITS, 8), (glfw.DEPTH_BITS, 0), (glfw.STENCIL_BITS, 0),
            (glfw.REFRESH_RATE, mode.refresh_rate or glfw.DONT_CARE), (glfw.SAMPLES, 0), (glfw.DOUBLEBUFFER, True),
            (glfw.AUTO_ICONIFY, False), (glfw.DECORATED, False), (glfw.FLOATING, True), (glfw.FOCUS_ON_SHOW, False),
            (glfw.SCALE_TO_MONITOR, False), (glfw.RESIZABLE, False), (glfw.CENTER_CURSOR, False),
        ):  # fmt: skip
            glfw.window_hint(hint, value)
        self._window: Any = glfw.create_window(monitor.width, monitor.height, "pnnlab SLM", handle, None)
        glfw.set_input_mode(self._window, glfw.CURSOR, glfw.CURSOR_HIDDEN)
        # Alt-F4 and the like do nothing
        glfw.set_window_close_callback(self._window, lambda window: glfw.set_window_should_close(window, False))
        self.painter = Painter(self._window, (monitor.height, monitor.width))
        glfw.swap_interval(int(vsync))

    def settle(self, timeout_s: float) -> None:
        """Return once the window is in its place.

        Raises:
            DeviceError: It does not get there.
        """
        deadline_s = time.monotonic() + timeout_s
        while flaw := self.displaced():
            if time.monotonic() > deadline_s:
                raise DeviceError(flaw)
            glfw.wait_events_timeout(0.01)

    def displaced(self) -> str:
        """Return why the window does not cover its monitor; empty where it does."""
        window, monitor = self._window, self._monitor
        due = (monitor.left, monitor.top, monitor.width, monitor.height)
        found = (*glfw.get_window_pos(window), *glfw.get_framebuffer_size(window))
        if found != due:
            left, top, width, height = found
            return f"the window is {width} x {height} pixels at {left},{top} instead of covering the monitor {monitor}"
        if glfw.get_window_attrib(window, glfw.ICONIFIED) or not glfw.get_window_attrib(window, glfw.VISIBLE):
            return f"the window on the monitor {monitor} was hidden by the window manager"
        return ""

    def wait(self, timeout_s: float) -> None:
        """Answer the system's events; returns early when `wake` is called."""
        glfw.wait_events_timeout(timeout_s)

    def close(self) -> None:
        """Take the window away."""
        glfw.terminate()

    def _handle(self) -> Any:
        """Return the library's name of the monitor; `None` where it does not see it."""
        due = (self._monitor.left, self._monitor.top, self._monitor.width, self._monitor.height)
        for handle in glfw.get_monitors():
            mode = glfw.get_video_mode(handle)
            if (*glfw.get_monitor_pos(handle), mode.size.width, mode.size.height) == due:
                return handle
        return None


def wake() -> None:
    """Make `Glass.wait` return; may be called from any thread."""
    glfw.post_empty_event()
