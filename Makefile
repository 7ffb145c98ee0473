# Everything here needs Python 3.10+ and make; the first target that runs sets up .venv.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready

.PHONY: setup demo demo-video test lint clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --constraint constraints.txt ".[speed,evaluation,video,development]"
	touch $@

demo: $(READY)
	$(RUN) -m utils.data.synthetic data/synthetic --videos 32 --nuisances 1
	$(RUN) multitask_train.py --config configs/demo.py
	$(RUN) eval.py --checkpoint best_model_combined.pt
	$(RUN) eval.py --checkpoint best_model_alignment.pt

demo-video: $(READY)
	$(RUN) -m utils.annotation.importer docs/demo_video/steps.csv data/demo_video --format table \
		--columns label=step --unit seconds --videos docs/demo_video/videos
	$(RUN) multitask_train.py --config configs/demo_video.py
	$(RUN) eval.py --checkpoint best_model_combined.pt
	$(RUN) predict.py --checkpoint best_model_combined.pt docs/demo_video/new --overlay predictions --report predictions

# The files side by side, one processor each. `pytest` alone runs them one after the other.
test: $(READY)
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n auto --dist loadfile

lint: $(READY)
	$(RUN) -m ruff check .

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache
