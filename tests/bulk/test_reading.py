"""Test how files are read: as spreadsheets of several countries write them, and hostile ones."""

import io
import os
from typing import Any

import pytest

from icecream import errors
from icecream.bulk import kinds, reading, running
from icecream.cli import bulk

# Reading does not depend on the database.
pytestmark = pytest.mark.only("sqlite")
STOCK, ORDERS, FLAVORS = (running.KINDS[name] for name in ("stock", "orders", "flavors"))
HEADER = "key,flavor_name,quantity,reason\r\n"


def read(
    text: str | bytes, kind: kinds.Kind = STOCK, file_format: reading.Format = "csv"
) -> list[reading.FileRow]:
    data = text.encode() if isinstance(text, str) else text
    return list(reading.read_rows(io.BytesIO(data), kind, file_format))


def refusal(text: str | bytes, kind: kinds.Kind = STOCK) -> tuple[str, str]:
    """Return the place and the code of the error about a whole file."""
    with pytest.raises(errors.ValidationFailed) as raised:
        read(text, kind)
    (error,) = raised.value.members["errors"]
    return error["pointer"], error["code"]


def problems(rows: list[reading.FileRow]) -> list[tuple[int, str, str] | None]:
    """Return the row, the pointer and the code of each problem."""
    return [problem_of(row) for row in rows]


def problem_of(row: reading.FileRow) -> tuple[int, str, str] | None:
    if row.problem is None:
        return None
    (error,) = row.problem.members["errors"]
    return row.number_of(error["pointer"]), error["pointer"], error["code"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_file_of_any_spreadsheet_is_read(separator: str, encoding: str, end: str) -> None:
    cells = [
        ["name", "Price_EUR ", "description", "on_sale_from", "archived"],
        ["Crème", '"2,60"', '"a line\n""another"""', "1.5.2025", "FALSE"],
        ["Mango", "3.1", "", "", ""],
        ["", "", "", "", ""],
    ]
    text = end.join(separator.join(line) for line in cells)
    crème, mango = read(text.encode(encoding), FLAVORS)
    assert (crème.numbers, mango.numbers) == ([2], [3])
    assert crème.problem is None, crème.problem
    assert (crème.value.name, crème.value.price) == ("Crème", 260)
    assert crème.value.description == 'a line\n"another"'
    assert (str(crème.value.on_sale_from), crème.value.archived) == ("2025-05-01", False)
    assert (mango.value.price, mango.value.on_sale_from) == (310, None)


@pytest.mark.parametrize(
    ("price", "minor", "read_as"),
    [
        ("1,5", "", 150),
        ("1040", "", 104_000),
        ("1,040.00", "", 104_000),
        ("1040,00", "104000", 104_000),
        ("", "7", 7),
        ("1,040", "", "/price_eur"),
        ("1.040,00", "", "/price_eur"),
        ("-1", "", "/price_eur"),
        ("2.60", "261", "/price_minor"),
        ("", "2.60", "/price"),
    ],
)
def test_an_amount_has_one_meaning_or_none(price: str, minor: str, read_as: int | str) -> None:
    (row,) = read(f'name;price_eur;price_minor\nMango;"{price}";{minor}\n', FLAVORS)
    if row.problem is None:
        assert row.value.price == read_as
    else:
        assert row.problem.members["errors"][0]["pointer"] == read_as


def test_lines_with_one_key_are_one_order() -> None:
    first, second, third = read(
        "key,customer,sku,quantity,note\n"
        "a,shop,VAN,1,hello\n"
        "a,shop,MAN,2,\n"
        "b,shop,VAN,0,\n"
        "c,shop,VAN,1,\n"
        "c,other,VAN,1,\n",
        ORDERS,
    )
    assert [(line.sku, line.quantity) for line in first.value.lines] == [("VAN", 1), ("MAN", 2)]
    assert first.value.note == "hello"
    assert problems([second, third]) == [
        (4, "/lines/0/quantity", "invalid"),
        (5, "/customer", "invalid"),
    ]


def test_an_error_in_a_later_line_names_its_row() -> None:
    rows = read("key,customer,sku,quantity\na,shop,V,1\na,shop,V,x\n", ORDERS)
    assert problems(rows) == [(3, "/lines/1/quantity", "invalid")]


def test_an_order_with_too_many_lines_is_one_refused_row() -> None:
    (row,) = read("key,customer,sku,quantity\n" + "a,shop,VAN,1\n" * 100_000, ORDERS)
    assert problems([row]) == [(2, "/lines", "invalid")]
    assert len(row.numbers) <= 101


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("/1", "missing")),
        ("\r\n", ("/1", "missing")),
        ("key,reason\r\n", ("/1/quantity", "missing")),
        ("key,quantity,reason,quantity\r\n", ("/1/quantity", "invalid")),
        ("key,quantity,reason,flavour_name\r\n", ("/1/flavour_name", "unknown-field")),
        (HEADER.encode("utf-16-le"), ("/1", "encoding")),
        (HEADER.encode() + b"a,Caf\xe9,1,x\r\n", ("/2", "encoding")),
        (HEADER + 'a,"Mango,1,x\r\n', ("/2", "malformed")),
        (HEADER + 'a,"Man"go,1,x\r\n', ("/2", "malformed")),
        (HEADER + "a,Mango,1," + "x" * 100_001, ("/2", "too-long")),
        (HEADER + 'a,Mango,1,x\nb,"' + "x\n" * 100_001, ("/3", "too-long")),
        ("," * 1_000_000, ("/1", "too-long")),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_as_a_whole(
    text: str | bytes, expected: tuple[str, str]
) -> None:
    assert refusal(text) == expected


