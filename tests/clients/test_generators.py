"""Generate clients with the commands of docs/clients.md, compile them, and use them."""

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.clients.conftest import MODULES, run
from tests.conftest import ADMIN_PASSWORD
from tests.processes import ROOT, Shop

pytestmark = [
    pytest.mark.needs("npm"),
    pytest.mark.needs("java"),
    pytest.mark.only("sqlite"),
    pytest.mark.timeout(600),
]
PROGRAMS = ROOT / "tests/clients/typescript"
GUIDE = (ROOT / "docs/clients.md").read_text().split("\n## Generate a client\n")[1]
BLOCKS = re.compile(r"^```(ts|sh)\n(.+?)^```$", re.MULTILINE | re.DOTALL)
# The files in which each generator writes the types of bodies.
TYPES = {
    "openapi_fetch": "openapi-typescript.ts",
    "hey_api": "hey-api/types.gen.ts",
    "orval": "orval/*.ts",
    "typescript_fetch": "typescript-fetch/models/*.ts",
}
# What is no declaration: comments, texts and functions.
# The warnings of OpenAPI Generator that have no effect on a client.
HARMLESS = (
    # About each document of OpenAPI 3.1.
    "OpenAPI 3.1 support is still in beta",
    # A schema without a name, such as one that may be null.
    "Failed to get the schema name: null",
    # The type of a day; there is no model of this name.
    "Date (model name matches existing language type)",
    # A body's example becomes neither a default nor a test.
    "Ignoring complex example on request body",
)
OTHER_CODE = re.compile(
    r"""/\*.*?\*/|//[^\n]*|'[^'\n]*'|"[^"\n]*"|^export function .*?^}""", re.DOTALL | re.MULTILINE
)
# An object with further members: the header fields of a response, and problem documents.
FURTHER_MEMBERS = re.compile(r"\[\w+: string\]: (unknown|any \| any);")


class Clients(NamedTuple):
    """The folder with all clients, and what each generator printed."""

    folder: Path
    output: dict[str, str]


@pytest.fixture(scope="module")
def clients(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Clients:
    folder = tmp_path_factory.mktemp("clients")
    shutil.copytree(PROGRAMS, folder, dirs_exist_ok=True)
    (folder / "node_modules").symlink_to(MODULES)
    guide = GUIDE.split("\n## ")[0].replace("http://127.0.0.1:8000", str(shop.http.base_url))
    blocks = BLOCKS.findall(guide)
    (config,) = [text for kind, text in blocks if kind == "ts"]
    (folder / "orval.config.ts").write_text(config)
    download, *generate = [
        line for kind, text in blocks if kind == "sh" for line in text.splitlines()
    ]
    run(folder, download)
    with ThreadPoolExecutor(2) as pool:
        outputs = list(pool.map(lambda command: run(folder, command), generate))
    names = [command.split()[-1].removesuffix(".ts") for command in generate]
    return Clients(folder, dict(zip(names, outputs, strict=True)))


def test_all_clients_compile_with_strict_types(clients: Clients) -> None:
    assert run(clients.folder, "tsc --project .") == ""


@pytest.mark.parametrize("program", TYPES)
def test_each_body_has_a_type(program: str, clients: Clients) -> None:
    files = list(clients.folder.glob(TYPES[program]))
    assert files
    for file in files:
        declarations = FURTHER_MEMBERS.sub("", OTHER_CODE.sub("", file.read_text()))
        assert not re.findall(r".*\b(?:any|unknown)\b(?!:).*", declarations), file


@pytest.mark.parametrize("program", TYPES)
def test_a_program_orders_lists_reports_and_refunds(
    program: str, clients: Clients, shop: Shop
) -> None:
    bundle = f"--bundle --platform=node --format=esm --outfile={program}.mjs"
    run(clients.folder, f"esbuild {program}.ts {bundle}")
    run(clients.folder, f"node {program}.mjs {shop.http.base_url} '{ADMIN_PASSWORD}' {program}")
    orders = shop.http.get("/api/orders", params={"reference": program}).json()
    assert [(order["quantity"], order["refunded"]) for order in orders] == [(2, 500), (1, 0)]


@pytest.mark.parametrize("generator", ["typescript-fetch", "go", "java"])
def test_openapi_generator_has_no_warnings(generator: str, clients: Clients) -> None:
    warnings = re.findall(r"(?:WARN|ERROR) +\S+ - (.*)", clients.output[generator])
    assert [one for one in warnings if not one.startswith(HARMLESS)] == []


def test_the_go_client_declares_each_name_once(clients: Clients) -> None:
    text = "\n".join(file.read_text() for file in clients.folder.glob("go/*.go"))
    names = re.findall(r"^(?:type|func) (\w+)|^\t(\w+) \w+ = \"", text, re.MULTILINE)
    assert names
    assert len(set(names)) == len(names)


def test_the_go_client_has_no_number_that_int64_cannot_hold(clients: Clients) -> None:
    numbers = [
        int(number)
        for file in clients.folder.glob("go/*.go")
        for number in re.findall(r"[<>] (\d+)", file.read_text())
    ]
    assert numbers
    assert max(numbers) < 2**63


def test_no_type_of_the_java_client_has_the_name_of_a_class_of_the_generator(
    clients: Clients,
) -> None:
    client = clients.folder / "java/src/main/java/org/openapitools/client"
    own = {file.name for file in client.glob("*.java")}
    assert own
    assert not own & {file.name for file in client.glob("model/*.java")}
