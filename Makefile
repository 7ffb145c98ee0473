# Everything here needs Python 3.10+ and make; the first target that runs sets up .venv.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready

.PHONY: setup demo test lint clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --constraint constraints.txt ".[speed,evaluation,video,development]"
	touch $@

demo: $(READY)
	$(RUN) -m utils.data.synthetic data/synthetic --videos 32
	$(RUN) multitask_train.py --config configs/demo.py
	$(RUN) eval.py --checkpoint best_model_combined.pt
	$(RUN) eval.py --checkpoint best_model_alignment.pt

test: $(READY)
	$(RUN) -m pytest

lint: $(READY)
	$(RUN) -m ruff check .

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache
