"""Requests that a generator makes up from the document: each gets an answer that the document knows, and no 5xx."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from schemathesis import GenerationMode

from tests.support.backed import Backed
from tests.support.fuzzing import Fuzzer

_EXAMPLES = 12


@pytest.fixture(scope="module")
def backed() -> Iterator[Backed]:
    with Backed() as backed:
        yield backed


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
def test_whatever_is_asked_is_answered_as_documented(backed: Backed, mode: GenerationMode) -> None:
    fuzzer = Fuzzer(backed.server.url)
    try:
        for operation in fuzzer.operations:
            if mode is GenerationMode.POSITIVE or fuzzer.can_be_wrong(operation):
                fuzzer.attack(operation, mode, _EXAMPLES)
    finally:
        fuzzer.close()
    assert "Traceback" not in backed.server.said
