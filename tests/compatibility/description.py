"""A compact description of the API document: one line for each promise to clients.

So a comparison of two documents is a comparison of two sets of lines: a line of the last release
that is missing now is a promise that was broken.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RELEASED = Path(__file__).parent / "released.txt"
METHODS = ("get", "post", "put", "patch", "delete")
PROBLEM = "application/problem+json"
# The end of a line that says what a client has to send. Such a line must not be added.
REQUIRED = " is required"
EXISTS = "exists"
# Stands for each operation in the stored description.
ALL = "Each operation"
_SCHEMA = "#/components/schemas/"


def describe(document: dict[str, Any]) -> set[str]:
    """Return the description of an API document."""
    return set(_Description(document).lines())


def store_released(lines: set[str], title: str) -> None:
    """Store the description of a release; what all operations promise is stored only once."""
    operations = _promises(lines)
    common = set.intersection(*operations.values()) - {EXISTS}
    shared = {f"{name}: {one}" for name in operations for one in common}
    stored = sorted(f"{ALL}: {one}" for one in common) + sorted(lines - shared)
    RELEASED.write_text(f"# {title}\n" + "".join(f"{line}\n" for line in stored))


def read_released() -> set[str]:
    """Return the description of the last release."""
    stored = {line for line in RELEASED.read_text().splitlines() if not line.startswith("#")}
    common = {line.removeprefix(f"{ALL}: ") for line in stored if line.startswith(f"{ALL}: ")}
    plain = {line for line in stored if not line.startswith(f"{ALL}: ")}
    return plain | {f"{name}: {one}" for name in _promises(plain) for one in common}


def _promises(lines: set[str]) -> dict[str, set[str]]:
    """Return the promises of each operation."""
    found: dict[str, set[str]] = {}
    for line in lines:
        name, separator, promise = line.partition(": ")
        if separator:
            found.setdefault(name, set()).add(promise)
    return found


def find_breaks(released: set[str], now: set[str]) -> list[str]:
    """Return what clients of the release cannot rely on any more."""
    subjects = {_subject(line) for line in released}
    added = {line for line in now - released if _subject(line) in subjects}
    demands = [f"new: {line}" for line in added if line.endswith(REQUIRED)]
    return sorted([*demands, *(f"missing: {line}" for line in released - now)])


def _subject(line: str) -> str:
    """Return the operation or the schema that a line is about."""
    return re.split(r"[.:]", line)[0]


class _Description:
    """Reads a document; each of its schemas is described for requests, for answers, or for both."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def lines(self) -> Iterator[str]:
        """Yield the lines of all operations and of the schemas that they refer to."""
        for path, item in self._document["paths"].items():
            for method in item.keys() & set(METHODS):
                for promise in self._operation(item[method]):
                    yield f"{method.upper()} {path}: {promise}"
        for name, schema in self._document["components"]["schemas"].items():
            if name in self._names("requestBody"):
                yield from self._request_members(name, schema)
            if name in self._names("responses"):
                yield from self._answer_members(name, schema)

    def _operation(self, operation: dict[str, Any]) -> Iterator[str]:
        yield EXISTS
        for parameter in map(self._resolve, operation.get("parameters", ())):
            shown = f"{parameter['in']} {parameter['name']}"
            yield f"{shown} is accepted"
            yield from (f"{shown} may be {value}" for value in self._values(parameter["schema"]))
            if parameter.get("required") and parameter["in"] != "path":
                yield f"{shown}{REQUIRED}"
        body = self._resolve(operation.get("requestBody", {}))
        for media, content in body.get("content", {}).items():
            yield f"takes {media} {self._type(content['schema'])}"
        for status, response in operation["responses"].items():
            yield from self._answer(status, self._resolve(response))

    def _headers_of_each_success(self) -> set[str]:
        headers = self._document["components"].get("headers", {})
        return {name for name, one in headers.items() if one.get("x-on-each-success")}

    def _answer(self, status: str, response: dict[str, Any]) -> Iterator[str]:
        content = response.get("content", {})
        examples = content.get(PROBLEM, {}).get("examples", {}).values()
        yield from {f"answers {status} {self._resolve(one)['value']['code']}" for one in examples}
        if not examples:
            # Refusals have the same few header fields everywhere.
            fields = {*response.get("headers", ()), *self._headers_of_each_success()}
            yield from (f"answers with header {field}" for field in fields)
            yield f"answers {status}"
            for media, body in content.items():
                yield f"answers {status} {media} {self._type(body['schema'])}"

    def _request_members(self, name: str, schema: dict[str, Any]) -> Iterator[str]:
        for member, kind in schema.get("properties", {}).items():
            types = self._type(kind).split("|")
            yield from (f"{name}.{member} accepts {one}" for one in types)
            yield from (f"{name}.{member} accepts the word {one}" for one in self._values(kind))
        yield from (f"{name}.{member}{REQUIRED}" for member in schema.get("required", ()))

    def _answer_members(self, name: str, schema: dict[str, Any]) -> Iterator[str]:
        for member, kind in schema.get("properties", {}).items():
            yield f"{name}.{member} is {self._type(kind)}"
            yield from (f"{name}.{member} may be {one}" for one in self._values(kind))
        yield from (f"{name}.{member} is always there" for member in schema.get("required", ()))

    def _resolve(self, node: dict[str, Any]) -> dict[str, Any]:
        while reference := node.get("$ref"):
            node = self._document
            for step in reference.split("/")[1:]:
                node = node[step.replace("~1", "/").replace("~0", "~")]
        return node

    def _type(self, schema: dict[str, Any]) -> str:
        """Return a type in one word: `integer|null`, `[OrderView]`; only objects have names."""
        reference, schema = schema.get("$ref", ""), self._resolve(schema)
        if reference.startswith(_SCHEMA) and "properties" in schema:
            return str(reference.removeprefix(_SCHEMA))
        if choices := schema.get("anyOf") or schema.get("oneOf"):
            return "|".join(sorted({self._type(one) for one in choices}))
        if schema.get("type") == "array":
            return f"[{self._type(schema.get('items', {}))}]"
        kind = schema.get("type", "any")
        return kind if isinstance(kind, str) else "|".join(sorted(kind))

    def _values(self, schema: dict[str, Any]) -> list[str]:
        """Return the words that a schema lists, also those of a list or of a choice."""
        schema = self._resolve(schema)
        if "properties" in schema:
            return []
        parts = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), schema.get("items", {})]
        found = [str(value) for value in schema.get("enum", ())]
        return found + [value for part in parts if part for value in self._values(part)]

    def _names(self, part: str) -> set[str]:
        """Return the schemas that a part of any operation refers to, also through others."""
        operations = (one for item in self._document["paths"].values() for one in item.values())
        waiting = {name for one in operations for name in self._references(one.get(part, {}))}
        found: set[str] = set()
        while waiting:
            found |= waiting
            schemas = (self._document["components"]["schemas"][name] for name in waiting)
            waiting = {name for one in schemas for name in self._references(one)} - found
        return found

    def _references(self, node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if (reference := node.get("$ref", "")).startswith(_SCHEMA):
                yield reference.removeprefix(_SCHEMA)
            elif reference:
                yield from self._references(self._resolve(node))
            node = list(node.values())
        for part in node if isinstance(node, list) else ():
            yield from self._references(part)
