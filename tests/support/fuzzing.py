"""Requests made up from the server's own OpenAPI document, sent for real; of a stream only the beginning is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

if TYPE_CHECKING:
    from schemathesis import APIOperation, Case, GenerationMode

    Asked = APIOperation[Any, Any, Any, Any]

__all__ = ["Fuzzer"]

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
_BEGINNING = 65_536
_ENDLESS = "text/event-stream"
_DOCTOR = "/doctor/stream"


class Fuzzer:
    """One server at a URL, and the operations that its document says it has."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._schema = schemathesis.openapi.from_dict(self._session.get(f"{url}/openapi.json", timeout=10).json())

    def close(self) -> None:
        """Let go of its connections."""
        self._session.close()

    @property
    def operations(self) -> list[Asked]:
        """What can be asked; of what is served at several paths, the first."""
        found = [each.ok() for each in self._schema.get_all_operations() if isinstance(each, Ok)]
        return [operation for operation in found if not (_DOCTOR in operation.path and operation.path != _DOCTOR)]

    @staticmethod
    def can_be_wrong(operation: Asked) -> bool:
        """Whether there is anything in its requests that the document forbids; an open body has nothing."""
        return bool(operation.query or operation.body) and operation.label != "POST /doctor/body"

    def attack(self, operation: Asked, mode: GenerationMode, examples: int) -> None:
        """Send so many requests of an operation; each answer must be one that the document knows, and no 5xx.

        Which they are is the same in each run.
        """

        @settings(
            max_examples=examples,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Case[Any]) -> None:
            case.validate_response(self._send(case), checks=_CHECKS)

        send()

    def _send(self, case: Case[Any]) -> requests.Response:
        asked: dict[str, Any] = case.as_transport_kwargs(base_url=self._url)
        response = self._session.request(**asked, stream=True, timeout=10, allow_redirects=False)
        if response.headers.get("content-type", "").startswith(_ENDLESS):
            beginning = next(response.iter_content(_BEGINNING), b"") if response.status_code == 200 else b""
            response.close()
            response._content = beginning
        else:
            _ = response.content
        return response
