PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
DATA ?= data

.PHONY: install demo docs lint test verify

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,docs]'
	touch $@

demo: install
	$(BIN)/python examples/demo.py

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: install
	$(BIN)/mkdocs build --strict

test: lint docs
	OMP_NUM_THREADS=1 DEEPCORRECT_DATA=$(DATA) $(BIN)/python -m pytest --numprocesses auto

# What takes minutes: the shipped weights on all 10,000 test images, the wheel, the jobs of the ImageNet study, the benchmarks.
verify: install
	DEEPCORRECT_DATA=$(DATA) $(BIN)/python -m pytest -m verify
