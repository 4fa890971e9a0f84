# Everything runs in .venv, which `make setup` makes from requirements.lock.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test lint types docs lock bench clean

setup: .venv/ready

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("alsobought needs Python 3.11 or newer, %s is %s" % (sys.executable, sys.version.split()[0]) if sys.version_info < (3, 11) else 0)'
	@echo "Installing the locked packages into .venv ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on --quiet --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch .venv/ready

lock:
	uv pip compile --universal --generate-hashes --all-extras --python-version 3.11 --no-header \
		--custom-compile-command "make lock" -q pyproject.toml -o requirements.lock
