"""TFRecord files of tf.train.Example messages, written without TensorFlow.

Both formats are small and frozen. A record is its length, the length's checksum, the data and the
data's checksum (https://www.tensorflow.org/tutorials/load_data/tfrecord); an Example is a map from
names to lists of bytes, float32 or int64 (``tensorflow/core/example/{example,feature}.proto``).
"""

import inspect
import struct
from collections.abc import Mapping, Sequence
from typing import BinaryIO

import numpy as np
from jaxtyping import UInt8, UInt32
from numba import njit

from rl_datagen.core.numba_cache import find_numba_cache

find_numba_cache()
Values = Sequence[bytes] | np.ndarray
"""Bytes, float32 values or whole numbers; arrays are flattened."""

_BYTES, _FLOATS, _INTEGERS = 1, 2, 3  # fields of the message Feature


def example(features: Mapping[str, Values]) -> bytes:
    """Returns a serialised tf.train.Example."""
    entries = [
        _field(1, _field(1, name.encode()) + _field(2, _feature(values)))
        for name, values in features.items()
    ]
    return _field(1, b"".join(entries))


def write_record(file: BinaryIO, data: bytes) -> None:
    """Appends a record to a TFRecord file."""
    length = struct.pack("<Q", len(data))
    file.write(length + _checksum(length))
    file.write(data)
    file.write(_checksum(data))


def _feature(values: Values) -> bytes:
    if not isinstance(values, np.ndarray):
        return _field(_BYTES, b"".join(_field(1, value) for value in values))
    flat = values.reshape(-1)
    if flat.dtype.kind == "f":
        return _field(_FLOATS, _field(1, flat.astype("<f4").tobytes()))
    return _field(_INTEGERS, _field(1, b"".join(_varint(int(value)) for value in flat)))


def _field(number: int, data: bytes) -> bytes:
    """A length-delimited field of a protocol buffer."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def _checksum(data: bytes) -> bytes:
    """CRC-32C, masked as TFRecord does, so that a checksum of checksums is still a good one."""
    crc = int(_crc32c(np.frombuffer(data, np.uint8), _TABLE))
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _table() -> UInt32[np.ndarray, "256"]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = table >> 1 ^ np.where(table & 1, np.uint32(0x82F63B78), np.uint32(0))
    return table


def _crc32c_python(data: UInt8[np.ndarray, " N"], table: UInt32[np.ndarray, "256"]) -> int:
    crc = np.uint32(0xFFFFFFFF)
    for byte in data:
        crc = np.uint32(table[(crc ^ byte) & 0xFF] ^ (crc >> np.uint32(8)))
    return int(crc ^ np.uint32(0xFFFFFFFF))


# Tests may wrap every function in a check of its annotations; the function inside is compiled.
_crc32c = njit(cache=True, nogil=True)(inspect.unwrap(_crc32c_python))
_TABLE = _table()
