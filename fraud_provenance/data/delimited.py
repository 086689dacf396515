"""CSV files: their form judged line by line before any value is read, then read as text.

A line that is cut, blank or has an open quote is found by counting its bytes, so that a message can
name the line and needs to show nothing of it.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

import numpy as np
import polars as pl

from fraud_provenance.fraud.errors import DataError

if TYPE_CHECKING:
    import numpy.typing as npt

_CHUNK_BYTES: Final = 2**24
_MAX_LINE_BYTES: Final = 2**20
_NEWLINE, _QUOTE = 10, 34
_BLANKS: Final = (9, 32)
_BYTE_ORDER_MARKS: Final = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_VALUE: Final = re.compile(r"[+-]?[0-9.]+(e[+-]?[0-9]+)?$|\d{4}-\d\d-\d\d|\d\d?[/.]\d\d?[/.]\d\d")
SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class Dialect:
    """How a file is written. The default is the form that needs no mapping."""

    separator: str = ","
    skip_lines: int = 0


@dataclass(frozen=True)
class Chunk:
    """Rows as text, all columns; `first_line` is the line of the first row in the file."""

    frame: pl.DataFrame
    first_line: int


def read_header(stream: IO[bytes], name: str, dialect: Dialect) -> tuple[list[str], bytes]:
    """The columns' names, and the bytes read beyond them.

    Raises:
        DataError: ENCODING or FILE_FORMAT. No line at all gives no names.
    """
    content = stream.read(_MAX_LINE_BYTES)
    if content.startswith(_BYTE_ORDER_MARKS):
        raise _encoding(name, "the file starts with a byte order mark", 0)
    for _ in range(dialect.skip_lines):
        content = content.partition(b"\n")[2]
    line, newline, rest = content.partition(b"\n")
    if not newline and b"\r" in line:
        raise _form(name, "lines end with CR alone", "write lines that end with LF or CRLF")
    if not newline and len(content) == _MAX_LINE_BYTES:
        raise _form(name, "the first line is longer than any header", "deliver the file again")
    _check_utf8(line, name, dialect.skip_lines + 1)
    text = line.rstrip(b"\r").decode("utf-8")
    names = _names(text, dialect.separator) if text else []
    if 2 * sum(bool(_VALUE.match(found)) for found in names) > len(names):
        raise _form(
            name, f"line {dialect.skip_lines + 1} holds values, where the columns' names should be",
            "begin the file with one line of column names",
        )  # fmt: skip
    return names, rest


def _names(line: str, separator: str) -> list[str]:
    names = [field.strip() for field in line.split(separator)]
    return [name[1:-1] if len(name) > 1 and name[0] == name[-1] == '"' else name for name in names]


def read_rows(
    stream: IO[bytes], begun: bytes, columns: list[str], name: str, dialect: Dialect
) -> Iterator[Chunk]:
    """All rows after the header, as text, some 16 MiB at a time.

    Raises:
        DataError: ENCODING; FILE_FORMAT with the line: a wrong number of fields, a blank line
            between rows, a quote that is not closed.
    """
    line = dialect.skip_lines + 2  # after the header
    form = _Form(name, columns, dialect, line)
    rest = begun
    while True:
        more = stream.read(_CHUNK_BYTES)
        content = rest + more
        cut = content.rfind(b"\n") + 1 if more else len(content)
        whole, rest = content[:cut], content[cut:]
        if len(rest) > _CHUNK_BYTES:
            raise _form(name, f"a line after line {form.line} never ends", "deliver the file again")
        if whole:
            rows = form.check(whole)
            if rows:
                frame = _parse(rows, columns, name, dialect)
                if frame.height != rows.count(b"\n"):
                    raise _quotes(name)
                yield Chunk(frame, form.first_line)
        if not more:
            return


class _Form:
    """Judges the form of lines, chunk by chunk; remembers a blank line that may be the last."""

    def __init__(self, name: str, columns: list[str], dialect: Dialect, line: int) -> None:
        self._name, self._columns = name, columns
        self._separator = ord(dialect.separator)
        self._header_lines = line - 1
        self.line = self.first_line = line
        self._blank = 0

    def check(self, content: bytes) -> bytes:
        """The lines of `content` without blank ones at the end.

        Raises:
            DataError: as `read_rows`.
        """
        if b"\r" in content:
            content = content.replace(b"\r\n", b"\n")
        if not content.endswith(b"\n"):
            content += b"\n"
        self.first_line = self.line
        data = np.frombuffer(content, np.uint8)
        ends = np.flatnonzero(data == _NEWLINE)
        starts = np.concatenate(([0], ends[:-1] + 1))
        blank = ends == starts
        for index in np.flatnonzero(
            np.isin(data[starts], _BLANKS) & np.isin(data[ends - 1], _BLANKS)
        ):
            blank[index] = not content[starts[index] : ends[index]].strip()
        rows = ~blank
        last = int(np.flatnonzero(rows)[-1]) if rows.any() else -1
        if last >= 0 and (self._blank or blank[:last].any()):
            found = self._blank or self.line + int(np.flatnonzero(blank)[0])
            raise _form(
                self._name,
                f"line {found} is blank, and rows follow it",
                "take the blank line out, or deliver the file again if rows are missing",
            )
        if last + 1 < len(ends):
            self._blank = self._blank or self.line + last + 1
        kept = content[: ends[last] + 1] if last >= 0 else b""
        _check_utf8(kept, self._name, self.line, self._header_lines)
        self._check_fields(data[: len(kept)], starts[: last + 1], ends[: last + 1])
        self.line += len(ends)
        return kept

    def _check_fields(
        self,
        data: "npt.NDArray[np.uint8]",
        starts: "npt.NDArray[np.int64]",
        ends: "npt.NDArray[np.int64]",
    ) -> None:
        quotes = np.flatnonzero(data == _QUOTE)
        marks = np.flatnonzero(data == self._separator)
        if len(quotes):
            odd = np.diff(np.searchsorted(quotes, np.append(starts, len(data)))) % 2 == 1
            if odd.any():
                self._refuse(int(np.flatnonzero(odd)[0]), "a quote is not closed")
            marks = marks[np.searchsorted(quotes, marks) % 2 == 0]
        fields = np.searchsorted(marks, ends) - np.searchsorted(marks, starts) + 1
        wrong = fields != len(self._columns)
        if wrong.any():
            index = int(np.flatnonzero(wrong)[0])
            self._refuse(index, f"it has {fields[index]} of {len(self._columns)} fields")

    def _refuse(self, index: int, what: str) -> None:
        line = self.line + index
        row = line - self._header_lines
        raise DataError(
            "FILE_FORMAT",
            f"row {row} (line {line}): {what}",
            file=self._name,
            rows=[row],
            remedy="deliver the file again, whole; a field with a separator in it stands in quotes",
        )


def _parse(content: bytes, columns: list[str], name: str, dialect: Dialect) -> pl.DataFrame:
    try:
        return pl.read_csv(
            content, has_header=False, new_columns=columns, infer_schema=False,
            separator=dialect.separator,
        )  # fmt: skip
    except pl.exceptions.PolarsError as error:  # its words may quote rows
        raise _quotes(name) from error


def _quotes(name: str) -> DataError:
    return _form(
        name, "its quotes can be read in two ways",
        "a field with a separator in it stands in quotes as a whole; a quote in it is doubled",
    )  # fmt: skip


def _check_utf8(content: bytes, name: str, line: int, header_lines: int = 0) -> None:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        at = line + content[: error.start].count(b"\n")
        raise _encoding(name, f"line {at} is not UTF-8", max(at - header_lines, 0)) from error


def _encoding(name: str, message: str, row: int) -> DataError:
    return DataError(
        "ENCODING", message, file=name, rows=[row] if row else [],
        remedy="save as UTF-8 without byte order mark",
    )  # fmt: skip


def _form(name: str, message: str, remedy: str) -> DataError:
    return DataError("FILE_FORMAT", message, file=name, remedy=remedy)
