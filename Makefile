# Needs make, git and Python 3.10 or newer with venv. Everything else is installed into .venv.
# `make` lists the targets. Each gate of `make test` can be run separately.

PYTHON ?= python3
VENV := .venv
DEMO := .venv-demo
BIN := $(VENV)/bin
WORKERS := -n 4 --dist worksteal

# The tests start hundreds of processes. If this is set, as in many container images, each of them
# compiles the package again, which takes a third of the time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: $(DEMO)/.stamp ## Run a flow against the local emulator: no account, no development tool
	$(DEMO)/bin/python examples/demo.py

# ---- The gates. Each can be run separately.

GATES := lint imports check-sync check-openapi check-what-happens check-settings check-wire check-cli types check-docs

.PHONY: test
test: $(VENV)/.stamp ## Run every gate on one Python: the quick ones, two at a time, then the tests
	@$(MAKE) --no-print-directory --jobs 2 --output-sync $(GATES)
	@$(MAKE) --no-print-directory coverage
	@$(MAKE) --no-print-directory tests

.PHONY: lint
lint: $(VENV)/.stamp ## Check format and style (ruff)
	$(BIN)/ruff format --check
	$(BIN)/ruff check

.PHONY: imports
imports: $(VENV)/.stamp ## Check that imports run downward (import-linter)
	$(BIN)/lint-imports

.PHONY: check-sync
check-sync: $(VENV)/.stamp ## Check that each x.py matches the x_async.py beside it
	$(BIN)/python scripts/unasync.py --check

.PHONY: check-openapi
check-openapi: $(VENV)/.stamp ## Check that the OpenAPI document matches the emulator
	$(BIN)/python scripts/openapi.py --check

.PHONY: check-what-happens
check-what-happens: $(VENV)/.stamp ## Check that the page "What happens when…" matches its table
	$(BIN)/python scripts/what_happens.py --check

.PHONY: check-settings
check-settings: $(VENV)/.stamp ## Check that the table of the settings matches `Settings`
	$(BIN)/python scripts/settings.py --check

.PHONY: check-wire
check-wire: $(VENV)/.stamp ## Check that the page of the wire matches the OpenAPI document
	$(BIN)/python scripts/wire.py --check

.PHONY: check-cli
check-cli: $(VENV)/.stamp ## Check that the page of the command line matches `--help`
	$(BIN)/python scripts/cli.py --check

.PHONY: types
types: $(VENV)/.stamp ## Check types (mypy, basedpyright), and that every public name has a type
	$(BIN)/mypy
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/python scripts/public_types.py

.PHONY: check-docs
check-docs: $(VENV)/.stamp ## Build the documentation; a warning fails
	$(if $(wildcard mkdocs.yml),$(BIN)/mkdocs build --strict --site-dir $(VENV)/site)

.PHONY: coverage
coverage: $(VENV)/.stamp ## Run a sample of each test's cases and measure their branch coverage
	$(BIN)/pytest $(WORKERS) -m "not thorough" --sample 5 --cov --cov-report=
	$(BIN)/coverage report

.PHONY: tests
tests: $(VENV)/.stamp ## Run the cases that are not in that sample, at twice the speed
	$(BIN)/pytest $(WORKERS) -m "not thorough" --sample 5 --rest

.PHONY: thorough
thorough: $(VENV)/.stamp ## Run the slow tests, before a release: thousands of cases, large files, memory
	$(BIN)/pytest $(WORKERS) --timeout 3600 -m thorough

.PHONY: sample
sample: $(VENV)/.stamp ## Run one case of most tests of `make thorough`, and the quick tests of `make test-browser`
	$(BIN)/pytest -n 2 --dist worksteal -m "thorough and not long" --sample 100000
	@echo 'Left out: the tests that are marked `long`; make thorough runs them.'
	@if command -v $${CHROMIUM:-chromium} >/dev/null || command -v google-chrome >/dev/null; then \
		$(MAKE) test-browser QUICK='-m "not thorough"'; \
	else echo 'Left out: make test-browser, for want of Chromium (apt install chromium)'; fi

