# Each of these does all the set-up it needs on a fresh clone: python3 (3.11 or later), make and access to PyPI.
#   make demo    the first run: install, then `blackbox demo` (writes runs/demo/)
#   make test    what a developer runs all day: tests/unit and tests/contract
#   make e2e     what starts processes, servers, browsers and Dask, and kills them      make slow    the long tests
#   make league-mini    a league in minutes: serve, play, verify, table (writes runs/league/)
#   make docs    the site, in docs/_build/html; warnings are errors
#   make check   ruff and mypy           make clean   remove the environment and what runs wrote

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# one thread a process: the tests run in two, and arithmetic repeats to the last bit
ONE    := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: demo league-mini test e2e slow check docs clean

demo: $(VENV)/.installed
	$(BIN)/blackbox demo

league-mini: $(VENV)/.installed-league
	$(ONE) $(BIN)/blackbox league mini

test: $(VENV)/.installed-dev
	$(ONE) $(BIN)/python -m pytest -q -n 2 tests/unit tests/contract

e2e: $(VENV)/.installed-dev
	$(ONE) $(BIN)/python -m pytest -q -n 2 tests/e2e

slow: $(VENV)/.installed-dev
	$(ONE) $(BIN)/python -m pytest -q -m slow

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(VENV)/.installed-dev
	$(ONE) $(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Expected python 3.11 or later, but $(PYTHON) is $$($(PYTHON) --version). Use make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# The project and all it needs in one pip command, so that torch and torchvision are chosen as a pair.
$(VENV)/.installed: $(VENV)/.python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-league: $(VENV)/.python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[league]'
	@touch $(VENV)/.installed $@

$(VENV)/.installed-dev: $(VENV)/.python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $(VENV)/.installed $(VENV)/.installed-league $@

clean:
	rm -rf $(VENV) runs build docs/_build docs/attacks docs/gallery *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
