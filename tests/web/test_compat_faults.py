"""The wall of faults: whatever an upstream does, a truncated answer is never a success, in no dialect.

What comes out of each fault is written in `tests.support.fault_wall`, and the same table is in the docs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from tests.support.fault_wall import FAULTS, PATIENCE, Fault, table
from tests.support.gateway import OWN_KIND, Gatewayed
from tests.support.sdks import DIALECTS, ERRORS
from tests.support.server import ROOT


@pytest.fixture(scope="module")
def _running() -> Iterator[Gatewayed]:
    with Gatewayed(patience=PATIENCE) as running:
        yield running


@pytest.fixture
def gateway(_running: Gatewayed) -> Iterator[Gatewayed]:
    """The gateway, its upstream's scripts begun anew; after the test it must still be well."""
    _running.forget()
    yield _running
    assert "Traceback" not in _running.server.said


Ask = tuple[str, str, str]
"""A dialect, a model and a mode."""


def ask_all(gateway: Gatewayed, fault: Fault, asks: Sequence[Ask], ask: Callable[[Ask], None]) -> None:
    """Ask all, each meeting the fault: together where it goes on for ever, else one after the other."""
    if len(fault.scripts) == 1:
        gateway.forget()
        gateway.up.default = fault.scripts[0]
        with ThreadPoolExecutor(len(asks)) as pool:
            list(pool.map(ask, asks))
        return
    for each in asks:
        gateway.forget()
        gateway.up.script(*fault.scripts)
        ask(each)


def tell(gateway: Gatewayed, fault: Fault, ask: Ask) -> None:
    """Ask, and be told the fault as its row says."""
    dialect, _, mode = ask
    with pytest.raises(ERRORS[dialect]) as caught:
        gateway.sdks.ask(*ask)
    error = caught.value
    if dialect == "anthropic":  # whose SDK makes up a status for what a stream reports
        assert getattr(error, "error_code", None) == fault.code
    else:
        assert getattr(error, "code", None) == (fault.code or fault.error)
        assert isinstance(error, openai.APIStatusError) is (mode == "whole" or not fault.begun)
    if mode == "whole" or not fault.begun:
        assert getattr(error, "status_code", None) == fault.status


def answer(gateway: Gatewayed, ask: Ask) -> None:
    """Ask, and be answered."""
    assert gateway.sdks.ask(*ask).text == "Hello, world!"


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_fault_comes_out_in_each_dialect_as_its_row_says(gateway: Gatewayed, fault: Fault) -> None:
    off = "+off" if fault.off else ""
    asks = [(dialect, OWN_KIND[dialect] + off, mode) for dialect in DIALECTS for mode in ("stream", "whole")]
    ask_all(
        gateway, fault, asks, lambda ask: answer(gateway, ask) if fault.error is None else tell(gateway, fault, ask)
    )
    together = len(asks) if len(fault.scripts) == 1 else 1
    assert len(gateway.seen) == (0 if fault.off else fault.tries * together)


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_with_a_fallback_nobody_notices_a_fault_before_the_first_content(gateway: Gatewayed, fault: Fault) -> None:
    spare = "+off+spare" if fault.off else "+spare"
    asks = [(dialect, OWN_KIND[dialect] + spare, "stream") for dialect in DIALECTS]
    noticed = fault.begun or fault.own
    ask_all(gateway, fault, asks, lambda ask: tell(gateway, fault, ask) if noticed else answer(gateway, ask))


def test_the_docs_have_the_table_as_it_is() -> None:
    assert table() in (ROOT / "docs" / "topics" / "gateway.md").read_text()
