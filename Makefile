# `make help` lists the targets. Every environment has a stamp: a second run installs nothing, a changed lock file
# installs what changed.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:

LOCKS := tests/real/requirements
TESTED := airflow-2.10 airflow-2.11 airflow-3.0 airflow-3.1 airflow-3.3 airflow-3.3-aws dag-factory prefect hamilton-1.77 hamilton-1.89 kedro-0.19 kedro-1.7
MEASURED := airflow-3.3 kedro-1.7 dag-factory
ENVIRONMENTS := $(sort $(TESTED) $(MEASURED))

UV := .venvs/uv/bin/uv
BIN := .venv/bin
SOURCES := dagforge tests scripts benchmarks examples
JOBS ?= 2
NO_REAL := --ignore tests/real --ignore tests/test_wheel.py

# The first python that runs and lies in the range: a name may be a launcher with nothing behind it.
first_python = $(shell for p in python3 python3.12 python3.11 python3.10 python3.13; do \
	$$p -c 'import sys; sys.exit(not $(1))' 2>/dev/null && { command -v $$p; break; }; done)
PYTHON = $(call first_python,sys.version_info >= (3, 10))
# Airflow 2 ends at Python 3.12.
REAL_PYTHON = $(call first_python,(3, 10) <= sys.version_info[:2] <= (3, 12))

# Nothing that is installed here reports its use to anyone.
export DO_NOT_TRACK := 1
export SCARF_ANALYTICS := false
export PREFECT_SERVER_ANALYTICS_ENABLED := false

##@ Use

demo: .venvs/demo/.installed ## Compile the spaceflights project of conf/ for every target, into build/demo
	@.venvs/demo/bin/python scripts/demo.py

##@ Test

test: check slow wheel real ## Everything: check, slow, wheel and real

check: .venv/.installed ## Formatting, lint, types, layers, unit and golden tests: under a minute
	$(BIN)/ruff format --quiet --check $(wildcard $(SOURCES))
	$(BIN)/ruff check --quiet $(wildcard $(SOURCES))
	$(BIN)/mypy --no-error-summary
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -q -n $(JOBS) --dist worksteal -m "not slow" $(NO_REAL)

slow: .venv/.installed ## What check leaves out: processes, servers on loopback, many cases
	$(BIN)/pytest -q -n $(JOBS) --dist worksteal -m slow $(NO_REAL)

wheel: .venv/.installed ## Build the wheel and use it in an empty environment, away from the checkout
	$(BIN)/pytest -q tests/test_wheel.py

real: .venv/.installed .venvs/browser/.installed .venvs/azurite/.installed $(TESTED:%=.venvs/%/.installed) ## Load and run what is generated in every real Airflow and in Prefect
	$(BIN)/pytest -q -n $(JOBS) --dist worksteal tests/real

##@ Develop

golden: .venv/.installed ## Rewrite what tests/cases expects and what docs/ shows; review the diff like code
	$(BIN)/pytest -q -n $(JOBS) tests/test_cases.py --golden
	$(BIN)/pytest -q tests/test_docs.py tests/test_docs_graph.py tests/test_error_pages.py --golden

format: .venv/.installed ## Format and mend what ruff can
	$(BIN)/ruff format $(wildcard $(SOURCES))
	$(BIN)/ruff check --fix $(wildcard $(SOURCES))

bench: .venv/.installed $(MEASURED:%=.venvs/%/.installed) ## Measure, as ratios within one run
	$(BIN)/python -m benchmarks

environments: $(ENVIRONMENTS:%=.venvs/%/.installed) ## Make the environments of the real tests and the benchmarks

