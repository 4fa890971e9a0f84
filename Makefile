# Everything runs in .venv, which `make setup` makes from requirements.lock.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo setup test examples fuzz chaos soak quality bench lint types docs package sbom site lock clean

# DEMO="--limit 50000" for a short one
demo: setup
	@$(BIN)/alsobought demo $(DEMO)

setup: .venv/ready

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("alsobought needs Python 3.11 or newer; %s is %s" % (sys.executable, sys.version.split()[0]) if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing the locked packages into .venv (a minute or two) ..."
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar on --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@echo "Compiling the kernels (once, a minute or two) ..."
	@find state recommending streams -name '*.nb[ic]' -delete  # numba does not see that a kernel of another file changed
	@$(BIN)/python -m streams.compile
	@touch .venv/ready

# PYTEST="-k undo --durations=20" for some of them; tests start hundreds of processes, which is why the bytecode is
# made first, whatever the environment says, and their heaps lie in huge pages, as those of workers do
test: lint types
	@$(BIN)/python -m compileall -q alsobought chronological evaluation recommending serving state streams tests
	@$(BIN)/python -m streams.broker.class_archive
	@GLIBC_TUNABLES=glibc.malloc.hugetlb=1 $(BIN)/python -m pytest -q --numprocesses 3 --no-loadscope-reorder $(PYTEST)

# what the programs in examples/ need in JavaScript and Go, where these are installed; the tests then run them
examples:
	@if command -v npm >/dev/null; then cd examples/javascript && npm install --no-audit --no-fund --no-package-lock --silent && touch node_modules/.ready; else echo "npm is not here: the examples in JavaScript are left out"; fi
	@if command -v go >/dev/null; then cd examples/go && for p in publish consume; do go build -o ../../build/examples/go-$$p ./$$p || exit 1; done; else echo "go is not here: the examples in Go are left out"; fi

# FUZZ_MINUTES=60 for longer; a short run is among the tests. What it finds is kept as a test
FUZZ_MINUTES ?= 10
fuzz: setup
	@$(BIN)/python -m tests.fuzz --minutes $(FUZZ_MINUTES) $(FUZZ)

# CHAOS="--minutes 60 --seed 7" for another run; the short one is among the tests
chaos: setup
	@$(BIN)/python -m tests.chaos $(CHAOS)

# an hour of mixed load with faults: does anything grow? SOAK="--minutes 5" for a shorter one
soak: setup
	@$(BIN)/python -m tests.soak $(SOAK)

# purchases of complete-journey; QUALITY="watches.csv.xz --kind watched" for others
quality: setup
	@$(BIN)/python bench/quality.py $(QUALITY)

# BENCH="end_to_end --limit 400000" for one of them, briefly; all take hours
bench: setup
	@$(BIN)/python -m bench $(BENCH)

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup
	@$(BIN)/mypy

docs: setup
	@$(BIN)/python docs/generate.py

# The wheel and the source distribution, in build/dist; then the wheel is installed as in production, in an empty
# environment outside of the repository, and the tests of what computes are run against it under its one name.
# INSTALLED="tests/state tests/recommending" for more of them
INSTALLED ?= tests/state/test_relatedness.py tests/recommending tests/chronological
package: setup build/production/ready
	@du -sm build/production/lib/python*/site-packages
	@$(BIN)/python -m tests.installed $(INSTALLED)

build/production/ready: .venv/ready requirements-run.lock pyproject.toml hatch_build.py $(shell git ls-files state recommending chronological streams serving evaluation alsobought)
	@rm -rf build/dist build/production
	@$(BIN)/python -m hatchling build -d build/dist
	@$(PYTHON) -m venv --without-pip build/production
	@$(BIN)/python -m pip --python build/production/bin/python install --disable-pip-version-check --quiet --require-hashes -r requirements-run.lock
	@$(BIN)/python -m pip --python build/production/bin/python install --disable-pip-version-check --quiet --no-deps --no-index build/dist/*.whl
	@cd / && for words in --version --help "related --help" "worker --help" settings; do "$(CURDIR)/build/production/bin/alsobought" $$words >/dev/null || exit 1; done
	@touch $@

build/docs/ready: requirements-docs.lock
	@rm -rf build/docs
	@$(PYTHON) -m venv build/docs
	@build/docs/bin/python -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements-docs.lock
	@touch $@

# The packages of a production install, with versions, licences and who needs whom: build/sbom.json (CycloneDX)
sbom: setup build/production/ready build/docs/ready
	@build/docs/bin/python ops/sbom.py build/production/bin/python build/sbom.json

# The documents as a site that needs no server: build/site/index.html. Links within it are checked
site: build/docs/ready
	@NO_MKDOCS_2_WARNING=1 build/docs/bin/python -m mkdocs build --quiet

# needs uv on the PATH; the locks hold hashes and no addresses. The image is made from the second, which has
# what runs, the third, which makes its wheel, and the fourth, the demo's purchases; their versions are those
# of the first. The last makes the site
LOCK := uv pip compile --universal --generate-hashes --python-version 3.11 --no-header \
	--custom-compile-command "make lock" -q
lock:
	$(LOCK) --all-extras pyproject.toml -o requirements.lock
	$(LOCK) -c requirements.lock pyproject.toml -o requirements-run.lock
	$(LOCK) -c requirements.lock --group build -o requirements-build.lock
	$(LOCK) -c requirements.lock --no-deps --group data -o requirements-data.lock
	$(LOCK) --group docs -o requirements-docs.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
