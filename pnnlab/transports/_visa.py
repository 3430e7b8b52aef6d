"""A link through a VISA library."""

import socket
from typing import Final

import pyvisa
from pyvisa import constants
from pyvisa.constants import InterfaceType, ResourceAttribute, StatusCode
from pyvisa.resources import MessageBasedResource

from pnnlab.errors import DeviceError, LinkLostError, UnaskedError
from pnnlab.transports._deadline import Deadline
from pnnlab.transports._link import Link, SilenceError
from pnnlab.transports._socket import SocketLink

__all__ = ["VisaLink", "open_visa"]

_OPEN_MS: Final = 5000
_CHUNK: Final = 1 << 20
_WHOLE: Final = (StatusCode.success, StatusCode.success_termination_character_read)
_IGNORED: Final = (StatusCode.success_max_count_read, StatusCode.success_device_not_present)


def open_visa(resource: str, backend: str) -> Link:
    """Return a link to the instrument behind a VISA resource name.

    A raw socket that pyvisa-py has opened is used directly: its session neither sees that the other side has closed
    it, nor ends a wait for an instrument that does not take what is sent, nor lets Nagle's delay be switched off.

    Args:
        resource: As `TCPIP::192.168.0.7::5025::SOCKET`, `USB0::0x0957::0x2807::MY123::INSTR`, `GPIB0::12::INSTR`.
        backend: The VISA library: `@py` (pyvisa-py), `@ivi` (that of NI, Keysight or Rohde & Schwarz),
            `FILE.yaml@sim`, or the path of a library.

    Raises:
        DeviceError: There is no such library, resource or instrument.
    """
    try:
        opened = pyvisa.ResourceManager(backend).open_resource(resource, open_timeout=_OPEN_MS)
    except Exception as error:
        # a back end may raise anything here: VISA's errors, those of the socket, ValueError for the name
        raise DeviceError(
            f"{resource}: VISA back end {backend!r} cannot open it: {type(error).__name__}: {error}; check the "
            "resource name, that the instrument is on and reachable, and that the back end is installed"
        ) from error
    if not isinstance(opened, MessageBasedResource):
        opened.close()
        raise DeviceError(f"{resource}: this VISA resource takes no messages; name one of the kind INSTR or SOCKET")
    session = getattr(opened.visalib, "sessions", {}).get(opened.session)
    raw = getattr(session, "interface", None)
    if not isinstance(raw, socket.socket):
        return VisaLink(opened)
    if code := raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        # pyvisa-py takes a refused connection for an open one
        opened.close()
        raise DeviceError(
            f"{resource}: nothing listens there (error {code}); check address and port, and that the instrument's "
            "server for remote control is on"
        )
    return SocketLink(resource, raw, opened.close)


