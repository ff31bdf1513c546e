# Needs make, git and a Python of 3.10 or newer with venv; everything else is installed into .venv.
# `make` alone lists what there is. Each gate of `make test` can be run by itself.

PYTHON ?= python3
VENV := .venv
DEMO := .venv-demo
BIN := $(VENV)/bin
WORKERS := -n 4 --dist worksteal

# The tests start hundreds of processes. Where this is set, as in many images of containers, each of
# them compiles the package anew: a third of all the time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: $(DEMO)/.stamp ## Run a flow against the local emulator: no account, no development tool
	$(DEMO)/bin/python examples/demo.py

# ---- The gates. Each can be run by itself.

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
check-sync: $(VENV)/.stamp ## Check that each x.py is what the x_async.py beside it prints
	$(BIN)/python scripts/unasync.py --check

.PHONY: check-openapi
check-openapi: $(VENV)/.stamp ## Check that the OpenAPI document is what the emulator serves
	$(BIN)/python scripts/openapi.py --check

.PHONY: check-what-happens
check-what-happens: $(VENV)/.stamp ## Check that the page "What happens when…" is what its table prints
	$(BIN)/python scripts/what_happens.py --check

.PHONY: check-settings
check-settings: $(VENV)/.stamp ## Check that the table of the settings is what `Settings` prints
	$(BIN)/python scripts/settings.py --check

.PHONY: check-wire
check-wire: $(VENV)/.stamp ## Check that the page of the wire is what the OpenAPI document prints
	$(BIN)/python scripts/wire.py --check

.PHONY: check-cli
check-cli: $(VENV)/.stamp ## Check that the page of the command line is what `--help` prints
	$(BIN)/python scripts/cli.py --check

.PHONY: types
types: $(VENV)/.stamp ## Check types (mypy, basedpyright), and that every public name has one
	$(BIN)/mypy
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	@# It asks the `python` on the PATH where dcipher is installed, whatever --pythonpath says.
	PATH="$(CURDIR)/$(BIN):$$PATH" basedpyright --verifytypes dcipher --ignoreexternal

.PHONY: check-docs
check-docs: $(VENV)/.stamp ## Build the documentation; a warning fails
	$(if $(wildcard mkdocs.yml),$(BIN)/mkdocs build --strict --site-dir $(VENV)/site)

.PHONY: coverage
coverage: $(VENV)/.stamp ## Run a sample of each test's cases and measure their branch coverage
	$(BIN)/pytest $(WORKERS) -m "not thorough" --sample 10 --cov --cov-report=
	$(BIN)/coverage report

.PHONY: tests
tests: $(VENV)/.stamp ## Run the cases that are not in that sample, at twice the speed
	$(BIN)/pytest $(WORKERS) -m "not thorough" --sample 10 --rest

.PHONY: thorough
thorough: $(VENV)/.stamp ## Run the tests that take long, before a release: thousands of cases, large files, memory
	$(BIN)/pytest $(WORKERS) -m thorough

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
screenshot: $(VENV)/.stamp ## Take the picture of the console that the documentation shows
	$(BIN)/python -m pip install --quiet --group browser
	$(BIN)/python scripts/screenshot.py

.PHONY: test-all
test-all: $(VENV)/.stamp ## Run samples: other Pythons, the oldest dependencies, a wheel …
	$(BIN)/nox

# ---- What writes files.

.PHONY: format
format: $(VENV)/.stamp ## Format the code, sort imports, fix what ruff can fix
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

.PHONY: unasync
unasync: $(VENV)/.stamp ## Print each x.py from the x_async.py beside it
	$(BIN)/python scripts/unasync.py

.PHONY: openapi
openapi: $(VENV)/.stamp ## Write the OpenAPI document from the emulator
	$(BIN)/python scripts/openapi.py

.PHONY: what-happens
what-happens: $(VENV)/.stamp ## Print the page "What happens when…" from the table of the tests
	$(BIN)/python scripts/what_happens.py

.PHONY: settings
settings: $(VENV)/.stamp ## Print the table of the settings from `Settings`
	$(BIN)/python scripts/settings.py

.PHONY: wire
wire: $(VENV)/.stamp ## Print the page of the wire from the OpenAPI document
	$(BIN)/python scripts/wire.py

.PHONY: cli
cli: $(VENV)/.stamp ## Print the page of the command line, and the table that shells complete with
	$(BIN)/python scripts/cli.py

.PHONY: docs
docs: $(VENV)/.stamp ## Build the documentation into site/
	$(BIN)/mkdocs build --strict
	@echo 'To read it: $(BIN)/python -m http.server --directory site'

.PHONY: zensical
zensical: $(VENV)/.stamp ## Build the same with Zensical, which follows on Material for MkDocs
	$(BIN)/python -m pip install --quiet --group zensical
	$(BIN)/zensical build --strict --clean
	$(BIN)/python scripts/llms.py site

.PHONY: benchmark
benchmark: $(VENV)/.stamp ## Measure against plain httpx
	$(BIN)/python -m benchmarks

.PHONY: clean
clean: ## Remove all that make has made, the environments included
	rm -rf $(VENV) $(DEMO) .nox dist site .coverage .coverage.* .*_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- The environments.

# The first that really runs: a shim on the PATH may stand for a Python that is not installed.
# ensurepip is what a Debian without python3-venv lacks.
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
echo '$(PYTHON) is no Python 3.10 or newer with venv: install one (Debian: apt install python3-venv)' \
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
