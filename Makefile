# gazami: the commands of the house. `make demo` shows it at work, `make test` proves it; both set up what they need.
VENV := .venv/bin
PYTEST := $(VENV)/python -m pytest

IMAGES := scripts/images

.PHONY: help man chaos demo test test-services test-containers fuzz images dist release check fast lint docs recordings site bench scale clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

demo: ## build a Debian base and a web site with gazami, push both, prove them (BASE=name takes a base from a registry)
	@scripts/setup demo
	@$(VENV)/python scripts/demo.py

test: ## set up and run everything: checks, then the suites, fast ones first
	@scripts/setup test
	@$(MAKE) --no-print-directory lint
	@$(PYTEST) -q tests/unit tests/property tests/golden tests/architecture -n 2
	@PYTHONDEVMODE=1 PYTHONWARNINGS=ignore $(PYTEST) -q tests/unit tests/property tests/golden -n 2  # frozen is frozen: ADR 7
	@$(PYTEST) -q tests/security tests/concurrency -n 2
	@$(PYTEST) -q tests/integration -n 2
	@$(PYTEST) -q tests/conformance -n 2

test-services: ## the tests that need what takes long to install (azurite, mkdocs), and gazami's packages
	@scripts/setup services
	@scripts/setup site
	@$(PYTEST) -q tests/external -n 2

test-containers: ## gazami's images under podman: environments and roots, recipes, and callers of kaniko
	@scripts/setup containers
	@$(PYTEST) -q tests/container tests/integrations -n 2 --dist loadfile

fuzz: ## the tar reader against Python's on 100 000 archives, and semi-valid Dockerfiles (ARCHIVES=n SEED=n)
	@$(VENV)/python -m tests.tarfuzz $(or $(ARCHIVES),100000) $(or $(SEED),1)
	@GAZAMI_FUZZ_EXAMPLES=20000 $(PYTEST) -q tests/property/test_fuzz_dockerfile.py -n 2

chaos: ## builds that are killed, told to end, cut off and out of space, for SECONDS=n with SEED=n (needs root)
	@scripts/setup test
	@$(VENV)/python -m tests.chaos $(or $(SECONDS),1800) $(SEED)

images: ## gazami's own images, built by gazami: archives in out/images, pushed where IMAGE_REPO says (PLATFORMS=linux/amd64,linux/arm64)
	@PLATFORMS="$(PLATFORMS)" scripts/setup images
	@$(IMAGES) "$(IMAGE_REPO)" "$(PLATFORMS)"

dist: ## wheel and sdist in dist/, with their sums
	@scripts/setup run
	@scripts/dist

release: ## the version's packages, images and their digests in dist/; the images are pushed to REPO=name
	@PLATFORMS="$(PLATFORMS)" scripts/setup images
	@IMAGES="$(IMAGES)" PLATFORMS="$(PLATFORMS)" scripts/release "$(REPO)"

check: lint fast ## before each commit: ruff, mypy, import-linter and the fast tests

lint:
	@! git grep -nE '^(<<<<<<<|>>>>>>>) ' -- ':!tests/golden' ':!tests/conformance'
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check -q .
	@$(VENV)/mypy
	@$(VENV)/lint-imports

fast:
	@$(PYTEST) -q tests/unit tests/golden tests/architecture -n 2

docs: ## regenerate the generated reference pages
	@$(VENV)/python scripts/render_reference.py
	@$(VENV)/python scripts/render_architecture.py

recordings: ## record what the README shows of gazami on a terminal, as docs/images/terminal-*.svg
	@scripts/setup test
	@$(VENV)/python scripts/render_terminal.py

site: ## the documentation as a web site in out/site; a broken link or a page that is not in the menu fails
	@scripts/setup site
	@NO_MKDOCS_2_WARNING=1 .venv-site/bin/mkdocs build --strict

man: ## write manual pages into build/man
	@$(VENV)/python scripts/render_man.py build/man

bench: ## compare with installed peers, side by side (needs root; takes some minutes)
	@scripts/setup test
	@$(VENV)/python benchmarks/run.py

scale: ## 200 builders at one cache, on a registry in memory: requests, time, how often each step ran (needs root)
	@scripts/setup test
	@$(VENV)/python -m benchmarks.scale -- --cache-lease=on
	@$(VENV)/python -m benchmarks.scale -- --cache-lease=off

clean:
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis out
