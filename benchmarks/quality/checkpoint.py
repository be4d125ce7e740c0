"""Reads the arrays of a PyTorch checkpoint, without PyTorch.

The first format (torch/serialization.py, `_legacy_load`): five pickles one after another (magic number, protocol,
system, the object, the keys of the storages), then for each key a little-endian count and that many float32. The
second format is a zip archive of a pickle, `data.pkl`, and a file for each storage.
"""

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

_MAGIC: Final = 0x1950A86A20F9469CFC6C


class _Floats:
    """Stands where the pickle names torch.FloatStorage."""


class _Integers:
    """Stands where the pickle names torch.LongStorage."""


class _Tensor:
    """A view into a storage that is read later."""

    def __init__(self, storage: tuple[type, str], offset: int, shape: tuple[int, ...]) -> None:
        self.kind, self.key = storage
        self.offset, self.shape = offset, shape


def _tensor(storage: tuple[type, str], offset: int, shape: tuple[int, ...], *_: object) -> _Tensor:
    return _Tensor(storage, offset, shape)


class _Reader(pickle.Unpickler):
    """Takes only what a checkpoint of plain tensors names; anything else is refused."""

    _KNOWN: Final = {
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        ("torch", "FloatStorage"): _Floats,
        ("torch", "LongStorage"): _Integers,
        ("collections", "OrderedDict"): OrderedDict,
    }

    def find_class(self, module: str, name: str) -> object:
        try:
            return self._KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"{module}.{name} does not belong in a checkpoint of tensors"
            ) from None

    def persistent_load(self, pid: tuple[object, ...]) -> object:
        return pid[1], pid[2]  # ("storage", type, key, device, count, view)


def read(content: bytes, entry: str) -> Mapping[str, NDArray[np.float32]]:
    """Return the named state of the checkpoint as float32 arrays."""
    stream = io.BytesIO(content)
    parts = [_Reader(stream).load() for _ in range(5)]
    if parts[0] != _MAGIC:
        raise ValueError("this is no checkpoint of PyTorch's first file format")
    state, keys = parts[3][entry], parts[4]
    storages = {key: _storage(stream) for key in keys}
    return {name: _array(tensor, storages[tensor.key]) for name, tensor in state.items()}


def read_archive(content: bytes, entry: str) -> Mapping[str, NDArray[np.float32]]:
    """Return the named state of a checkpoint of the second format; its integers, which count batches, are left out."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        [pickled] = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        state = _Reader(io.BytesIO(archive.read(pickled))).load()[entry]
        folder = pickled.removesuffix("data.pkl")
        return {
            name: _array(tensor, np.frombuffer(archive.read(f"{folder}data/{tensor.key}"), "<f4"))
            for name, tensor in state.items()
            if tensor.kind is _Floats
        }


def _storage(stream: io.BytesIO) -> NDArray[np.float32]:
    count = int.from_bytes(stream.read(8), "little")
    return np.frombuffer(stream.read(4 * count), "<f4")


def _array(tensor: _Tensor, storage: NDArray[np.float32]) -> NDArray[np.float32]:
    size = int(np.prod(tensor.shape))
    return storage[tensor.offset : tensor.offset + size].reshape(tensor.shape)
