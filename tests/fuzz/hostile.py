"""Hostile values for one field, as JSON texts, and as texts for queries and header fields."""

import json
from collections.abc import Iterator
from itertools import chain

INJECTIONS = (
    "' OR '1'='1",
    "'; DROP TABLE orders; --",
    '" OR ""="',
    "1; SELECT pg_sleep(9)",
    "1 UNION SELECT password FROM users",
    "admin'/*",
    "\\'; --",
    "%' AND 1=0 --",
    "$1",
    ":name",
    "?",
    "%s%s%s%n",
    "%x%d%p",
    "{0}",
    "{__class__.__mro__}",
    "{{7*7}}",
    "${7*7}",
    "#{7*7}",
    "<%= 7*7 %>",
    "${jndi:ldap://127.0.0.1/a}",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "<svg/onload=alert(1)>",
    '<!--#exec cmd="id"-->',
    "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
    "]]>",
    "../../../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "%2e%2e%2f",
    "file:///etc/passwd",
    "http://127.0.0.1:6379/",
    "//attacker.example",
    "; cat /etc/passwd",
    "| id",
    "`id`",
    "$(id)",
    "&& sleep 9",
    "a\r\nSet-Cookie: id=1",
    "a\nHost: attacker.example",
    "*)(uid=*",
    "' or count(/*)=1 or '",
    "=1+1",
    "@SUM(A1)",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "\t=1",
    '{"$ne": null}',
    '{"$gt": ""}',
    "[object Object]",
    "undefined",
    "null",
    "None",
    "true",
    "nil",
    "NaN",
    "Infinity",
    "__proto__",
    "constructor",
    "__import__('os')",
    'O:8:"stdClass":0:{}',
    "gASVCAAAAAAAAABd",
    "Bearer x.y.z",
    "4242 4242 4242 4242",
    "sk_test_x",
)
WRAPPINGS = ("{}", " {} ", "a{}", "{}a", "'{}'", '"{}"', "{0}{0}")
CHARACTERS = (
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA1)),
    *"\u00ad\u034f\u061c\u115f\u1160\u17b4\u180e\u2000\u200b\u200c\u200d\u200e\u200f\u2028\u2029",
    *"\u202a\u202b\u202d\u202e\u2060\u2064\u2066\u2067\u2069\u206a\u3000\u3164\ufe0f\ufeff\uffa0",
    *"\ufff9\ufffc\ufffd\ufffe\uffff\U0001f366\U0001f468\U000e0001\U000e0041\U0010ffff\U000f0000",
    *"\u0301\u0344\u0958\u2126\u212b\u1e9e\u0130\u0131\u00df\u017f\ufb01\u0661\u06f1\u0967\uff11",
    *"\u2460\u00b2\u00bd\u4e00\u05d0\u0627\ue000\ud7ff\U00012345\"\\/'`%&#?=+;,.:|~^<>{}[]()*$!@",
)
SURROGATES = ("\\ud800", "\\udfff", "\\udc00\\ud800", "a\\ud83d", "\\ude00b")
# Bytes that are not UTF-8, in Python's notation: single, cut off, overlong, surrogates.
BYTES = (
    "\udcff",
    "a\udcc3",
    "\udce2\udc82 1",
    "\udcc0\udc80",
    "\udced\udca0\udc80",
    "\udcf4\udc90\udc80\udc80",
)
LENGTHS = (1, 2, 8, 20, 99, 100, 101, 127, 128, 129, 254, 255, 256, 257, 500, 511, 512, 513, 1000)
LONG = (2048, 4096, 10_000, 65_536, 100_000)
POWERS = (7, 8, 15, 16, 31, 32, 33, 53, 62, 63, 64, 65, 127, 128, 256)
EDGES = (0, 1, 99, 100, 101, 1000, 99_999, 100_000, 100_001, 10**8, 10**8 + 1, 10**12, 10**12 + 1)


def _numbers() -> Iterator[str]:
    """Yield numbers as JSON texts; some are not valid in JSON."""
    for power in POWERS:
        for number in (2**power - 1, 2**power, 2**power + 1):
            yield from (str(number), str(-number))
    yield from map(str, EDGES)
    yield from ("-0", "-1", "00", "01", "+1", ".5", "1.", "1.0", "1.5", "-1.5", "1e0", "1e3")
    yield from ("1e400", "-1e400", "1e-400", "1E+2", "NaN", "Infinity", "-Infinity", "0x10", "1_0")
    yield from ("9" * 100, "9" * 5000, "0." + "1" * 400, "1e" + "9" * 50, "1.0000000000000001")


def _texts() -> Iterator[str]:
    yield from ("", " ", "   ", "\t", "0 ", " 1", "1 ", "1,0", "1 000", "one", "true", "yes")
    yield from (one.format(text) for text in INJECTIONS for one in WRAPPINGS)
    for character in CHARACTERS:
        yield from (character, f"a{character}", f"{character}a", f"a{character}b")
    for length in LENGTHS:
        yield from (character * length for character in ("a", "1", "é", "\U0001f366", " "))
    yield from (character * length for length in LONG for character in "a1")
    yield from ("Cafe\u0301", "Caf\u00e9", "\u212b", "A\u030a")


def _structures() -> Iterator[str]:
    """Yield JSON texts of other types, and texts that are no JSON."""
    yield from ("null", "true", "false", "[]", "{}", "[1]", '["a"]', '{"a": 1}', "[[]]", "[null]")
    for depth in (10, 100, 1000, 20_000):
        yield from ("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth)
    yield from ("", "[", "{", '"', "'a'", "undefined", "nul", "tru", "// a", "/* a */ 1", "1 2")
    yield from (f'"{one}"' for one in SURROGATES)
    yield from ('"\\x41"', '"\\u12"', '"a\nb"', '"\\"', '"a" "b"', "1, 2", '1, "quantity": 2')


def json_texts() -> list[str]:
    """Return the values for a field of a JSON body."""
    numbers = list(_numbers())
    texts = chain(_texts(), numbers)
    return list(dict.fromkeys(chain(numbers, _structures(), (json.dumps(one) for one in texts))))


def plain_texts() -> list[str]:
    """Return the values for a form, a query parameter or a header field."""
    return list(dict.fromkeys(chain(_texts(), _numbers(), _structures(), BYTES)))
