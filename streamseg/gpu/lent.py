"""Finished pictures lent to FFmpeg where they lie on the card; its last word on one gives the memory back."""

from __future__ import annotations

import ctypes
import gc
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import av
from av.video.frame import CudaContext, VideoFrame

from streamseg.compositors.planes import Canvas
from streamseg.errors import reason
from streamseg.gpu.jobs import Record
from streamseg.gpu.surface import components, positions

if TYPE_CHECKING:
    from streamseg.gpu.device import Device

LENDABLE = {"yuv420p": "nv12", "yuv420p10le": "p010le"}
"""What NVENC reads, by the planar format of the same codes."""

_PITCH = 256
"""Rows begin on multiples of so many bytes, as cuMemAllocPitch would have them at least."""
_CUDA, _UNSIGNED = 2, 1
"""kDLCUDA and kDLUInt of dlpack.h."""
_NAME = b"dltensor"

_out: dict[int, tuple[object, ...]] = {}
"""What FFmpeg has, by the address of its tensor: it may outlive whoever lent it."""


class _Tensor(ctypes.Structure):
    """DLManagedTensor of dlpack.h."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
        ("manager", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    )


def _delete(address: int) -> None:
    """FFmpeg has done with a plane (any thread)."""
    _out.pop(address, None)


_DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(_delete)


class _Loan:
    """Memory that is in use for as long as anybody holds this."""

    def __init__(self, lender: Lender, memory: Any, size: int) -> None:
        self._lender, self._memory, self._size = lender, memory, size
        lender.lent += 1

    def __del__(self) -> None:
        self._lender.returned.append((self._memory, self._size))
        if self._lender.closed:  # its context is gone: PyCUDA could but complain
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._memory))


class Lender:
    """A device's memory for finished pictures: what has come back is lent again to those of its size.

    Methods are for the GPU's thread. NVENC remembers addresses: memory is not freed before the end.
    """

    def __init__(self, device: Device) -> None:
        self.refused: str | None = None
        """Why FFmpeg does not take pictures; it is not asked again."""
        self.returned: deque[tuple[Any, int]] = deque()
        """Appending is atomic: any thread may be the last holder."""
        self.lent = 0
        self.closed = False
        self._device = device
        self._context: Any = None
        self._idle: list[tuple[Any, int]] = []

    def lend(self, canvas: Canvas) -> tuple[av.VideoFrame, tuple[Record, ...]] | None:
        """A picture on the card and its components, their codes undefined; None where FFmpeg refuses it.

        The canvas has a LENDABLE format and even sides. It must be finished before FFmpeg reads it.
        """
        if self.refused:
            return None
        name = LENDABLE[canvas.format]
        sample = 1 if canvas.shape.depth == 8 else 2
        pitch = -(-canvas.width * sample // _PITCH) * _PITCH
        loan, address = self._loan(pitch * canvas.height * 3 // 2)
        heights = canvas.height, canvas.height // 2
        places = address, address + pitch * canvas.height
        try:
            picture = self._wrapped(canvas, name, places, heights, pitch, sample, loan)
        except (av.FFmpegError, ValueError, TypeError, RuntimeError) as error:
            self.refused = reason(error)
            return None
        canvas.tag(picture)
        found = positions(name)
        assert found is not None
        return picture, components(canvas, found, places, (pitch, pitch))

    def close(self) -> None:
        """Free what has come back. What has not is left alone: somebody may still read it."""
        self.closed = True
        if not self.lent:
            return
        self._context = None
        gc.collect()  # containers and their encoders keep each other alive, and NVENC remembers addresses
        self._take_back()
        works = self._device.settled()
        for memory, _ in self._idle:
            if not works:
                self._device.wreck.append(memory)
                continue
            with suppress(self._device.driver.Error):
                memory.free()
        self._idle = []

    def _loan(self, size: int) -> tuple[_Loan, int]:
        self._take_back()
        at = next((at for at, (_, held) in enumerate(self._idle) if held == size), None)
        self._device.require()
        memory = self._device.driver.mem_alloc(size) if at is None else self._idle.pop(at)[0]
        return _Loan(self, memory, size), int(memory)

    def _take_back(self) -> None:
        while self.returned:
            self._idle.append(self.returned.popleft())

    def _wrapped(
        self,
        canvas: Canvas,
        name: str,
        places: tuple[int, int],
        heights: tuple[int, int],
        pitch: int,
        sample: int,
        loan: _Loan,
    ) -> av.VideoFrame:
        if self._context is None:
            self._context = CudaContext(device_id=0, primary_ctx=True)
        tensors = []
        for place, height in zip(places, heights, strict=True):
            shape = (ctypes.c_int64 * 2)(height, canvas.width)
            strides = (ctypes.c_int64 * 2)(pitch // sample, 1)
            tensor = _Tensor(place, _CUDA, 0, 2, _UNSIGNED, 8 * sample, 1, shape, strides, 0, None)
            tensor.deleter = ctypes.cast(_DELETER, ctypes.c_void_p)
            _out[ctypes.addressof(tensor)] = tensor, shape, strides, loan
            tensors.append(ctypes.addressof(tensor))
        try:
            return VideoFrame.from_dlpack(
                [_capsule(address) for address in tensors],
                format=name,
                width=canvas.width,
                height=canvas.height,
                cuda_context=self._context,
            )
        except BaseException:
            for address in tensors:
                _out.pop(address, None)
            raise


def _capsule(address: int) -> object:
    make = ctypes.pythonapi.PyCapsule_New
    make.restype, make.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    capsule: object = make(address, _NAME, None)
    return capsule
