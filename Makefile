# Everything works on a fresh Debian or Ubuntu machine, as root, with nothing prepared but make and git.
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# most of a recovery is waiting for elections, so more labs than cores run well beside each other
JOBS ?= 4

.PHONY: help drill test check lint types unit lab-tools e2e nightly fault-matrix soak mutants pyz clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

$(READY): requirements-test.txt pyproject.toml scripts/bootstrap.sh
	@VENV=$(VENV) scripts/bootstrap.sh

lab-tools: $(READY)  ## install what the lab needs (dockerd, sshd, …); starts none of it
	@$(BIN)/python -m fleetrecover.lab.install

drill: lab-tools  ## build a fleet here, break it, recover it, show the proof
	@$(BIN)/fleetrecover drill $(ARGS)

test: lab-tools  ## every test, the lab's too
	@$(MAKE) --no-print-directory lint types
	@$(BIN)/pytest -m "not slow" -n $(JOBS) --dist worksteal --no-loadscope-reorder --durations=15

check: $(READY)  ## lint, types and unit tests: under a minute
	@$(MAKE) --no-print-directory lint types unit

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check -q .

types: $(READY)
	@$(BIN)/mypy

unit: $(READY)
	@$(BIN)/pytest -m "not lab and not long and not slow" -n 3 --dist worksteal

e2e: lab-tools  ## only the tests on the lab
	@$(BIN)/pytest -m lab -n $(JOBS) --dist worksteal --no-loadscope-reorder --durations=15

nightly: lab-tools  ## what takes too long for every change
	@$(BIN)/python -m tests.worlds --worlds 100000
	@$(BIN)/python -m tests.simulation --histories 100000
	@$(BIN)/python -m tests.etcd.fuzz
	@FLEETRECOVER_WORLDS=$$(date +%j%H) $(BIN)/pytest -m slow --durations=15

fault-matrix: lab-tools  ## break everything at every moment, run again; writes docs/fault-matrix.md
	@$(BIN)/python -m benchmarks.fault_matrix $(ARGS)

soak: lab-tools  ## 20 recoveries in a row on one lab, each from another break
	@$(BIN)/python -m benchmarks.soak $(ARGS)

mutants: $(READY)  ## change one line at a time: do the unit tests notice? (400 drawn; ARGS=--all for all)
	@$(BIN)/python -m tests.mutation $(ARGS)

roundtrip: $(READY)  ## 500 generated containers, rebuilt and compared on a real dockerd (runlike beside it if installed)
	@$(BIN)/python benchmarks/roundtrip.py $(ARGS)

pyz: $(READY)  ## dist/fleetrecover.pyz: one file for a bastion that has Python and no pip
	@$(BIN)/python scripts/pyz.py $(ARGS)

clean:  ## remove the virtual environment and what tools left
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
