# `make` = check. `make demo` and `make test` do all set-up by themselves; CONTRIBUTING.md says what each target proves.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/pytest
ARGS ?=

.DEFAULT_GOAL := check
.PHONY: check setup system system-tests demo test test-unit test-lab test-long bench bench-scale golden gen fix lock wheel deb clean
# Recipes share ports, namespaces and the environment: one at a time.
.NOTPARALLEL:

# --- environment -----------------------------------------------------------------------------------------------------

setup: system $(VENV)/.ready

system:
	@PYTHON=$(PYTHON) tools/system-packages

system-tests:
	@PYTHON=$(PYTHON) tools/system-packages --tests

# An environment whose interpreter is gone (moved tree, upgraded system) is made anew.
$(VENV)/.ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Underlace needs Python 3.11 or newer; $(PYTHON) is older. Say which: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(BIN)/python -c '' 2>/dev/null || rm -rf $(VENV)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# --- every day -------------------------------------------------------------------------------------------------------

check: $(VENV)/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(PYTEST) -q -n 2 --quick tests/unit tests/golden tests/docs -m "not contract and not lab and not long"

fix: $(VENV)/.ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

demo: setup
	$(BIN)/underlace demo $(ARGS)

# Everything but the long tests. The lab measures time and counts packets: it gets the machine for itself, after the
# rest. Both parts run, whatever the first one says.
test: setup system-tests
	@status=0; \
	$(MAKE) --no-print-directory test-unit || status=$$?; \
	$(MAKE) --no-print-directory test-lab || status=$$?; \
	exit $$status

test-unit: setup
	$(PYTEST) -q -n 2 -m "not contract and not lab and not long" $(ARGS)

test-lab: setup system-tests
	$(PYTEST) -m "(contract or lab) and not long" $(ARGS)

# Properties with far more examples and new seeds each time, then the tests marked long.
test-long: setup system-tests
	@status=0; \
	UNDERLACE_HYPOTHESIS=long $(PYTEST) tests/property tests/laws -m "not contract and not lab and not long" $(ARGS) || status=$$?; \
	$(PYTEST) -m long $(ARGS) || status=$$?; \
	exit $$status

# --- what is made from what ------------------------------------------------------------------------------------------

golden: $(VENV)/.ready
	UNDERLACE_GOLDEN=update $(PYTEST) -q tests/golden
	@git --no-pager diff --stat -- tests/golden

gen: $(VENV)/.ready
	$(BIN)/python -m tools.gen

lock:
	@test -x .venv-lock/bin/pip-compile || { $(PYTHON) -m venv .venv-lock \
	  && .venv-lock/bin/python -m pip install --quiet --require-hashes -r requirements/lock.txt; }
	tools/lock $(ARGS)

bench: setup .venv-bench/.ready
	$(BIN)/python -m benchmarks $(ARGS)

# Very many VPCs, on SQLite and on PostgreSQL; ARGS="--vpcs 1000000" is the full size, and takes hours.
bench-scale: setup system-tests
	$(BIN)/python -m benchmarks.scale $(ARGS)

.venv-bench/.ready: requirements/bench.txt
	@test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	@touch $@

# Builds the wheel, installs it with the locked dependencies in an empty environment, and runs the demo from there.
wheel: setup
	tools/wheel $(ARGS)

# The agent of a device as a Debian package, for the Python that builds it.
deb: $(VENV)/.ready
	tools/deb

clean:
	rm -rf build dist artefacts .venv-wheel .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
