# Fenpost. A fresh machine needs python3 (3.11 or newer), make and git; everything else is set up in .venv
# from requirements.lock, which holds hashes and no addresses.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
DEMO := tests/demo.py

# Slow starts otherwise: without bytecode each start compiles every import again.
unexport PYTHONDONTWRITEBYTECODE
export UV_PYTHON_DOWNLOADS := never
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Someone behind a mirror has told pip of it, not uv.
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
# Trust what the machine trusts, so that an inspecting proxy's certificate counts; a bare machine has no
# such list, and uv's own is used.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem),)
export UV_SYSTEM_CERTS ?= true
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo run test lint types contracts unit storm interop bench lock clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='|' read -r name words; do printf '%-15s %s\n' "$$name" "$$words"; done

setup: $(VENV)/stamp ## Make .venv from requirements.lock (the other targets do this by themselves)

demo: $(VENV)/stamp ## Play a referral end to end, and end; DEMO_JSON=path also writes what happened
	@$(PY) -P $(DEMO) $(if $(DEMO_JSON),--json "$(DEMO_JSON)")

run: $(VENV)/stamp ## Start the demo's partnership and leave it up
	@$(PY) -P $(DEMO) --stay

test: lint types contracts unit ## Lint, types, import contracts and all tests but storm and interop

lint: $(VENV)/stamp
	$(PY) -m ruff check
	$(PY) -m ruff format --check

types: $(VENV)/stamp
	$(PY) -m mypy

contracts: $(VENV)/stamp
	$(VENV)/bin/lint-imports

unit: $(VENV)/stamp
	$(PY) -m pytest -q -n auto --dist worksteal

storm: $(VENV)/stamp ## Kill storms and long races (up to 30 minutes); prints each figure
	$(PY) -m pytest tests/storm -q -s -p no:cacheprovider

interop: $(VENV)/stamp ## Meet programs that we did not write (needs node, npm, Go with x/mod, SoftHSM2)
	$(PY) -P tests/interop/run.py

bench: $(VENV)/stamp ## Measure, as a table and bench.json; QUICK=1 takes a minute, with wider noise
	$(PY) -m benchmarks.run $(if $(filter-out 0,$(QUICK)),--quick)

lock: $(VENV)/stamp ## Compile requirements.lock again; UPGRADE=1 moves the pins
	$(VENV)/bin/uv pip compile pyproject.toml --group test --extra pdf --extra token --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet \
		$(if $(filter-out 0,$(UPGRADE)),--upgrade) --output-file requirements.lock

clean: ## Remove .venv and every cache
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis bench.json
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Two stamps, so that a new console script does not re-install what the lock holds.
$(VENV)/stamp: $(VENV)/locked pyproject.toml
	@$(VENV)/bin/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/locked: requirements.lock
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
		echo "Fenpost needs Python 3.11 or newer, and there is no $(PYTHON) here." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Fenpost needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1)." >&2; \
		echo "If a newer one is installed, name it: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "This Python cannot make virtual environments: its venv or ensurepip module is missing." >&2; \
		echo "On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.lock
	@$(PY) -m pip install --quiet --require-hashes -r $(VENV)/uv.lock
	@$(VENV)/bin/uv pip sync --quiet --require-hashes requirements.lock
	@rm -f $(VENV)/stamp
	@touch $@
