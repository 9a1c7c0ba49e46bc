# `make demo` shows what mypt does, `make chat` how a model learns to answer; `make test` runs every test;
# `make check` runs the linters; `make docs` builds the site of the documentation.
PYTHON ?= python3
VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
# Versions of what mypt needs: `pinned` are those of constraints.txt, `newest` and `oldest` of what
# pyproject.toml allows. TORCH is a further requirement, such as torch==2.10.0.
DEPENDENCIES ?= pinned
TORCH :=
# What `make matrix` runs, as PYTHON-DEPENDENCIES; interpreters that are missing are said to be.
CELLS := 3.11-oldest 3.11-newest 3.12-newest 3.13-newest 3.14-newest
TESTS :=
PACKAGES := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
PAGES := README.md $(wildcard docs/how-to/*.md docs/explanation/*.md docs/tutorial/*.md)

.PHONY: demo chat docs test check sweep crash resume soak plugins serve neighbours bench clean setup \
	dist release matrix cell

demo: $(VENV)/.installed
	$(BIN)/mypt train --model_name demo --config_file configs/demo.json
	$(BIN)/python -m mypt.format validate checkpoints/demo
	@echo
	$(BIN)/mypt inspect demo
	@echo
	$(BIN)/mypt generate demo --max_new_tokens 500 --temperature 0.6 --seed 3 \
		--prompt "$$(printf 'class Reader:\n    def __init__(self, ')"
	@echo
	@echo "That was a model of the Python standard library. To train on a text of your own:"
	@echo
	@echo "  $(BIN)/mypt train --model_name mine --input_file my_text.txt --config_file configs/demo.json"
	@echo "  $(BIN)/mypt generate mine --prompt \"Once\""
	@echo "  $(BIN)/mypt inspect mine"

# A model of mypt's documentation, tuned on conversations about mypt.
chat: $(VENV)/.installed
	$(BIN)/mypt train --model_name chat_base --config_file docs/chats/base.json \
		$(PAGES:%=--input_file %)
	test -d checkpoints/chat_data || $(BIN)/mypt data chats docs/chats/chats.jsonl \
		--output checkpoints/chat_data --from_model chat_base --chat_template chatml
	@echo
	$(BIN)/mypt data inspect checkpoints/chat_data --show 1
	@echo
	$(BIN)/mypt train --model_name chat --init_from_model chat_base --config_file docs/chats/base.json \
		--dataset_dir checkpoints/chat_data --packing --sampling epoch --max_iters 250 --eval_interval 125
	@echo
	@printf 'What is mypt?\nHow do I resume a run?\nWhat is a gold model?\n' | $(BIN)/mypt chat chat --temperature 0
	@echo
	@echo "To go on by yourself: $(BIN)/mypt chat chat"

# Fails at any link that leads nowhere, and at anything that a page would load from a host.
docs: $(VENV)/.docs
	$(BIN)/python docs/write_site.py

test: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 --dist loadgroup

check: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy benchmarks
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32
	$(BIN)/mypy --platform darwin --cache-dir .mypy_cache/darwin
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -m slow tests/scenarios/test_typed_use.py

# The tests on other versions of Python and of what mypt needs, each in an environment of its own; hours.
# One cell: make cell-3.11-oldest TORCH=torch==2.10.0 TESTS=tests/format
matrix: $(CELLS:%=cell-%)

cell-%:
	@if command -v python$(word 1,$(subst -, ,$*)) > /dev/null; then \
		$(MAKE) cell VENV=.cells/$* PYTHON=python$(word 1,$(subst -, ,$*)) DEPENDENCIES=$(word 2,$(subst -, ,$*)); \
	else echo "cell $*: python$(word 1,$(subst -, ,$*)) is not installed, so it did not run"; fi

cell: $(VENV)/.installed
	$(BIN)/python -m pytest -q $(TESTS)

# Every crash point, damaged bit and hostile file, where `make test` takes a sample; some hours.
crash: $(VENV)/.installed
	MYPT_CRASH=all MYPT_CORRUPTION=all MYPT_HOSTILE=all $(BIN)/python -m pytest -n 2 \
		tests/crash tests/scenarios/test_corruption.py tests/hostile tests/property -m "slow or not slow" -s

# All schedules of interruptions, and training in several processes; ten minutes or so.
resume: $(VENV)/.installed
	MYPT_RESUME=all $(BIN)/python -m pytest -n 2 tests/resume tests/scenarios/test_processes.py \
		tests/scenarios/test_sharded_saves.py -m "slow or not slow" -s

# Two hours of train, kill, resume, migrate, export, damage and look, in random order. MYPT_SOAK_S sets
# other seconds, MYPT_SOAK_SEED repeats an order; a line of counts each minute.
soak: $(VENV)/.installed
	$(BIN)/python -m pytest tests/scenarios/test_soak.py -m slow -s

# Parts of plugins in whole runs, and the starter of plugins under the type checker; two minutes or so.
plugins: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 tests/scenarios/test_plugin_parts.py tests/cli/commands/test_plugins.py \
		plugins/mypt-lm-eval -m "slow or not slow"

# The server: hostile requests by the thousand, ten minutes at a full queue, and its page in Chromium.
serve: $(VENV)/.installed
	$(BIN)/python -m pytest plugins/mypt-serve -m "slow or not slow" -s

# What `tests/sweeps.txt` lists and whatever else is slow, but for crash points; six minutes or so.
sweep: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 -m slow --ignore tests/crash --ignore tests/scenarios/test_typed_use.py \
		--ignore tests/scenarios/test_soak.py --ignore plugins/mypt-serve

# Each key of each config of transformers, changed; two minutes or so.
neighbours: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 tests/scenarios/test_foreign_keys.py -m "slow or not slow"

bench: $(VENV)/.installed
	for script in output_loss validate training_step generation serving startup opening saving prepare; do $(BIN)/python benchmarks/$$script.py; done

# Set up `.venv` alone; see CONTRIBUTING.md.
setup: $(VENV)/.installed

# Build an sdist and a wheel of mypt and of each plugin. A release also tries them in a fresh
# environment, and tags the commit; nothing is uploaded (RELEASING.md).
dist: $(VENV)/.installed
	MYPT_REPOSITORY=$(REPOSITORY) $(BIN)/python release/build.py

release: $(VENV)/.installed
	@test -n "$(REPOSITORY)" || { echo "say where it is published: make release REPOSITORY=https://host/owner/mypt" >&2; exit 1; }
	$(BIN)/python release/check.py
	$(MAKE) dist REPOSITORY=$(REPOSITORY)
	$(BIN)/python release/smoke.py
	git tag --annotate "v$$($(BIN)/python -c 'import mypt; print(mypt.__version__)')" --message "mypt $$($(BIN)/python -c 'import mypt; print(mypt.__version__)')"
	@echo "Tagged. To upload: git push origin main --follow-tags"

clean:
	rm -rf $(VENV) build dist *.egg-info

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
INSTALL_pinned := $(PIP) -c constraints.txt
INSTALL_newest := $(PIP)
INSTALL_oldest := $(PIP) uv && $(BIN)/uv pip install --quiet --python $(BIN)/python --resolution lowest-direct
INSTALL = $(or $(INSTALL_$(DEPENDENCIES)),$(error DEPENDENCIES is pinned, newest or oldest))

$(VENV)/.installed: pyproject.toml constraints.txt $(PACKAGES:%=%/pyproject.toml)
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -e ".[dev]" $(PACKAGES:%=-e ./%) $(TORCH)
	@touch $@

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	@touch $@