class VisaLink:
    """An open VISA resource that is spoken to by calls of its library: any interface, any back end.

    Over a raw socket it cannot tell whether something has come that nobody asked for, for VISA has no such question: an
    instrument that answers twice is noticed only where the second answer cannot be that to the next question.

    Mutable: it remembers which timeout and which way of ending a reading the resource is set to, and what came after a
    terminator.

    Args:
        resource: The open resource.
    """

    def __init__(self, resource: MessageBasedResource) -> None:
        self.name = resource.resource_name
        self._resource: MessageBasedResource | None = resource
        self._timeout_ms = -1.0
        self._ends_at: bytes | None = b""
        self._kept = b""
        self._is_serial = resource.interface_type is InterfaceType.asrl
        # these have neither a device clear nor an end of a message
        self._is_stream = self._is_serial or resource.resource_class == "SOCKET"
        resource.visalib.ignore_warning(resource.session, *_IGNORED).__enter__()

    def write(self, data: bytes, timeout_s: float) -> None:
        """See `Link.write`."""
        resource = self._open_resource(timeout_s)
        try:
            n, _ = resource.visalib.write(resource.session, data)
        except pyvisa.VisaIOError as error:
            if error.error_code == StatusCode.error_timeout:
                raise SilenceError(sending=True) from None
            raise self._gone(error) from error
        except OSError as error:
            raise self._gone(error) from error
        if n != len(data):
            raise SilenceError(sending=True)

    def read_line(self, terminator: bytes, limit: int, timeout_s: float) -> bytes:
        """See `Link.read_line`."""
        deadline, line, self._kept = Deadline(timeout_s), self._kept, b""
        whole = self._is_stream and line.endswith(terminator)
        while not whole:
            if len(line) > limit:
                self._kept = line[-limit // 2 :]  # what comes last may be what somebody waits for
                raise UnaskedError(
                    f"{self.name}: more than {limit} bytes came without the terminator {terminator!r}, the first are "
                    f"{line[:40]!r}; check what is connected, and the terminator"
                )
            try:
                part, ended = self._read(_CHUNK, deadline.left_s(), terminator)
            except SilenceError:
                self._kept = line
                raise SilenceError(line) from None
            line += part
            # on a stream the library stops at the last byte of a longer terminator
            whole = ended and (not self._is_stream or line.endswith(terminator))
        return line.removesuffix(terminator)

    def read(self, n: int, timeout_s: float) -> bytes:
        """See `Link.read`."""
        deadline, parts, n_come = Deadline(timeout_s), [self._kept[:n]], min(n, len(self._kept))
        self._kept = self._kept[n:]
        while n_come < n:
            try:
                part, _ = self._read(n - n_come, deadline.left_s(), None)
            except SilenceError:
                part = b""
            if not part:
                self._kept = b"".join(parts)
                raise SilenceError(self._kept)
            parts.append(part)
            n_come += len(part)
        return b"".join(parts)

    def read_some(self, timeout_s: float) -> bytes:
        """See `Link.read_some`: of a stream one byte, for its library cannot tell how many there are."""
        if self._kept:
            taken, self._kept = self._kept, b""
            return taken
        try:
            return self._read(1 if self._is_stream else _CHUNK, timeout_s, None)[0]
        except SilenceError:
            return b""

    def waiting(self) -> bool:
        """See `Link.waiting`."""
        if self._kept or not self._is_serial:
            return bool(self._kept)
        return bool(self._open_resource(1.0).get_visa_attribute(ResourceAttribute.asrl_avalaible_number))

    def clear(self) -> bool:
        """See `Link.clear`."""
        self._kept = b""
        if self._is_stream:
            return False  # there is no device clear, and what is still to come is told apart by whoever asks
        resource = self._open_resource(1.0)
        try:
            resource.visalib.clear(resource.session)
        except (pyvisa.VisaIOError, NotImplementedError):
            return False  # some back ends and interfaces have none
        return True

    def close(self) -> None:
        """See `Link.close`."""
        if self._resource is not None:
            resource, self._resource = self._resource, None
            resource.close()

    def _read(self, count: int, timeout_s: float, end: bytes | None) -> tuple[bytes, bool]:
        """Return up to `count` bytes and whether a message or a line ended with them."""
        resource = self._open_resource(max(timeout_s, 1e-3))
        if end != self._ends_at:
            self._end_at(resource, end)
        try:
            data, status = resource.visalib.read(resource.session, count)
        except pyvisa.VisaIOError as error:
            if error.error_code == StatusCode.error_timeout:
                raise SilenceError from None
            raise self._gone(error) from error
        except OSError as error:
            raise self._gone(error) from error
        return bytes(data), status in _WHOLE

    def _end_at(self, resource: MessageBasedResource, end: bytes | None) -> None:
        """Let readings stop at the last byte of a terminator, or at none: in a binary block any byte may come."""
        if end is None:
            resource.set_visa_attribute(ResourceAttribute.termchar_enabled, constants.VI_FALSE)
        else:
            resource.set_visa_attribute(ResourceAttribute.termchar, end[-1])
            resource.set_visa_attribute(ResourceAttribute.termchar_enabled, constants.VI_TRUE)
        if self._is_serial:
            ending = constants.SerialTermination
            kind = ending.none if end is None else ending.termination_char
            resource.set_visa_attribute(ResourceAttribute.asrl_end_in, kind)
        self._ends_at = end

    def _open_resource(self, timeout_s: float) -> MessageBasedResource:
        if self._resource is None:
            raise self._gone("it was closed here")
        timeout_ms = max(1.0, round(1e3 * timeout_s))
        if timeout_ms != self._timeout_ms:
            self._resource.timeout = timeout_ms
            self._timeout_ms = timeout_ms
        return self._resource

    def _gone(self, why: object) -> LinkLostError:
        return LinkLostError(f"{self.name}: the connection is gone: {why}; look at the instrument and open it again")
