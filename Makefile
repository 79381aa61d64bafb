.DEFAULT_GOAL := help
.PHONY: help mnist deepspeech translation test unit thorough chaos cluster check docs dist setup lock
ARGS ?=
# Tests start a thousand processes. Where imports may not write what they compile, which is usual in
# container images, each of them would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE
# In several processes, a file in one of them; ARGS="-n 0" for one only. See tests/conftest.py.
PYTEST = .venv/bin/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

# A machine that stalls fails a test that waits for real servers. What fails is tried once more, and
# the summary names it.
ONCE_MORE = --reruns 1 -r aR

SEVERAL_HOSTS = tests/cluster tests/backends/test_dask_hosts.py \
  tests/backends/test_dask_senders.py tests/backends/test_dask_docker.py

help: ## this list
	@awk -F ':.*## ' '/^[a-z ]+:.*## / { printf "make %-22s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

mnist: setup ## set up what is missing, then run the mnist study (ARGS="--trials 10")
	@.venv/bin/tune run --study mnist $(ARGS)

deepspeech translation: ## the same for speech-to-text and for translation
	@scripts/setup --model $@
	@.venv/bin/tune run --study $@ $(ARGS)

# A failure is kept until the end, so that pytest's summary always comes last.
test: ## set up what is missing, then all checks and all tests
	@scripts/setup --tests
	@failed=0; $(MAKE) --no-print-directory check || failed=1; \
	  $(PYTEST) $(ONCE_MORE) $(ARGS) && exit $$failed

unit: ## the tests that need no Docker Engine and train no model
	@scripts/setup --no-engine
	@$(PYTEST) -m "not docker and not slow" $(ARGS)

thorough: ## tests of minutes: models trained in full size, samplers in every variant
	@scripts/setup --tests
	@$(PYTEST) --thorough $(ARGS)

chaos: ## the whole fault-injection suite, which ends with a table (ARGS="--chaos-markdown FILE")
	@scripts/setup --tests
	@.venv/bin/pytest tests/chaos --chaos $(ARGS)

cluster: ## all tests on several machines, which are namespaces of this one; needs root
	@scripts/setup --tests
	@.venv/bin/pytest $(SEVERAL_HOSTS) $(ARGS)
	@.venv/bin/pytest $(SEVERAL_HOSTS) --thorough $(ARGS)

check: ## formatting, lint, types, the direction of imports, security
	@failed=0; \
	for command in "ruff format --check ." "ruff check ." mypy lint-imports \
	  "bandit --quiet --configfile pyproject.toml --recursive tuner scripts" \
	  "python scripts/secret_scan.py" "python scripts/audit.py"; do \
	  echo "-- $$command"; .venv/bin/$$command || failed=1; \
	done; exit $$failed

docs: ## the documentation as a site, in build/site; a broken link is an error
	@scripts/setup --no-engine
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict

dist: ## source archive and wheel, in dist
	@scripts/setup --no-engine
	@.venv/bin/python -m build --no-isolation

setup: ## virtual environment, Docker Engine, serving image and mnist model
	@scripts/setup

lock: ## write requirements.txt anew from pyproject.toml
	@scripts/lock
