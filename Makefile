# Each target does all the set-up it needs; on a fresh machine `make run` and `make test` are enough.

PORT ?= 8000
CONFIG ?=
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test check bench chaos format assets setup clean

run: setup
	$(BIN)/tailrace serve --port $(PORT) $(if $(CONFIG),--config $(CONFIG))

test: setup
	@scripts/system-packages caddy chromium haproxy iproute2 nginx nodejs:node npm:npm openssl redis-server redis-tools
	@scripts/workerd
	$(BIN)/pytest -n 3 --dist loadfile

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	@scripts/system-packages gcc nodejs:node npm:npm redis-server
	$(BIN)/python benchmarks/run.py

# The long version of what `make test` does a little of: a hundred kills in the middle of writing, instances killed,
# drained and restarted under hundreds of streams, and Redis away in every way (about 10 minutes).
chaos: setup
	@scripts/system-packages caddy haproxy nginx redis-server redis-tools
	TAILRACE_CHAOS=1 $(BIN)/pytest tests/log/test_sqlite.py -k killed
	TAILRACE_CHAOS=1 $(BIN)/pytest tests/server/test_fleet_crash.py tests/server/test_fleet_drain.py
	TAILRACE_CHAOS=1 $(BIN)/pytest tests/server/test_rolling.py tests/server/test_redis_away.py
	TAILRACE_CHAOS=1 $(BIN)/pytest tests/deploy/test_proxies.py -k 65

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# What our pages use is built from clients/js and committed, so that a server needs no Node.
assets:
	@scripts/system-packages nodejs:node npm:npm
	scripts/javascript

setup: $(VENV)/.installed

# The environment is made anew when what it should hold has changed.
$(VENV)/.installed: pyproject.toml scripts/environment
	scripts/environment $(VENV) $(PYTHON)
	touch $@

clean:
	rm -rf $(VENV) benchmarks/bin
