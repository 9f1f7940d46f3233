# make demo    sense and reconstruct the embedded photograph
# make test    lint, formatting, types, then the test suite
# make lint    the first three only
# make format  repair what ruff can repair
# make docs    the documentation as a site, in build/docs; warnings are errors

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test lint format docs

demo: .venv/.installed
	$(BIN)/idm reconstruct --example --ratio 0.3 --compare --out demo --overwrite

test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal

lint: .venv/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .venv/.installed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: .venv/.installed
	$(INSTALL) --editable '.[docs]'
	$(BIN)/sphinx-build -W --keep-going -b html docs build/docs

# torch goes first: the build that is found here then satisfies every later requirement.
.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) torch
	$(INSTALL) --editable '.[dev]'
	@touch $@
