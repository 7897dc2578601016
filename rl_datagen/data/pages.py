"""Single values of a Parquet file's binary columns, such as the bytes of one image.

Arrow reads a row group whole: all images of an episode for one of them. Here the data pages of a
column are found by their headers (structs of Thrift's compact protocol), and its values in the
pages, where ``PLAIN`` ones lie one after the other, each after its length. What is not compressed
is never copied. The formats: https://parquet.apache.org/docs/file-format,
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from rl_datagen.data.shards import open_parquet, reading

_PLAIN = 0
_NUM_KEPT = 4  # unpacked pages: what is asked for together lies together


@dataclass(frozen=True, eq=False)
class _Page:
    """A data page.

    Attributes:
        body: Its bytes in the file, after the header.
        num_bytes: Size of its content.
        codec: What its content is packed with; None: it is not.
        ends: Where each value ends in its content; first, where the first one's length begins.
    """

    body: memoryview
    num_bytes: int
    codec: pa.Codec | None
    ends: list[int]


class BinaryFile:
    """A Parquet file, opened for single values of its binary columns; not for two threads at once.

    Args:
        path: The file, as ``write_parquet`` writes it.

    Raises:
        DatasetError: It is not a Parquet file.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, open_parquet(path)
        self._bytes = memoryview(pa.memory_map(str(path)).read_buffer()).cast("B")
        self._pages: dict[tuple[int, str], list[_Page]] = {}
        self._kept: dict[_Page, memoryview] = {}  # unpacked, the one used last at the end

    def read(self, group: int, column: str, row: int) -> memoryview:
        """Returns the value of a column at a row of a row group.

        Raises:
            DatasetError: It is damaged, or another program wrote it.
        """
        with reading(self._path):
            for page in self._pages_of(group, column):
                if row < (num_rows := len(page.ends) - 1):
                    return self._content(page)[page.ends[row] + 4 : page.ends[row + 1]]
                row -= num_rows
            raise ValueError(f"{column} of row group {group} has too few rows")

    def _pages_of(self, group: int, column: str) -> list[_Page]:
        """Returns the pages of a column in a row group, looked for once."""
        if (group, column) not in self._pages:
            try:
                self._pages[group, column] = list(self._find(group, column))
            except (LookupError, TypeError, RecursionError):
                raise ValueError(f"a page header of {column} is damaged") from None
        return self._pages[group, column]

    def _find(self, group: int, column: str) -> Iterator[_Page]:
        index = self._file.schema_arrow.names.index(column)
        chunk = self._file.metadata.row_group(group).column(index)
        packed = chunk.compression != "UNCOMPRESSED"
        codec = pa.Codec(chunk.compression.lower()) if packed else None
        is_optional = self._file.schema.column(index).max_definition_level == 1
        at, num_left = chunk.data_page_offset, chunk.num_values
        while num_left > 0:
            header, begin = read_struct(self._bytes, at)
            is_data_page, num_bytes, num_stored_bytes = header[1] == 0, header[2], header[3]
            num_values, encoding = (header[5][1], header[5][2]) if is_data_page else (0, None)
            has_nulls = chunk.statistics is None or chunk.statistics.null_count > 0
            if encoding != _PLAIN or num_values < 1 or has_nulls:
                raise ValueError(f"{column} is not encoded as this program writes it")
            at = begin + num_stored_bytes
            page = _Page(self._bytes[begin:at], num_bytes, codec, [])
            page.ends.extend(_ends(self._content(page), num_values, is_optional))
            num_left -= num_values
            yield page

    def _content(self, page: _Page) -> memoryview:
        if page.codec is None:
            return page.body
        content = self._kept.pop(page, None)
        if content is None:
            unpacked = page.codec.decompress(pa.py_buffer(page.body), page.num_bytes)
            content = memoryview(unpacked).cast("B")
        self._kept[page] = content
        while len(self._kept) > _NUM_KEPT:
            del self._kept[next(iter(self._kept))]
        return content


def _ends(content: memoryview, num_values: int, is_optional: bool) -> Iterator[int]:
    """Yields where the first value begins, and where each ends, its length counted in."""
    # Which values are there is said first, if some might not be; here all of them are.
    at = 4 + int.from_bytes(content[:4], "little") if is_optional else 0
    yield at
    for _ in range(num_values):
        at += 4 + int.from_bytes(content[at : at + 4], "little")
        if at > len(content):
            raise ValueError("a value is longer than its page")
        yield at


def read_struct(data: memoryview, at: int) -> tuple[dict[int, Any], int]:
    """Returns a struct of Thrift's compact protocol, by field number, and where it ends."""
    fields, number = {}, 0
    while (head := data[at]) != 0:
        at, delta = at + 1, head >> 4
        if delta:
            number += delta
        else:
            number, at = _integer(data, at)
        fields[number], at = _value(data, at, head & 15)
    return fields, at + 1


def _value(data: memoryview, at: int, kind: int) -> tuple[Any, int]:
    if kind in (1, 2):  # true, false
        return kind == 1, at
    if kind in (4, 5, 6):  # integers of 16, 32 and 64 bits
        return _integer(data, at)
    if kind == 8:
        length, at = _varint(data, at)
        return data[at : at + length], at + length
    if kind == 12:
        return read_struct(data, at)
    raise ValueError(f"a page header holds a value of kind {kind}")


def _integer(data: memoryview, at: int) -> tuple[int, int]:
    """Reads a zigzag integer."""
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
