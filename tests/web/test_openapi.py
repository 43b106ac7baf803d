"""The document says all that is served, and nothing that is not; that it is true is for `tests/security/test_fuzz`."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import schemathesis
from starlette.applications import Starlette
from starlette.routing import Route

from tailrace.server.assembly import assemble
from tailrace.server.settings import Settings
from tailrace.testing import Harness
from tailrace.web.openapi.document import OPERATIONS, document
from tailrace.web.openapi.parts import PROBLEMS

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def app() -> Starlette:
    return assemble(Settings())[1]


@pytest.fixture(scope="module")
def told(app: Starlette) -> Any:
    return json.loads(msgspec.json.encode(document(app.routes)))


def operations(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in told["paths"].values() for operation in path.values()]


def test_whatever_is_served_is_in_it(app: Starlette, told: dict[str, Any]) -> None:
    """HEAD goes without saying."""
    served = {
        (route.path_format, method.lower())
        for route in app.routes
        if isinstance(route, Route)
        for method in route.methods or ()
    }
    said = {(path, method) for path, methods in told["paths"].items() for method in methods}
    assert {each for each in served if each[1] != "head"} == said


def test_what_is_not_served_is_not_in_it() -> None:
    async def endpoint(request: object) -> None: ...

    told = document([Route("/health", endpoint, methods=["GET"])])
    assert {path: set(methods) for path, methods in told["paths"].items()} == {"/health": {"get"}}


def test_it_is_valid_and_whole(told: dict[str, Any]) -> None:
    """Every reference leads somewhere, every operation has a name of its own, and no component is left over."""
    schemathesis.openapi.from_dict(told).validate()
    text = json.dumps(told)
    all_there_may_be = text + json.dumps([operation.told() for operation in OPERATIONS])
    for kind in ("schemas", "headers"):
        for name in told["components"][kind]:
            assert f'"#/components/{kind}/{name}"' in all_there_may_be, (kind, name)
    for part in text.split('"$ref": "#/')[1:]:
        found: Any = told
        for step in part.partition('"')[0].split("/"):
            found = found[step]
    names = [operation["operationId"] for operation in operations(told)]
    assert len(set(names)) == len(names)


def test_each_operation_says_how_it_refuses(told: dict[str, Any]) -> None:
    for operation in operations(told):
        refused = {int(status) for status in operation["responses"] if int(status) >= 400}
        assert {400, 401, 429, 500, 503} <= refused <= set(PROBLEMS), operation["operationId"]
        if "requestBody" in operation:
            assert {408, 413} <= refused, operation["operationId"]


def test_each_operation_declares_the_parts_of_its_path() -> None:
    for operation in OPERATIONS:
        declared = {each["name"] for each in operation.parameters if each["in"] == "path"}
        assert declared == {part.partition("}")[0] for part in operation.path.split("{")[1:]}, operation.name


async def test_it_is_served_as_json(app: Starlette, told: dict[str, Any]) -> None:
    answer = await Harness(app).ask("GET", "/openapi.json")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(await answer.read()) == told
