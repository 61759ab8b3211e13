.PHONY: help run up down test test-peers mutate serializable bench check format lock screenshots clean
.DEFAULT_GOAL := help

# $(call install,FILES) brings .venv up to date with the first Python that will do.
define install
	@trap 'exit 130' INT; set -- "$$PYTHON"; [ -n "$$1" ] || set -- python3 python3.13 python3.12 python3.11 python; \
	for python do \
		"$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
			&& exec "$$python" .ci/venv.py $(1); \
	done; \
	echo "No Python 3.11 or newer with its venv module found as: $$* (Debian: apt install python3-venv; or set PYTHON)" >&2; \
	exit 1
endef
runtime := requirements.txt pyproject.toml
development := $(runtime) requirements-dev.txt
# Where there is no npm, the tests that need it are left out and named.
node := $(if $(shell command -v npm 2>/dev/null),.ci/node_modules/.package-lock.json)
# $(call compose,WORDS) runs the Docker Compose of this machine, the plugin or the program.
define compose
	for compose in "docker compose" docker-compose; do \
		if $$compose version >/dev/null 2>&1; then exec $$compose $(1); fi; \
	done; \
	echo "No Docker Compose found (Debian: apt install docker-compose)" >&2; exit 1
endef

help: ## List these commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile

run: ## Install what is needed and start the service
	$(call install,$(runtime))
	@exec .venv/bin/icecream serve

up: .env ## Build and start the service in containers, with PostgreSQL and Redis
	@$(call compose,up --build --detach)
	@echo "In a moment at http://127.0.0.1:8000/, or where .env says; admin's password is in .env too"

down: ## Stop the containers; their data stays
	@$(call compose,down)

# Made once and whole: an existing one belongs to its owner, and to the data made with it.
.env:
	@set -e; umask 077; draft=$$(mktemp .env.XXXXXX); trap 'rm -f "$$draft"' EXIT; \
	for name in ICECREAM_SECRET_KEY ICECREAM_ADMIN_PASSWORD POSTGRES_PASSWORD REDIS_PASSWORD; do \
		echo "$$name=$$(od -An -vtx1 -N32 /dev/urandom | tr -d ' \n')"; \
	done >"$$draft"; \
	mv "$$draft" .env

# npm writes it last.
.ci/node_modules/.package-lock.json: .ci/package-lock.json
	npm --prefix .ci ci

test: $(node) ## Run the tests on PostgreSQL and on SQLite; TESTS="tests/test_orders.py -k one" narrows them
	$(call install,$(development))
	@.venv/bin/python -m tests $(TESTS)

test-peers: $(node) ## Run the tests with real proxies, poolers and other servers; Debian's, where they are installed
	$(call install,$(development))
	@.venv/bin/python -m tests $(or $(PEERS),tests/peers)

mutate: ## Make small mistakes in the money rules and see that tests fail; RULES="stock" narrows them
	$(call install,$(development))
	@.venv/bin/python -m tests.mutations $(RULES)

serializable: ## Run the tests on PostgreSQL alone, every transaction serializable
	$(call install,$(development))
	ICECREAM_TEST_DATABASE=serializable .venv/bin/python -m pytest $(or $(TESTS),tests --ignore=tests/peers)

bench: ## Measure against the peers (docs/performance.md); ROWS="hot reads" measures some, ARGS=--quick briefly
	$(call install,$(development))
	@.venv/bin/python -m benchmarks $(ARGS) $(ROWS)

check: ## Lint, formatting, types and import rules
	$(call install,$(development))
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports

format: ## Format the code and fix what can be fixed
	$(call install,$(development))
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

lock: ## Pin the dependencies of pyproject.toml and .ci/package.json; ARGS=--upgrade takes the newest
	$(call install,$(development))
	$(compile) --output-file requirements.txt
	$(compile) --group dev --constraint requirements.txt --output-file requirements-dev.txt
	$(pin) benchmarks/original/requirements.in --output-file benchmarks/original/requirements.txt
	npm --prefix .ci $(if $(ARGS),update,install) --package-lock-only
pin = .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(ARGS)
compile = $(pin) pyproject.toml --group build --extra stripe

screenshots: ## Take the pictures in docs/screenshots anew; needs chromium
	$(call install,$(development))
	@PYTHONPATH=. .venv/bin/python .ci/screenshots.py

clean: ## Remove .venv and caches; the data in var/ stays
	rm -rf .venv .ci/node_modules benchmarks/original/.venv .*_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +
