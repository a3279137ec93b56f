# Sets up everything by itself, in .venv; needs Python 3.11 or newer and make.
PYTHON ?= python3
BIN := .venv/bin
UV := uv==0.13.8

.PHONY: demo test proof chaos lint audit bench soak lock clean

demo: .venv/run ## the playground: the real bot between a simulated Slack and GitHub
	$(BIN)/python -m bot demo

test: .venv/test ## all tests but the longer ones; those of the page need Chromium (Debian: apt-get install chromium)
	$(BIN)/python -m pytest -n 2 --dist loadgroup -q -m "not slow"

proof: .venv/test ## the longer ones: transcripts on PostgreSQL, real processes and their races, games with everything
	$(BIN)/python -m pytest -n 2 --dist loadgroup -q -m slow -o faulthandler_timeout=600

chaos: .venv/test ## a thousand games of deaths, faults and lost answers; CHAOS_RUNS=… games, or CHAOS_SEED=… for one, CHAOS_WALK=1 for a death at each step
	$(BIN)/python -m tests.chaos

lint: .venv/test ## formatter, linter, type checker
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

audit: ## known holes in what is pinned, secrets in the repository; AUDIT_MUST=1 where it must reach the advisories
	$(PYTHON) .ci/audit.py

bench: .venv/test ## what docs/benchmarks.md reports
	$(BIN)/python -m tests.bench --plot docs/images/replicas.svg

soak: .venv/test ## an hour of a large organisation in ten minutes (SOAK_MINUTES), on PostgreSQL
	$(BIN)/python -m tests.bench.soak

lock: .venv/uv ## takes the newest versions that pyproject.toml allows
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate --upgrade pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate --upgrade --extra test -c requirements.lock pyproject.toml \
		-o tests/requirements.lock

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Shipbot needs Python 3.11 or newer; say which: make PYTHON=python3.11 …"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check $(UV)
	@touch $@

.venv/run: .venv/uv requirements.lock
	$(BIN)/uv pip install -q --compile-bytecode --require-hashes -r requirements.lock
	@touch $@

.venv/test: .venv/uv requirements.lock tests/requirements.lock
	$(BIN)/uv pip install -q --compile-bytecode --require-hashes -r tests/requirements.lock
	@touch $@ .venv/run