def test_an_empty_file_of_json_lines_is_refused() -> None:
    with pytest.raises(errors.ValidationFailed, match="Row 1 of the file"):
        read("\n\n", STOCK, "jsonl")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a,Mango,1,x,,,,y", ("", "too-many-cells")),
        ("a,Mango,1", ("/reason", "missing")),
        ("a,Man\0go,1,x", ("/flavor_name", "invalid")),
        ("a,Mango,1e3,x", ("/quantity", "invalid")),
        ("a,Mango,0,x", ("/quantity", "invalid")),
        ("a,Mango,1,x,2025-05-13T10:22:06", ("/received_at", "invalid")),
        (f"{'a' * 256},Mango,1,x", ("/key", "invalid")),
        ("a,,1,x", ("/flavor_name", "invalid")),
        (",Mango,1,x", ("/key", "missing")),
    ],
)
def test_a_bad_row_names_its_field_and_leaves_the_others(
    line: str, expected: tuple[str, str]
) -> None:
    header = HEADER.replace("reason", "reason,received_at")
    bad, good = read(f"{header}{line}\r\nb,Mango,1,x\r\n")
    assert problems([bad, good]) == [(2, *expected), None]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{", ("", "malformed")),
        ("[" * 5000, ("", "malformed")),
        ("[]", ("", "invalid")),
        ('{"key": "a", "flavor_name": "Mango", "quantity": 1}', ("/reason", "missing")),
        ('{"key": "a", "extra": 1}', ("/extra", "unknown-field")),
    ],
)
def test_a_bad_line_of_json_names_its_field(line: str, expected: tuple[str, str]) -> None:
    good = '{"key": "b", "sku": "MAN", "quantity": 1, "reason": "x"}'
    rows = read(f"{line}\n\n{good}\n", STOCK, "jsonl")
    assert problems(rows) == [(1, *expected), None]
    assert rows[1].numbers == [3]


def test_an_amount_in_another_currency_is_refused() -> None:
    line = '{"flavor_name": "Mango", "price": 1, "currency": "USD"}'
    rows = read(line, running.KINDS["prices"], "jsonl")
    assert problems(rows) == [(1, "/currency", "invalid")]
    assert refusal("flavor_name,price_usd\n", running.KINDS["prices"])[0] == "/1/price_usd"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_the_replacement_character_is_a_character(encoding: str) -> None:
    (row,) = read(f"{HEADER}a,Man\N{REPLACEMENT CHARACTER}go,1,x\r\n".encode(encoding))
    assert row.value.flavor_name == "Man\N{REPLACEMENT CHARACTER}go"


def test_the_commands_have_all_kinds() -> None:
    assert list(bulk.KINDS) == list(running.KINDS)


def test_a_pipe_is_read_twice() -> None:
    end, start = os.pipe()
    os.write(start, f"{HEADER}a,Mango,1,x\r\n".encode())
    os.close(start)
    with os.fdopen(end, "rb") as pipe:
        file = bulk.rewindable(pipe)
    for _ in range(2):
        assert [row.problem for row in reading.read_rows(file, STOCK, "csv")] == [None]
    file.close()


@pytest.mark.parametrize("kind", [STOCK, ORDERS])
def test_a_key_is_used_once_in_a_file(kind: kinds.Kind) -> None:
    """The first row would be imported without the later one."""
    head = HEADER if kind is STOCK else "key,customer,flavor_name,quantity\r\n"
    text = head + "".join(f"{key},Mango,1,x\r\n" for key in ("a", "b", "a"))
    assert refusal(text, kind) == ("/4/key", "key-repeated")


def test_reading_does_not_keep_the_rows() -> None:
    """A file of 100,000 rows is read with a few of them in memory."""

    class Endless(io.RawIOBase):
        """A file that is generated while it is read, and counts its bytes."""

        def __init__(self) -> None:
            self.given, self.rows, self.buffer = 0, 0, HEADER.encode()

        def readable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return True

        def seek(self, offset: int, whence: int = 0) -> int:
            return 0

        def readinto(self, target: Any) -> int:
            while len(self.buffer) < len(target):
                self.rows += 1
                self.buffer += b"a%d,Mango,1,x\r\n" % self.rows
            target[:], self.buffer = self.buffer[: len(target)], self.buffer[len(target) :]
            self.given += len(target)
            return len(target)

    file = Endless()
    rows = reading.read_rows(io.BufferedReader(file), STOCK, "csv")
    for _ in range(3):
        next(rows)
    assert file.given < 100_000
