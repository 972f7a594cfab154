# make demo    trains a small network on drawn cells and asks it about others, in about two minutes
# make test    style, types, import rules and tests
# make bench   how fast it is beside the naive way, in at most ten minutes
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test check generate bench clean

demo: $(VENV)/installed
	$(BIN)/hpazoo run quickstart --out runs/quickstart

test: check
	$(BIN)/pytest

check: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

generate: $(VENV)/installed
	$(BIN)/python -m hpazoo.spec.generate

bench: $(VENV)/installed
	$(BIN)/python -m bench

$(VENV)/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info runs/quickstart
