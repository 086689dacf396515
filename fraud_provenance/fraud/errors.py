"""The one error of this package: data (or a configuration of data) that cannot be used."""

from collections.abc import Sequence

MAX_ROWS_NAMED = 5


class DataError(ValueError):
    """Data that is refused, with everything needed to find and mend the place.

    Attributes:
        code: Root cause, of a closed vocabulary (`SCHEMA_TYPE`, `ENCODING`, `RESOURCE_LIMIT`, ...).
        message: What was expected and what was found.
        file: Name of the file, or "" where there is none.
        column: Name of the column, or "".
        rows: At most five row numbers, counted from 1 and without the header.
        row_count: How many rows are concerned.
        remedy: What to do.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        file: str = "",
        column: str = "",
        rows: Sequence[int] = (),
        row_count: int | None = None,
        remedy: str = "",
    ) -> None:
        """Keep the parts; `str()` names all that are not empty."""
        self.code = code
        self.message = message
        self.file = file
        self.column = column
        self.rows = tuple(rows[:MAX_ROWS_NAMED])
        self.row_count = len(rows) if row_count is None else row_count
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        """Return one line: code, message, place, remedy."""
        parts = [f"{self.code}: {self.message}"]
        if self.file:
            parts.append(f"file {self.file}")
        parts += self._place()
        if self.remedy:
            parts.append(f"remedy: {self.remedy}")
        return "; ".join(parts)

    @property
    def placed_message(self) -> str:
        """The message with column and rows, for readers who are given the file apart."""
        return "; ".join([self.message, *self._place()])

    def _place(self) -> list[str]:
        parts = [f"column {self.column}"] if self.column else []
        if self.row_count:
            named = ", ".join(str(row) for row in self.rows)
            parts.append(f"{self.row_count} row(s)" + (f", first {named}" if named else ""))
        return parts
