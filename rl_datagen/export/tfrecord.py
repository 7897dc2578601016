"""TFRecord files of tf.train.Example messages, written without TensorFlow.

Both formats are small and frozen. A record is its length, the length's checksum, the data and the
data's checksum (https://www.tensorflow.org/tutorials/load_data/tfrecord); an Example is a map from
names to lists of bytes, float32 or int64 (``tensorflow/core/example/{example,feature}.proto``).
"""

import struct
from collections.abc import Mapping, Sequence
from typing import BinaryIO

import google_crc32c
import numpy as np

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
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
