# Two targets matter to a newcomer: `make demo` and `make test`. Each sets itself up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Against a file rather than a branch: so that a shallow clone and a fork find it, too.
UNBROKEN = $(BIN)/buf breaking gen/bihuan.binpb --against proto/released.binpb --config proto/buf.yaml

.DEFAULT_GOAL := help
.PHONY: help demo up tools test bench lint gen release-schema lock clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(VENV)/.python: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Bihuan needs Python 3.11 or later; name one with: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV) || { echo "python3 has no venv module; on Debian: apt install python3-venv"; exit 1; }
	@touch $@

$(VENV)/.run: requirements.lock $(VENV)/.python
	@echo "Installing pinned packages into $(VENV) (first run only) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@echo "Installing pinned tools for tests into $(VENV) (first run only) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/.bench: requirements-bench.lock $(VENV)/.run
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	@touch $@

demo: $(VENV)/.run ## watch four enterprises go through the loop, on a real stack
	@$(BIN)/bihuan demo

up: $(VENV)/.run ## keep the stack up until Ctrl-C
	@$(BIN)/bihuan up

tools: $(VENV)/.dev ## install the tools of tests and schema into .venv, buf among them

# Two at a time, file by file; the long end-to-end ones come first.
test: tools ## run every test
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

bench: $(VENV)/.bench tools ## the event store against its peers, loops against bare workflows, merging against sorting, a scanned code, about 15 minutes
	@$(BIN)/python -m bench.merge
	@$(BIN)/python -m bench.distribute
	@$(BIN)/python -m bench.eventstore
	@$(BIN)/python -m bench.codes
	@BENCH_PLANS=200 $(BIN)/python -m pytest -q tests/e2e/test_many_plans.py

lint: tools ## style, types, schema
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python proto/generate.py --check
	@$(BIN)/buf lint gen/bihuan.binpb --config proto/buf.yaml
	@$(UNBROKEN)

gen: $(VENV)/.dev ## generate gen/ from proto/
	@$(BIN)/python proto/generate.py

release-schema: tools ## nothing in the schema of now may break any more
	@$(UNBROKEN)
	@$(BIN)/buf build gen/bihuan.binpb --exclude-source-info -o proto/released.binpb

lock: $(VENV)/.dev ## pin again, with hashes
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate --group build --group dev pyproject.toml -o requirements-dev.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate --group build pyproject.toml -c requirements-dev.lock -o requirements.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate --group bench pyproject.toml -c requirements-dev.lock -o requirements-bench.lock

clean: ## remove the environment and the local data
	rm -rf $(VENV) .bihuan
