"""Writing all rows of a kind, page by page: a file of any length needs little memory."""

from collections.abc import AsyncIterator

import msgspec

from icecream.bulk import columns
from icecream.bulk.kinds import Kind, Record
from icecream.bulk.reading import Format
from icecream.reporting import csv_export


async def write_rows(kind: Kind, file_format: Format) -> AsyncIterator[str]:
    """Yield the text of a file with all rows, which an import reads back unchanged."""
    rows = await kind.read(0)
    if file_format == "csv":
        yield csv_export.rows_to_csv([columns.column_names(kind)])
    while rows:
        yield _to_text(kind, file_format, [record for _, record in rows])
        rows = await kind.read(rows[-1][0])


def _to_text(kind: Kind, file_format: Format, records: list[Record]) -> str:
    if file_format == "jsonl":
        return b"".join(msgspec.json.encode(record) + b"\n" for record in records).decode()
    lines = (cells for record in records for cells in columns.to_cells(kind, record))
    return csv_export.rows_to_csv(lines)
