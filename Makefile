# Two commands do everything: `make demo` and `make test`. They need python3 (3.11 or newer) and make, nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check

.PHONY: demo test gallery setup clean

demo: $(VENV)/.installed
	@$(BIN)/python -m streamseg.demo demo

test: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not slow" -n auto --dist worksteal --cov --cov-report=term --cov-fail-under=90

gallery: $(VENV)/.installed
	@$(BIN)/python -m streamseg.demo docs/gallery --gallery

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("streamseg needs Python 3.11 or newer, found " + sys.version.split()[0] + "; try: make PYTHON=python3.12 demo") if sys.version_info < (3, 11) else None'
	@echo "setting up $(VENV): about 500 MB, half a minute"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --editable .
	@# opencv-python links to the desktop's OpenGL; a machine without one gets the same library without windows
	@$(BIN)/python -c 'import cv2' 2>/dev/null || { $(BIN)/pip uninstall -qy opencv-python; $(PIP) opencv-python-headless; }
	@touch $@

$(VENV)/.tested: $(VENV)/.installed
	@$(PIP) --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) demo build dist *.egg-info
