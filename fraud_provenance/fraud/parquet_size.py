"""What a Parquet file would unpack to, by its own declarations, before anything is unpacked.

The footer alone is no bound: a reader allocates what the header before each page says, and
run-length encoding makes any number of values small. Hence footer, page headers and numbers of
values are all counted. In: a whole file. Out: bytes. Limits are the caller's.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pyarrow.parquet as pq  # slow import, only where a file is read

MAX_PAGES: Final = 200_000  # pages hold a mebibyte or 20,000 rows: far more than any file read here
# Bytes of one value in memory; text is a view of 16 bytes (Arrow columnar format, "View layout").
_WIDTHS: Final = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 8}
_VIEW_BYTES: Final = 16
_STRUCT, _MAX_DEPTH = 12, 8


class MalformedError(ValueError):
    """A page header that cannot be read."""


class TooManyPagesError(ValueError):
    """More pages than any honest file has."""


def unpacked_bytes(content: bytes | memoryview, metadata: "pq.FileMetaData") -> int:
    """Return the most bytes that reading the whole file may take, by any of its declarations.

    Args:
        content: The file.
        metadata: Its footer.

    Raises:
        MalformedError: a page header is no page header. TooManyPagesError: see `MAX_PAGES`.
    """
    in_footer = in_pages = in_memory = pages = 0
    for group in (metadata.row_group(index) for index in range(metadata.num_row_groups)):
        in_footer += group.total_byte_size
        for index in range(group.num_columns):
            chunk = group.column(index)
            values = 0
            for unpacked, count in _pages(memoryview(content), chunk):
                in_pages, values, pages = in_pages + unpacked, values + count, pages + 1
                if pages > MAX_PAGES:
                    raise TooManyPagesError(f"more than {MAX_PAGES} pages")
            values = max(values, chunk.num_values, group.num_rows, 0)
            in_memory += values * _width(metadata, index)
    return max(in_footer, in_pages, in_memory)


def _width(metadata: "pq.FileMetaData", index: int) -> int:
    column = metadata.schema.column(index)
    return int(_WIDTHS.get(column.physical_type, max(_VIEW_BYTES, column.length)))


def _pages(content: memoryview, chunk: "pq.ColumnChunkMetaData") -> Iterator[tuple[int, int]]:
    """(unpacked bytes, values) of each page, as the headers before the pages say.

    Source: parquet-format, parquet.thrift, PageHeader: 2 and 3 are the sizes; 5, 7 and 8 the
    headers of data, dictionary and version 2 data pages, whose first field counts the values.
    """
    dictionary = chunk.dictionary_page_offset
    at = chunk.data_page_offset if dictionary is None else dictionary
    end = at + chunk.total_compressed_size
    if not 0 <= at <= end <= len(content):
        raise MalformedError("a column lies outside the file")
    while at < end:
        reader = _Compact(content[at:end])
        header = reader.struct()
        data = header.get(5) or header.get(8)
        unpacked, packed = _count(header, 2), _count(header, 3)
        yield unpacked, _count(data, 1) if isinstance(data, dict) else 0
        at += reader.at + packed


def _count(fields: dict[int, Any], number: int) -> int:
    found = fields.get(number)
    if not isinstance(found, int) or found < 0:
        raise MalformedError("a page that does not say its size")
    return found


class _Compact:
    """Reads Thrift's compact protocol (thrift-compact-protocol.md); bounded by its bytes."""

    def __init__(self, content: memoryview) -> None:
        self._content, self.at = content, 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Field number → value."""
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            step, kind = head >> 4, head & 15
            number = number + step if step else self._signed()
            fields[number] = self._field(kind, depth)
        return fields

    def _field(self, kind: int, depth: int) -> Any:  # noqa: ANN401 - what the field holds
        return kind == 1 if kind in (1, 2) else self._value(kind, depth)

    def _value(self, kind: int, depth: int) -> Any:  # noqa: ANN401 - what the field holds
        if depth > _MAX_DEPTH:
            raise MalformedError("nested too deeply")
        if kind in (4, 5, 6):
            return self._signed()
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (9, 10):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._varint()
            return [self._value(head & 15, depth + 1) for _ in range(self._fits(count))]
        lengths = {1: 1, 2: 1, 3: 1, 7: 8}
        length = self._varint() if kind == 8 else lengths.get(kind)
        if length is None:
            raise MalformedError(f"a field of kind {kind}")
        self.at += self._fits(length)
        return None

    def _fits(self, length: int) -> int:
        if length > len(self._content) - self.at:
            raise MalformedError("a field is longer than its page")
        return length

    def _byte(self) -> int:
        self.at += self._fits(1)
        return int(self._content[self.at - 1])

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise MalformedError("a number of more than ten bytes")

    def _signed(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