lock: $(UV) ## Resolve every lock file again, to the newest versions that its .in file allows
	for name in $(ENVIRONMENTS); do \
		$(call compile,$(LOCKS)/$$name.txt,$(LOCKS)/$$name.in) || exit; done
	$(call compile,$(LOCKS)/demo.txt,pyproject.toml --extra run --group demo)
	$(call compile,$(LOCKS)/oldest.txt,pyproject.toml --resolution lowest-direct)
	$(call compile,$(LOCKS)/dev.txt,pyproject.toml --extra run --group dev)
	cd $(NODE) && npm install --package-lock-only --omit-lockfile-registry-resolved \
		--no-audit --no-fund --loglevel error

clean: ## Remove what make made
	rm -rf .venv .venvs build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

# Without the header and the index, a lock file says nothing about the machine that made it.
compile = $(UV) pip compile --quiet --upgrade --universal --python-version 3.10 \
	--no-emit-index-url --no-header --no-annotate --output-file $(1) $(2)

# $(call install,environment,python,lock file): make the environment hold exactly the lock file.
# Without its stamp an environment may be one whose making was cut, which looks whole to uv: it is made anew.
define install
	@test -n "$(2)" || { echo "$(1) needs a Python $(4) and found none: install python3.12" >&2; exit 1; }
	@echo "installing $(3) into $(1)"
	@test -e $(1)/.installed && $(1)/bin/python --version >/dev/null 2>&1 || $(UV) venv --quiet --clear --python "$(2)" $(1)
	@$(UV) pip sync --quiet --python $(1)/bin/python $(3)
endef

$(UV):
	@test -n "$(PYTHON)" || { echo "DagForge needs Python 3.10 or newer as python3" >&2; exit 1; }
	@"$(PYTHON)" -m venv --clear .venvs/uv
	@.venvs/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.8

.venv/.installed: pyproject.toml $(LOCKS)/dev.txt | $(UV)
	$(call install,.venv,$(PYTHON),$(LOCKS)/dev.txt,3.10 or newer)
	@$(UV) pip install --quiet --python .venv/bin/python --no-deps --editable .
	@touch $@

.venvs/demo/.installed: pyproject.toml $(LOCKS)/demo.txt | $(UV)
	$(call install,.venvs/demo,$(PYTHON),$(LOCKS)/demo.txt,3.10 or newer)
	@$(UV) pip install --quiet --python .venvs/demo/bin/python --no-deps --editable .
	@touch $@

$(ENVIRONMENTS:%=.venvs/%/.installed): .venvs/%/.installed: $(LOCKS)/%.txt | $(UV)
	$(call install,.venvs/$*,$(REAL_PYTHON),$<,3.10 to 3.12)
	@touch $@

# Node's packages, a Chromium among them, which is unpacked before several tests start it at once.
NODE := tests/real/browser
.venvs/browser/.installed: $(NODE)/package.json $(NODE)/package-lock.json
	@node -e 'process.exit(+(parseInt(process.versions.node) < 20))' || \
		{ echo "the pictures are looked at with Node 20 or newer: install nodejs and npm" >&2; exit 1; }
	@echo "installing $(NODE)/package-lock.json into .venvs/browser"
	@mkdir -p .venvs/browser
	@cp $^ .venvs/browser
	@cd .venvs/browser && npm ci --ignore-scripts --no-audit --no-fund --loglevel error
	@DAGFORGE_BROWSER=$(abspath .venvs/browser) node $(NODE)/browser.mjs --unpack
	@touch $@

# Azure Blob Storage on loopback.
AZURITE := tests/real/azurite
.venvs/azurite/.installed: $(AZURITE)/package.json $(AZURITE)/package-lock.json
	@node -e 'process.exit(+(parseInt(process.versions.node) < 20))' || \
		{ echo "Azurite runs with Node 20 or newer: install nodejs and npm" >&2; exit 1; }
	@echo "installing $(AZURITE)/package-lock.json into .venvs/azurite"
	@mkdir -p .venvs/azurite
	@cp $^ .venvs/azurite
	@cd .venvs/azurite && npm ci --ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

.PHONY: demo test check slow wheel real golden format bench environments lock clean help
