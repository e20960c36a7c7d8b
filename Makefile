# Everything starts here. `make up` runs Pilothouse from a fresh clone, `make test` tests it; both do their own set-up.

VENV   := .venv
BIN    := $(VENV)/bin
STAMPS := $(VENV)/.stamps
# The first Python 3.11 to 3.13; say `make PYTHON=...` for another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
CONSOLE_BUILT   := src/pilothouse/server/static/console/index.html
CONSOLE_SOURCES := $(shell find console -path console/node_modules -prune -o -type f -print 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help up test check bench docs console lock clean
.DELETE_ON_ERROR:

help:
	@echo "make up      start Pilothouse with a demo that sends traces (everything it needs is installed into .venv)"
	@echo "make test    run every test"
	@echo "make check   format, lint, types, architecture, documentation"
	@echo "make bench   measure what the README claims"
	@echo "make docs    build the documentation into docs/_build/html"
	@echo "make console build the web console (needs Node 20.19 or newer)"
	@echo "make lock    resolve the dependencies again"

# ARGS are passed on: make up ARGS="--console 127.0.0.1:9000"
up: $(STAMPS)/project
	@$(MAKE) -s --no-print-directory console || echo "The console could not be built: going on without it." >&2
	@exec $(BIN)/pilothouse up --demo $(ARGS)

# ARGS are passed on: make test ARGS="-k retention"
test: $(STAMPS)/project $(STAMPS)/console
	@tools/browser.sh
	@$(BIN)/pytest $(ARGS)

check: $(STAMPS)/project
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy src tests tools benchmarks
	$(BIN)/lint-imports
	@tools/console.sh check
	$(BIN)/python tools/docs_reference.py --check
	$(BIN)/sphinx-build -q -W --keep-going -b dummy docs docs/_build/dummy

bench: $(STAMPS)/project $(STAMPS)/bench
	@$(BIN)/python benchmarks/run.py $(ARGS)

docs: $(STAMPS)/project
	@$(BIN)/python tools/docs_reference.py
	@$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

console: $(STAMPS)/console

lock:
	$(PYTHON) tools/lock.py $(ARGS)

clean:
	rm -rf $(VENV) build dist docs/_build console/node_modules src/pilothouse/server/static/console

$(STAMPS)/requirements: requirements.lock tools/install.py
	@test -n "$(PYTHON)" || { echo "Pilothouse needs Python 3.11, 3.12 or 3.13; none was found. Say: make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "Installing packages with $$($(PYTHON) --version) into $(VENV) ..." >&2
	@$(PYTHON) tools/install.py $(VENV) requirements.lock
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/project: $(STAMPS)/requirements pyproject.toml
	@$(PYTHON) tools/install.py $(VENV) --project
	@touch $@

$(STAMPS)/bench: $(STAMPS)/requirements requirements-bench.lock
	@echo "Installing the peer to measure against (about 500 MB) ..." >&2
	@$(PYTHON) tools/install.py $(VENV) requirements-bench.lock
	@touch $@

# Remembered only when it was built, so that installing Node later is noticed.
$(STAMPS)/console: $(CONSOLE_SOURCES) tools/console.sh | $(STAMPS)/requirements
	@tools/console.sh build
	@if [ -f $(CONSOLE_BUILT) ]; then touch $@; fi
