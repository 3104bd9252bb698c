# raymask: `make demo` shows the whole main job, `make test` checks it; both set up what they need by themselves.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
UV_VERSION := 0.13.9

# Three lanes: two of tests that need Ray, and one of the others. How long each took lies in out/tests.
PYTEST := $(BIN)/python -m pytest --numprocesses 3 --no-loadscope-reorder

.PHONY: help setup demo evaluate test test-faults soak lint bench lock clean

help:  ## Show these lines.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

setup: $(INSTALLED)  ## Make .venv with everything pinned by requirements.lock.

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "raymask needs Python 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

demo: setup  ## Invent faces, draw masks, train both ways, evaluate: up to 15 minutes on 2 cores.
	$(BIN)/python jobs/demo.py

out/demo/fused:
	$(MAKE) demo

evaluate: setup  ## Measure the models that raymask brings along on real people: make evaluate IMAGES=folder of LFW's photos.
ifeq ($(IMAGES),)
	@echo "evaluate is skipped: it needs the photos of Labeled Faces in the Wild; make evaluate IMAGES=FOLDER [REAL_MASKS=FOLDER] [BASELINE=onnx:FILE] [FUSION=DIR]"
else
	$(BIN)/python benchmarks/real_people.py --images "$(IMAGES)" --out out/evaluate $(if $(REAL_MASKS),--real-masks "$(REAL_MASKS)") $(if $(BASELINE),--baseline "$(BASELINE)") $(if $(FUSION),--fusion "$(FUSION)")
endif

test: setup  ## Check what a change is likely to break.
	$(PYTEST) -m "not faults"

test-faults: setup  ## Kill, stop and resume what runs; a browser, a soak, more clusters, what takes longest.
	$(PYTEST) -m faults

soak: setup  ## Kill the whole service 20 times, ask it 10,000 things nobody should: about 30 minutes.
	RAYMASK_SOAK=1 $(BIN)/python -m pytest tests/serve/test_soak.py tests/faces/test_photo_files.py -s

lint: setup  ## Check style and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup out/demo/fused  ## Run all benchmarks that need no photos of real people; JSON on standard output.
	@for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

lock: setup  ## Renew requirements.lock from pyproject.toml: versions and hashes, no address.
	$(BIN)/uv pip compile --quiet pyproject.toml --extra dev --universal --generate-hashes --no-annotate \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" -o requirements.lock

clean:  ## Remove what demo, tools and service made, the gallery in out/ too; .venv stays.
	rm -rf out .pytest_cache .ruff_cache .mypy_cache build *.egg-info
