"""What several places of the document say is written once, as one of its components."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from icecream import errors
from icecream.http.openapi import headers, operations

# The codes of responses whose names say only their status.
USUAL_CODES = {
    refusal.code
    for refusal in (
        *operations.AUTHENTICATED_CALL_REFUSALS,
        *operations.BODY_REFUSALS,
        errors.NotFound,
        errors.IdempotencyKeyReused,
    )
} - {errors.ValidationFailed.code}


class Place(NamedTuple):
    """A place in the document, and the name of the component to which it may refer."""

    holder: Any
    key: Any
    name: str

    @property
    def part(self) -> Any:
        """What is there now."""
        return self.holder[self.key]


def all_operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the operations of a document."""
    return [operation for item in document["paths"].values() for operation in item.values()]


def share_equal_parts(document: dict[str, Any]) -> None:
    """Replace equal parts by references: types, parameters, examples, header fields, responses."""
    every = all_operations(document)
    found = [(one["responses"], status) for one in every for status in one["responses"]]
    components = document["components"]
    parameters = [one for operation in every for one in operation.get("parameters", ())]
    types = _types([components["schemas"], parameters])
    components["schemas"] |= _share("schemas", types, least=1)
    components["parameters"] = _share("parameters", _parameters(every))
    components["requestBodies"] = _share(
        "requestBodies",
        [Place(one, "requestBody", _body_name(one)) for one in every if "requestBody" in one],
    )
    every_response = [responses[key] for responses, key in found]
    _name_examples_by_code(every_response)
    _unify(_problem_examples(every_response))
    components["responses"] = _share(
        "responses", [Place(*one, _response_name(*one)) for one in found]
    )
    single = [responses[key] for responses, key in found if "$ref" not in responses[key]]
    unique = [*components["responses"].values(), *single]
    components["examples"] = _share("examples", _problem_examples(unique))
    components["headers"] = _share("headers", _headers(unique), least=1)
    for name in headers.ON_EACH_SUCCESS:
        components["headers"][name]["x-on-each-success"] = True


def expand(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with the parts instead of references, except those to types."""

    def follow(node: Any) -> Any:
        if isinstance(node, list):
            return [follow(part) for part in node]
        if not isinstance(node, dict):
            return node
        kind, _, name = node.get("$ref", "").removeprefix("#/components/").partition("/")
        if name and kind != "schemas":
            return follow(document["components"][kind][name])
        return {key: follow(part) for key, part in node.items()}

    expanded: dict[str, Any] = follow(document)
    return expanded


def _share(kind: str, places: Iterable[Place], *, least: int = 2) -> dict[str, Any]:
    """Replace the parts that stand in `least` or more places by references; return them by name.

    If different parts have one name, the most frequent one is shared, and the others remain.
    """
    shared: dict[str, Any] = {}
    for name, equal in _most_frequent_first(places):
        if name not in shared and len(equal) >= least:
            shared[name] = equal[0].part
            for place in equal:
                place.holder[place.key] = {"$ref": f"#/components/{kind}/{name}"}
    return dict(sorted(shared.items()))


def _unify(places: Iterable[Place]) -> None:
    """Replace all parts that have one name by the most frequent one of them."""
    chosen: dict[str, Any] = {}
    for name, equal in _most_frequent_first(places):
        part = chosen.setdefault(name, equal[0].part)
        for place in equal:
            place.holder[place.key] = part


def _most_frequent_first(places: Iterable[Place]) -> list[tuple[str, list[Place]]]:
    """Return the places of equal parts, with their name."""
    by_part: defaultdict[tuple[str, bytes], list[Place]] = defaultdict(list)
    for place in places:
        by_part[place.name, msgspec.json.encode(place.part, order="sorted")].append(place)
    return [
        (name, equal) for (name, _), equal in sorted(by_part.items(), key=lambda one: -len(one[1]))
    ]


def _types(node: Any) -> Iterator[Place]:
    """Yield the places of simple types with a title, without the title."""
    for key, part in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(part, dict | list):
            yield from _types(part)
        if isinstance(part, dict) and "properties" not in part:
            title = part.get("title")
            if isinstance(title, str):
                del part["title"]
                yield Place(node, key, title)


def _parameters(operations: Iterable[dict[str, Any]]) -> Iterator[Place]:
    for operation in operations:
        parameters = operation.get("parameters", [])
        for number, parameter in enumerate(parameters):
            is_id = parameter["in"] == "path" and "enum" not in parameter["schema"]
            suffix = "Id" if is_id else ""
            yield Place(parameters, number, _camel_case(parameter["name"]) + suffix)


def _body_name(operation: dict[str, Any]) -> str:
    """Return the name of the body's type, such as `NewOrderBody`."""
    (schema, *_) = (media["schema"] for media in operation["requestBody"]["content"].values())
    # A file has no type of its own.
    return f"{schema.get('$ref', 'File').rpartition('/')[2]}Body"


def _problems(responses: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    contents = (response.get("content", {}) for response in responses)
    yield from (content[errors.MEDIA_TYPE] for content in contents if errors.MEDIA_TYPE in content)


def _name_examples_by_code(responses: Iterable[dict[str, Any]]) -> None:
    for problem in _problems(responses):
        examples = problem["examples"].values()
        problem["examples"] = {one["value"]["code"]: one for one in examples}


def _problem_examples(responses: Iterable[dict[str, Any]]) -> Iterator[Place]:
    for problem in _problems(responses):
        for code in problem["examples"]:
            yield Place(problem["examples"], code, _camel_case(code))


def _headers(responses: Iterable[dict[str, Any]]) -> Iterator[Place]:
    for response in responses:
        for name in response["headers"]:
            yield Place(response["headers"], name, name)


def _response_name(responses: dict[str, Any], status: str) -> str:
    """Return the name of the body's type with the status, such as `OrderView200`, or `Error404`.

    It ends with the codes of those problems that not all such responses have.
    """
    contents = list(responses[status].get("content", {}).values())
    schema = contents[0]["schema"] if contents else {}
    if status >= "400":
        further = sorted(contents[0]["examples"].keys() - USUAL_CODES)
        return "".join(["Error", status, *map(_camel_case, further)])
    name = schema.get("items", schema).get("$ref", "").rpartition("/")[2]
    return f"{name or 'Response'}{status}"


def _camel_case(text: str) -> str:
    words = text.replace("_", "-").split("-")
    return "".join(word[:1].upper() + word[1:] for word in words)
