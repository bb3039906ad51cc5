# Two commands for users: make demo, make test. Both install what they need into .venv.
PYTHON ?= python3
comma := ,
VENV := .venv
# TensorFlow and ObsPy are for hosts; on a station the tests of the host side skip, saying so.
TEST_EXTRAS := $(if $(filter x86_64,$(shell uname -m)),host$(comma)test,test)
BIN := $(VENV)/bin

.PHONY: demo test lint clean

demo: $(VENV)/demo
	$(BIN)/python -m demo

test: $(VENV)/test
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

$(VENV)/python:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/demo: pyproject.toml | $(VENV)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[demo]'
	touch $@

$(VENV)/test: pyproject.toml | $(VENV)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[$(TEST_EXTRAS)]'
	touch $@

clean:
	rm -rf $(VENV) demo-out build *.egg-info
