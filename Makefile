# `demo`, `check` and `test` make .venv and install what they need, once, and again when
# pyproject.toml or constraints.txt change. torch goes first, at the pinned version: where a CPU
# build of it is offered, that line is what picks it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DOCS_INSTALLED := $(VENV)/.installed-docs
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: demo check test browser docs bench clean
.DEFAULT_GOAL := demo

demo: $(INSTALLED)
	$(BIN)/metriscope compare digits --out runs/demo

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(INSTALLED)
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal

# What the tests of the report open it in. Debian and Ubuntu only; elsewhere, install Chromium or
# Chrome by hand, or name one with METRISCOPE_BROWSER.
browser:
	command -v chromium || command -v chromium-browser || command -v google-chrome || \
	  { $(SUDO) apt-get -q update && \
	    $(SUDO) apt-get -q install --yes --no-install-recommends chromium; }

docs: $(DOCS_INSTALLED)
	$(BIN)/sphinx-build -W -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks $(BENCH)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis docs/_build build

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $@

$(DOCS_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[docs]'
	touch $@
