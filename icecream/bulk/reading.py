"""Reading a file, row by row: its memory does not depend on the length of the file."""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, BinaryIO, Literal

import msgspec
from msgspec import Struct

from icecream import constraints, conversion, errors
from icecream.bulk import columns
from icecream.bulk.kinds import Kind, Record
from icecream.orders.ordered_lines import MAX_LINES

Format = Literal["csv", "jsonl"]
# The longest valid row, a flavor with a description, is much shorter.
MAX_ROW_LENGTH = 100_000
# A spreadsheet separates cells with the character that is not the decimal separator, or with tabs.
SEPARATORS = ",;\t"
# Excel's "Unicode text" begins with one of these, and its CSV in UTF-8 with its own mark.
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_WRONG_ENCODING = "it is not text in UTF-8 (save the file as CSV UTF-8, or as Unicode text)"
# What takes the place of bytes that are not valid: no valid text has it.
_INVALID = "\udcff"


def _mark_invalid(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return _INVALID, error.end


codecs.register_error("mark-invalid", _mark_invalid)


class FileRow(Struct):
    """A row of a file: the numbers of its lines, and its value or what is wrong with it."""

    numbers: list[int]
    value: Any = None
    problem: errors.ValidationFailed | None = None

    @property
    def weight(self) -> int:
        """How much of a batch it takes."""
        return len(getattr(self.value, "lines", (0,)))

    def number_of(self, pointer: str) -> int:
        """Return the number of the line to which an error points."""
        steps = pointer.split("/")
        if len(self.numbers) > 1 and steps[1:2] == ["lines"] and len(steps) > 2:
            return self.numbers[int(steps[2])]
        return self.numbers[0]


def read_rows(file: BinaryIO, kind: Kind, file_format: Format) -> Iterator[FileRow]:
    """Yield the rows of a file, from its beginning.

    Raises:
        errors.ValidationFailed: the file as a whole cannot be read; the error points at the line.
    """
    file.seek(0)
    encoding = "utf-16" if file.read(2) in _UTF16_MARKS else "utf-8-sig"
    file.seek(0)
    text = io.TextIOWrapper(file, encoding=encoding, errors="mark-invalid", newline="")
    try:
        read = _read_csv if file_format == "csv" else _read_json_lines
        # Hashes need less memory than keys.
        used = set[int]()
        for row in read(_Lines(text), kind):
            if "key" in kind.columns:
                _require_new_key(row, used)
            if row.problem is None:
                _convert(row, kind)
            yield row
    finally:
        # The file is read again.
        text.detach()


def _require_new_key(row: FileRow, used: set[int]) -> None:
    """Refuse the file if an earlier row has the same key: it would be imported without this row."""
    key = row.value.get("key") if isinstance(row.value, dict) else None
    if isinstance(key, str) and key:
        if hash(key) in used:
            detail = (
                f"an earlier row has the key {key[:100]} (the rows of an order must be together)"
            )
            raise _refuse(row.numbers[0], "key-repeated", detail, "key")
        used.add(hash(key))


def _convert(row: FileRow, kind: Kind) -> None:
    try:
        row.value = conversion.convert_body(row.value, kind.row)
    except errors.ValidationFailed as problem:
        row.problem = problem


def _refuse(number: int, code: str, detail: str, column: str = "") -> errors.ValidationFailed:
    steps = [str(number), column] if column else [str(number)]
    detail = f"Row {number} of the file: {detail}."
    return errors.ValidationFailed(errors.json_pointer(steps), code, detail)


class _Lines:
    """The lines of a text; a row may have several, but not too much text."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        # The row that is being read, and its length so far.
        self.number, self._length = 0, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(MAX_ROW_LENGTH + 1)
        if not line:
            raise StopIteration
        self._length += len(line)
        if self._length > MAX_ROW_LENGTH:
            raise _refuse(self.number, "too-long", f"it has more than {MAX_ROW_LENGTH} characters")
        if _INVALID in line:
            raise _refuse(self.number, "encoding", _WRONG_ENCODING)
        return line

    def begin_row(self) -> None:
        """Begin with the next row."""
        self.number += 1
        self._length = 0


def _read_csv(lines: _Lines, kind: Kind) -> Iterator[FileRow]:
    """Yield the rows of CSV; consecutive lines with the same key are one row if it has lines."""
    lines.begin_row()
    first = next(lines, "")
    separator = max(SEPARATORS, key=first.count)
    reader = csv.reader(chain([first], lines), delimiter=separator, strict=True)
    names = _check_header(_next_cells(reader, lines) or [], kind)
    row: FileRow | None = None
    lines.begin_row()
    while (cells := _next_cells(reader, lines)) is not None:
        if any(cells):
            found = _read_line(lines.number, names, cells, kind)
            if row is not None and kind.line_columns and _belongs_to(found, row):
                _add_line(row, found)
            else:
                if row is not None:
                    yield row
                row = found
        lines.begin_row()
    if row is not None:
        yield row


def _next_cells(reader: Iterator[list[str]], lines: _Lines) -> list[str] | None:
    try:
        return next(reader, None)
    except csv.Error as error:
        raise _refuse(lines.number, "malformed", f"it is not CSV ({error})") from None


def _check_header(cells: list[str], kind: Kind) -> list[str]:
    """Return the names of the columns.

    Raises:
        errors.ValidationFailed: a name is missing, unknown or repeated.
    """
    names = [cell.strip().lower() for cell in cells]
    while names and not names[-1]:
        names.pop()
    if any("\0" in name for name in names):
        raise _refuse(1, "encoding", _WRONG_ENCODING)
    if not names:
        raise _refuse(1, "missing", "it must have the names of the columns")
    known = columns.column_names(kind)
    for name, count in Counter(names).items():
        if name not in known:
            detail = f"there is no column {name[:100]!r}{constraints.suggest_name(name, known)}"
            raise _refuse(1, "unknown-field", detail, name)
        if count > 1:
            raise _refuse(1, "invalid", f"there are {count} columns {name}", name)
    for name in columns.missing_columns(kind, names):
        raise _refuse(1, "missing", f"there is no column {name}", name)
    return names


def _read_line(number: int, names: list[str], cells: list[str], kind: Kind) -> FileRow:
    by_name = dict(zip(names, cells, strict=False))
    # A faulty line still belongs to its row, which must not be imported without it.
    faulty = {"key": columns.read_text(by_name, "key"), "lines": []} if kind.line_columns else None
    if any(cells[len(names) :]):
        detail = f"The row has {len(cells)} cells, and the file {len(names)} columns."
        return FileRow([number], faulty, errors.ValidationFailed("", "too-many-cells", detail))
    try:
        values = columns.to_values(kind, by_name)
    except errors.ValidationFailed as problem:
        return FileRow([number], faulty, problem)
    return FileRow([number], values)


def _belongs_to(found: FileRow, row: FileRow) -> bool:
    """Return whether a line of the file has the key of the row before, or none."""
    key = found.value.get("key")
    return not key or key == row.value.get("key")


def _add_line(row: FileRow, found: FileRow) -> None:
    """Add a further line to a row; what both say about the whole row must be the same."""
    problem = found.problem
    if not found.value.get("key"):
        problem = errors.ValidationFailed("/key", "missing", "key is required in each row.")
    if problem and row.problem is None and len(row.numbers) <= MAX_LINES:
        (error,) = problem.members["errors"]
        place = f"/lines/{len(row.numbers)}{error['pointer']}"
        row.problem = errors.ValidationFailed(place, error["code"], error["detail"])
    given: Record = {
        name: value for name, value in found.value.items() if name != "lines" and value is not None
    }
    for name, value in given.items():
        if row.problem is None and row.value.get(name) != value:
            detail = f"{name} must be the same in all rows with the key {row.value['key']}."
            row.problem = errors.ValidationFailed(f"/{name}", "invalid", detail)
    # One more than a valid row has, so that it is refused.
    if len(row.numbers) <= MAX_LINES:
        row.numbers += found.numbers
        row.value["lines"] += found.value["lines"]


def _read_json_lines(lines: _Lines, kind: Kind) -> Iterator[FileRow]:
    lines.begin_row()
    is_empty = True
    for line in lines:
        if line.strip():
            is_empty = False
            yield _parse(lines.number, line)
        lines.begin_row()
    if is_empty:
        raise _refuse(1, "missing", f"it must be an object of {kind.name}")


def _parse(number: int, line: str) -> FileRow:
    decode: Callable[[str], Any] = msgspec.json.decode
    try:
        return FileRow([number], decode(line))
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        nested = isinstance(error, RecursionError)
        detail = f"The row is not JSON: {'it is nested too deeply' if nested else error}."
        return FileRow([number], problem=errors.ValidationFailed("", "malformed", detail))
