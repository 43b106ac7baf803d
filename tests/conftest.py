"""What every test shares: the event loop's backend."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on asyncio: the direct lane and uvloop know no other."""
    return "asyncio"
