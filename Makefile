# make demo   from a clone to features on the screen
# make test   lint, types and every test
# PYTHON=python3.12 chooses another interpreter (3.11 to 3.13).

PYTHON ?= python3
VENV   := .venv
PEERS  := .venv-peers
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: demo test lint lint-page types check-tests test-faults test-peers test-pythons pictures bench docs docs-site browser clean

demo: $(VENV)/.run
	$(BIN)/ghosttrack demo

test: lint types check-tests

lint: $(VENV)/.test lint-page
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The page's scripts: a linter, and types from JSDoc and tools/page/ghosttrack.d.ts.
lint-page: $(VENV)/.test
	@tools/lint-page $(BIN)/python

types: $(VENV)/.test
	$(BIN)/mypy

# One thread a process: workers with several each wait for one another when cores are few.
check-tests: $(VENV)/.test browser
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not faults and not peers" --numprocesses auto --dist worksteal \
	  --durations=15

# The long ones: kills by the hundred, calls that fail, files that are changed, a soak of
# SOAK_SECONDS. FAULT_TABLE=file writes the table at its end. Without a wheel of atheris for this
# machine its tests are skipped.
test-faults: $(VENV)/.test
	-$(PIP) --only-binary atheris 'atheris>=3'
	OMP_NUM_THREADS=1 $(BIN)/pytest -m faults --numprocesses auto --dist worksteal

# The test that reads TensorBoard's files back with TensorBoard itself is run there too.
test-peers: $(VENV)/.test $(PEERS)/.test
	$(BIN)/pytest -m peers tests/store
	$(PEERS)/bin/pytest tests/sae/test_peers.py tests/foreign/test_peers.py tests/training/test_loggers.py

# Every supported Python that is on this machine, each in an environment of its own.
test-pythons: browser
	@tools/test-pythons

bench: $(VENV)/.test
	$(BIN)/python benchmarks/store.py
	$(BIN)/python benchmarks/extract.py
	$(BIN)/python benchmarks/tokenise.py
	$(BIN)/python benchmarks/train.py
	$(BIN)/python benchmarks/host.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/interpret.py

# What is generated from the code: the command reference, ghosttrack.toml, the report schema.
docs: $(VENV)/.test
	$(BIN)/python -m tools.write_docs

# The site made from docs/, into site/; a warning is an error.
docs-site: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# The README's pictures, from the demo as it is.
pictures: $(VENV)/.test browser
	$(BIN)/python -m tools.make_pictures

# The browser tests drive a real Chromium: the one on this machine, or the system's package.
browser:
	@tools/get-chromium

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "error: GhostTrack needs Python 3.11 to 3.13; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing GhostTrack into $(VENV) (a few minutes the first time)"
	$(PIP) --editable .
	@touch $@

$(VENV)/.docs: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing GhostTrack and what makes its site into $(VENV) (a few minutes the first time)"
	$(PIP) --editable '.[docs]'
	@touch $@ $(VENV)/.run

$(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing GhostTrack and its test tools into $(VENV) (a few minutes the first time)"
	$(PIP) --editable '.[test]'
	@touch $@ $(VENV)/.run

# Peers pin what they need, so they get an environment of their own: ours first, then theirs freely.
$(PEERS)/.test: pyproject.toml | $(VENV)/bin/python
	@echo "Installing SAELens and dictionary_learning into $(PEERS) (some minutes the first time)"
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip --disable-pip-version-check install --quiet \
	  --constraint constraints.txt --editable '.[test]'
	$(PEERS)/bin/python -m pip --disable-pip-version-check install --quiet \
	  --editable '.[test,tensorboard]' sae-lens dictionary-learning nnsight
	@touch $@

clean:
	rm -rf tools/page/node_modules site $(VENV) $(PEERS) .venv-3.* .mypy_cache .pytest_cache .ruff_cache .hypothesis ghosttrack-demo
