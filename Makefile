# make demo and make test are all a newcomer needs; make help lists the rest.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
export OMP_WAIT_POLICY = PASSIVE
export MLFLOW_DISABLE_TELEMETRY = true

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all lint bench results docs clean

help:            ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Doorstep needs Python 3.11 or 3.12, this is %d.%d: make PYTHON=python3.11" % sys.version_info[:2] if not (3, 11) <= sys.version_info[:2] < (3, 13) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

install: $(VENV)/.installed  ## make the environment in .venv

demo: install    ## a simulated force, from extract to list, served on 127.0.0.1:8000
	$(BIN)/doorstep demo

lint: install    ## ruff, types, import direction
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint       ## environment, lint, types, import direction, tests (no browser)
	$(BIN)/python -m pytest -n 2 -m "not browser and not slow"

test-all: lint   ## everything, also slow tests and a real browser
	$(BIN)/python -m pytest -n 2

bench: install   ## windows beside their peers, then time and memory of each stage at three sizes of force
	$(BIN)/python -m benchmarks.asof
	$(BIN)/python -m benchmarks.pipeline

results: install ## the tables from public data: Broward, every family beside COMPAS, the NIJ challenge
	$(BIN)/python -m models.broward --out docs/results-broward.md
	$(BIN)/python -m benchmarks.broward --out docs/results-broward-families.md
	$(BIN)/python -m benchmarks.nij --out docs/results-nij.md

docs: install    ## write the generated pages again
	$(BIN)/python -m features.catalogue
	$(BIN)/python -m features.contract
	$(BIN)/python -m features.harm_page

clean:           ## remove the environment and the demo
	rm -rf $(VENV) demo doorstep-home
