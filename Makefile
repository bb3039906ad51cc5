# Two commands for users: make demo, make test. Both install what they need into .venv.
PYTHON ?= python3
comma := ,
VENV := .venv
# TensorFlow and ObsPy are for hosts; on a station the tests of the host side skip, saying so.
TEST_EXTRAS := $(if $(filter x86_64,$(shell uname -m)),host$(comma)test,test)
BIN := $(VENV)/bin

.PHONY: demo test lint fuzz arm64 clean

demo: $(VENV)/demo-installed
	$(BIN)/python -m demo

# A file is one worker's, so that what its tests share is made once; tests/conftest.py says which come first.
test: $(VENV)/test-installed
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/test-installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# A minute of coverage-guided fuzzing per decoder, and of what a collector lets in; Atheris has wheels for
# Python 3.11 to 3.13 on x86-64 alone.
FUZZED := bridge anyshake3 anyshake2 anyshake1 gcf shake openeew ndjson lines
fuzz: $(VENV)/fuzz-installed
	for name in $(FUZZED); do $(BIN)/python -m fuzz.decoders $$name -max_total_time=60 || exit 1; done
	$(BIN)/python -m fuzz.payloads -max_total_time=60

# On 64-bit ARM, emulated; on a Debian or a relative of it that has packages for arm64.
arm64: $(VENV)/test-installed
	PYTHON=$(BIN)/python .ci/arm64

$(VENV)/created:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/demo-installed: pyproject.toml | $(VENV)/created
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[demo]'
	touch $@

$(VENV)/test-installed: pyproject.toml | $(VENV)/created
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[$(TEST_EXTRAS)]'
	touch $@

$(VENV)/fuzz-installed: pyproject.toml | $(VENV)/created
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[collect]' atheris
	touch $@

clean:
	rm -rf $(VENV) demo-out build *.egg-info
