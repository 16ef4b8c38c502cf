# Everything is reached from here: `make help`. Needs make and any Python from 3.12 on.

SHELL := /bin/sh
.DEFAULT_GOAL := help
VENV := .venv
PY := $(VENV)/bin/python

# Stamps carry the hash of what was installed: other requirements, another stamp.
hash = $(firstword $(shell cat $(1) | cksum | tr ' ' '-'))
RUNTIME := $(VENV)/.runtime-$(call hash,requirements.txt)
DEV := $(VENV)/.dev-$(call hash,requirements.txt requirements-dev.txt)

.PHONY: help run test again faults machine check mutants chaos bench e2e lock clean chromium brokers clocks
.DELETE_ON_ERROR:

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(RUNTIME) ## Run the whole console on http://127.0.0.1:8000 (PORT, STEADYHAND_HOME)
	@exec $(PY) -m console.run --under-make

# What kills and halts many processes, one after another, takes minutes: a target of its own. And what
# mounts a disk or makes a network of its own needs root on a machine that allows it: another.
LONG := tests/faults/test_redo_classes.py tests/faults/test_brokers.py tests/faults/test_chaos.py \
	tests/faults/test_sick_systems.py tests/faults/test_failover.py tests/faults/test_clocks.py \
	tests/faults/test_links.py tests/faults/test_random_chaos.py tests/faults/test_worker_killed.py
MACHINE := tests/faults/test_partition.py tests/faults/test_disk_full.py

# Two jobs, each with a console of its own: tests/conftest.py says which runs what.
test: $(DEV) chromium ## Run the tests
	$(PY) -m pytest -n 2 --dist loadgroup $(patsubst %,--ignore=%,$(LONG) $(MACHINE))

again: $(DEV) ## Run the tests that failed last, alone
	$(PY) -m pytest --last-failed --last-failed-no-failures none

faults: $(DEV) brokers clocks ## Run the long tests: redo classes, brokers, databases, clocks, chaos
	$(PY) -m pytest $(LONG)

machine: $(DEV) ## Run what needs root: a full disk, a database behind a cut network
	$(PY) -m pytest $(MACHINE)

e2e: $(DEV) chromium ## Run the browser tests alone
	$(PY) -m pytest tests/browser

check: $(DEV) ## Lint, types, Django's checks, missing migrations
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy .
	$(PY) manage.py check
	$(PY) manage.py makemigrations --check --dry-run

mutants: $(DEV) ## Break each guard once; a test must fail
	$(PY) -m tests.mutants

chaos: $(DEV) ## Kill everything at random while people ask (SEED, MINUTES, BROKER)
	$(PY) -m tests.chaos --seed $(or $(SEED),1) --minutes $(or $(MINUTES),2) \
		$(if $(BROKER),--broker $(BROKER))

bench: $(DEV) ## Measure
	$(PY) -m bench

lock: ## Compile the requirements anew from pyproject.toml (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --universal --generate-hashes \
		pyproject.toml -o requirements.txt
	UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --universal --generate-hashes \
		--extra dev pyproject.toml -o requirements-dev.txt

clean: ## Remove the environment and the caches; state in var/ stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment, by the pip of its own.
define FIND_PYTHON
fits() { "$$1" -c 'import sys; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1 && \
	"$$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }; \
find_python() { \
	for name in $$PYTHON python3.14 python3.13 python3.12 python3 python \
		"$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/*/bin/python "$$HOME"/.pyenv/versions/*/bin/python \
		/opt/*/bin/python3 /opt/python*/*/bin/python3 /usr/local/bin/python3.1[2-9] \
		/usr/local/*/bin/python3; do \
		if fits "$$name"; then echo "$$name"; return; fi; \
	done; \
	echo "No Python from 3.12 on that can make an environment (venv and ensurepip; on Debian the" \
		"package python3-venv). Looked at: PYTHON, python3.14, 3.13, 3.12, python3, python on PATH," \
		"pyenv's versions, /opt, /usr/local. Say which with: make PYTHON=/path/to/python3" >&2; \
	return 1; \
}
endef

# Marked while it is being filled, so that what was interrupted is begun anew.
FILL = touch $(VENV)/.unfinished && \
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1) && \
	rm $(VENV)/.unfinished && touch $@

$(RUNTIME): requirements.txt
	@if [ -e $(VENV)/.unfinished ] || ! $(PY) -m pip --version >/dev/null 2>&1; then \
		$(FIND_PYTHON); python=$$(find_python) || exit 1; \
		echo "making $(VENV) with $$python"; \
		rm -rf $(VENV) && mkdir $(VENV) && touch $(VENV)/.unfinished && \
		"$$python" -m venv $(VENV) || exit 1; \
	fi
	@echo "installing requirements.txt"
	@$(call FILL,requirements.txt)

$(DEV): $(RUNTIME) requirements-dev.txt
	@echo "installing requirements-dev.txt"
	@$(call FILL,requirements-dev.txt)

# The browser tests drive Debian's chromium; CHROMIUM=/path takes another.
chromium:
	@if [ -n "$$CHROMIUM" ]; then \
		[ -x "$$CHROMIUM" ] || { echo "CHROMIUM=$$CHROMIUM cannot be run" >&2; exit 1; }; \
	elif command -v chromium >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing chromium for the browser tests"; \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y --no-install-recommends chromium; \
	else \
		echo "The browser tests need chromium: install it (Debian: apt-get install chromium)," \
			"or name one with CHROMIUM=/path" >&2; exit 1; \
	fi

# RabbitMQ and Redis, which tests start on loopback ports of their own.
brokers:
	@if [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] && command -v redis-server >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing RabbitMQ and Redis for the tests of brokers, without starting them"; \
		policy=/usr/sbin/policy-rc.d; \
		if [ ! -e $$policy ]; then \
			trap "rm -f $$policy" EXIT; \
			printf '#!/bin/sh\nexit 101\n' > $$policy; chmod +x $$policy; \
		fi; \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y --no-install-recommends rabbitmq-server redis-server; \
	else \
		echo "The tests of brokers need RabbitMQ and Redis: install them (Debian: apt-get install" \
			"rabbitmq-server redis-server)" >&2; exit 1; \
	fi

# A library that gives one process another time; the tests name it themselves, and nothing else uses it.
clocks:
	@if [ -n "$$(ls -d /usr/lib/*/faketime /usr/lib/faketime 2>/dev/null)" ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing libfaketime for the tests of clocks"; \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y --no-install-recommends libfaketime; \
	else \
		echo "The tests of clocks need libfaketime: install it (Debian: apt-get install libfaketime)" \
			>&2; exit 1; \
	fi
