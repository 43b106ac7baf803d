# Each target does all the set-up it needs; on a fresh machine `make run` and `make test` are enough.

PORT ?= 8000
CONFIG ?=
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test check bench chaos format setup clean

run: setup
	$(BIN)/tailrace serve --port $(PORT) $(if $(CONFIG),--config $(CONFIG))

test: setup
	@scripts/system-packages chromium haproxy iproute2 nginx-light openssl redis-server redis-tools
	$(BIN)/pytest

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	@scripts/system-packages gcc
	$(BIN)/python benchmarks/run.py

# The long version of what `make test` does a little of: a hundred kills in the middle of writing.
chaos: setup
	TAILRACE_CHAOS=1 $(BIN)/pytest tests/log/test_sqlite.py -k killed

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

setup: $(VENV)/.installed

# The environment is made anew when what it should hold has changed.
$(VENV)/.installed: pyproject.toml scripts/environment
	scripts/environment $(VENV) $(PYTHON)
	touch $@

clean:
	rm -rf $(VENV) benchmarks/bin