.PHONY: test-browser
test-browser: $(VENV)/.stamp ## Run the tests of the emulator's console in Chromium (apt install chromium)
	$(BIN)/python -m pip install --quiet --group browser
	$(BIN)/pytest -n 2 tests/browser $(QUICK)

.PHONY: screenshot
screenshot: $(VENV)/.stamp ## Take the picture of the console for the documentation
	$(BIN)/python -m pip install --quiet --group browser
	$(BIN)/python scripts/screenshot.py

.PHONY: test-all
test-all: $(VENV)/.stamp ## Run samples, at the same time: the oldest dependencies, the wheel
	@$(MAKE) --no-print-directory --jobs 2 --output-sync nox-lowest nox-wheel

.PHONY: nox-lowest nox-wheel
nox-lowest nox-wheel: $(VENV)/.stamp
	$(BIN)/nox -s $(@:nox-%=%)

# ---- Targets that write files.

.PHONY: format
format: $(VENV)/.stamp ## Format the code, sort imports, fix what ruff can fix
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

.PHONY: unasync
unasync: $(VENV)/.stamp ## Generate each x.py from the x_async.py beside it
	$(BIN)/python scripts/unasync.py

.PHONY: openapi
openapi: $(VENV)/.stamp ## Write the OpenAPI document from the emulator
	$(BIN)/python scripts/openapi.py

.PHONY: what-happens
what-happens: $(VENV)/.stamp ## Generate the page "What happens when…" from the table of the tests
	$(BIN)/python scripts/what_happens.py

.PHONY: settings
settings: $(VENV)/.stamp ## Generate the table of the settings from `Settings`
	$(BIN)/python scripts/settings.py

.PHONY: wire
wire: $(VENV)/.stamp ## Generate the page of the wire from the OpenAPI document
	$(BIN)/python scripts/wire.py

.PHONY: cli
cli: $(VENV)/.stamp ## Generate the page of the command line
	$(BIN)/python scripts/cli.py

.PHONY: docs
docs: $(VENV)/.stamp ## Build the documentation into site/
	$(BIN)/mkdocs build --strict
	@echo 'To read it: $(BIN)/python -m http.server --directory site'

.PHONY: dist
dist: $(VENV)/.stamp ## Build the sdist and the wheel into dist/, and check what an index would show of them
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

.PHONY: zensical
zensical: $(VENV)/.stamp ## Build the documentation with Zensical, the successor of Material for MkDocs, and compare
	$(BIN)/python -m pip install --quiet --group zensical
	$(BIN)/zensical build --strict --clean
	$(BIN)/python scripts/llms.py site
	$(BIN)/pytest -q -m thorough tests/docs/test_zensical.py

.PHONY: benchmark
benchmark: $(VENV)/.stamp ## Compare with plain httpx
	$(BIN)/python -m benchmarks

.PHONY: clean
clean: ## Remove everything that make has created, environments included
	rm -rf $(VENV) $(DEMO) .nox dist site .coverage .coverage.* .*_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- The environments.

# The first one that runs: a shim on the PATH may be for a Python that is not installed.
# A Debian without python3-venv lacks ensurepip.
WORKS := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))
ifeq ($(origin PYTHON),file)
OTHERS = python3.14 python3.13 python3.12 python3.11 python3.10 \
	"$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.1?.*/bin/python
endif

# $(call environment,FOLDER,WHAT PIP INSTALLS)
define environment
@for python in "$(PYTHON)" $(OTHERS); do \
	if "$$python" -c '$(WORKS)' 2>/dev/null; then \
		echo "$$python -m venv --clear $1"; exec "$$python" -m venv --clear $1; \
	fi; \
done; \
echo '$(PYTHON) is not a Python 3.10 or newer with venv: install one (Debian: apt install python3-venv)' \
	'and name it: make PYTHON=/path/to/python3' >&2; \
exit 1
@echo '*' > $1/.gitignore
@# Dependency groups came with pip 25.1.
$1/bin/python -m pip install --quiet 'pip>=25.1'
$1/bin/python -m pip install --quiet $2
@touch $@
endef

$(VENV)/.stamp: pyproject.toml
	$(call environment,$(VENV),--editable '.[all]' --group dev)

$(DEMO)/.stamp: pyproject.toml
	$(call environment,$(DEMO),--editable '.[emulator]')
