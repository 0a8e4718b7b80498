# This needs Python 3.10 to 3.13, git and make. It installs all other tools in .venv, in the versions of uv.lock.

PYTHON ?= python3
UV_VERSION := $(shell sed -n 's/.*"uv==\([0-9.]*\)".*/\1/p' pyproject.toml)
IN := .venv/bin
# The workloads run on the Python of .venv too, since another python3 on PATH may be too old for them.
OWN_PYTHON := PATH="$(CURDIR)/$(IN):$$PATH"

.PHONY: help demo shell test format vendor pack clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

demo: .venv/ready ## show which application may make which calls, and why
	@$(OWN_PYTHON) $(IN)/juju-rehearsal exec $(IN)/python -m demo --patience 15

shell: .venv/ready ## open a shell in which juju works on the same bundle
	@$(OWN_PYTHON) $(IN)/juju-rehearsal shell bundles/demo.yaml --suggest "juju run scraper/0 probe"

test: .venv/ready ## run all checks and tests, for about a quarter of an hour
	@$(IN)/tox run-parallel

format: .venv/ready ## format the code
	@$(IN)/tox -e format

vendor: .venv/ready ## copy the library into the charms that use it
	@$(IN)/tox -e vendor

pack: .venv/ready ## pack the charms into the places that the bundles name; needs charmcraft and LXD
	@$(IN)/tox -e pack

clean: ## remove the files that the other targets made
	rm -rf .venv .tox .rehearsal .pytest_cache .ruff_cache .hypothesis charms/*/.venv charms/*/.tox charms/*/.*_cache charms/*/*.charm
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/ready: uv.lock pyproject.toml map/pyproject.toml rehearsal/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' || \
		{ echo "$(PYTHON) is not Python 3.10 to 3.13. Name another one: make PYTHON=python3.12"; exit 1; }
	@echo "Setting up .venv ..."
	@$(PYTHON) -m venv --clear .venv
	@$(IN)/python -m pip install --quiet uv==$(UV_VERSION)
	@$(IN)/uv sync --quiet --locked --compile-bytecode
	@touch $@
