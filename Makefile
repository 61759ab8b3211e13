.PHONY: help run up down test test-fast coverage test-peers test-clients kills fuzz mutate serializable api-release client bench bench-long bench-hour check audit sbom format lock screenshots lighthouse clean
.DEFAULT_GOAL := help

# $(call install,FILES) updates .venv, with the first suitable Python.
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
# All tests without those that have a target of their own.
normal := tests --ignore=tests/peers --ignore=tests/clients --ignore=tests/kills --ignore=tests/fuzz
# Without npm, the tests that need it are skipped and named.
npm := $(shell command -v npm 2>/dev/null)
node := $(if $(npm),.ci/node_modules/.package-lock.json)
node-clients := $(if $(npm),.ci/clients/node_modules/.package-lock.json)
# $(call compose,WORDS) runs this machine's Docker Compose: the plugin or the program.
define compose
	for compose in "docker compose" docker-compose; do \
		if $$compose version >/dev/null 2>&1; then exec $$compose $(1); fi; \
	done; \
	echo "No Docker Compose found (Debian: apt install docker-compose)" >&2; exit 1
endef

help: ## List these commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile

run: ## Install everything needed and start the service
	$(call install,$(runtime))
	@exec .venv/bin/icecream serve

up: .env ## Build and start the service in containers, with PostgreSQL and Redis
	@$(call compose,up --build --detach)
	@echo "Soon at http://127.0.0.1:8000/, or at the address in .env; the admin's password is in .env too"

down: ## Stop the containers; their data stays
	@$(call compose,down)

# Written once, in one step. An existing file is never changed: the data was created with its secrets.
.env:
	@set -e; umask 077; draft=$$(mktemp .env.XXXXXX); trap 'rm -f "$$draft"' EXIT; \
	for name in ICECREAM_SECRET_KEY ICECREAM_ADMIN_PASSWORD POSTGRES_PASSWORD REDIS_PASSWORD; do \
		echo "$$name=$$(od -An -vtx1 -N32 /dev/urandom | tr -d ' \n')"; \
	done >"$$draft"; \
	mv "$$draft" .env

# npm writes this file last.
%/node_modules/.package-lock.json: %/package-lock.json
	npm --prefix $* ci

test: $(node) ## Run the tests on PostgreSQL and on SQLite; TESTS="tests/orders/http/test_orders.py -k one" selects some
	$(call install,$(development))
	@.venv/bin/python -m tests $(TESTS)

test-fast: ## Run the fast tests, on SQLite only
	$(call install,$(development))
	@.venv/bin/python -m tests --fast

coverage: ## Measure which lines the tests on SQLite run; processes that tests start are not counted
	$(call install,$(development))
	ICECREAM_TEST_DATABASE=sqlite .venv/bin/python -m coverage run -m pytest $(normal)
	.venv/bin/python -m coverage report

test-peers: $(node) ## Run the tests with real proxies, poolers and other servers (Debian packages), if installed
	$(call install,$(development))
	@.venv/bin/python -m tests $(or $(PEERS),tests/peers)

test-clients: $(node) $(node-clients) ## Generate clients for the API, compile and use them; needs Java
	$(call install,$(development))
	ICECREAM_TEST_DATABASE=sqlite .venv/bin/python -m pytest $(or $(TESTS),tests/clients)

kills: ## Kill processes and servers at random under load, on both databases; KILLS_SECONDS=600 KILLS_SEED=7
	$(call install,$(development))
	@.venv/bin/python -m tests $(or $(TESTS),tests/kills --capture=no)

fuzz: ## Send generated and hostile requests to the API, on both databases; takes about 15 minutes
	$(call install,$(development))
	@.venv/bin/python -m tests $(or $(TESTS),tests/fuzz)

mutate: ## Put small mistakes into the rules for money and stock and check that tests fail; RULES="stock" selects some
	$(call install,$(development))
	@.venv/bin/python -m tests.mutations $(RULES)

api-release: ## Store what the API promises now, as the release with which the tests compare later changes
	$(call install,$(development))
	@.venv/bin/python -m tests.compatibility

client: ## Generate the typed Python client in clients/python again, from the API document
	$(call install,$(development))
	@.venv/bin/python -m clients.generate

serializable: ## Run the tests on PostgreSQL only, with every transaction serializable
	$(call install,$(development))
	ICECREAM_TEST_DATABASE=serializable .venv/bin/python -m pytest $(or $(TESTS),$(normal))

bench: ## Measure against the peers (docs/performance.md); ROWS="hot reads" selects some, ARGS=--quick is brief
	$(call install,$(development))
	@.venv/bin/python -m benchmarks $(ARGS) $(ROWS)

bench-long: ## Measure with very large databases and under load for ten minutes: an hour or more
	$(call install,$(development))
	@.venv/bin/python -m benchmarks --long $(ARGS)

bench-hour: ## Measure the memory of each process under load for an hour
	$(call install,$(development))
	@.venv/bin/python -m benchmarks $(ARGS) hour

# mypy takes longest; others run beside it.
check: ## Check lint, formatting, types, import rules and declared dependencies
	$(call install,$(development))
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy & mypy=$$!; \
	.venv/bin/lint-imports && .venv/bin/deptry . \
		&& .venv/bin/bandit --quiet --recursive --configfile pyproject.toml icecream tasks piccolo_conf.py; \
	others=$$?; wait $$mypy && exit $$others

audit: ## Look for known vulnerabilities in the pinned dependencies; needs the advisory service of PyPI
	$(call install,$(development))
	.venv/bin/python .ci/audit.py requirements.txt requirements-dev.txt

sbom: ## Print the components of the service as a CycloneDX document (JSON), from requirements.txt
	$(call install,$(development))
	@.venv/bin/cyclonedx-py requirements --pyproject pyproject.toml --of JSON requirements.txt

format: ## Format the code and apply automatic fixes
	$(call install,$(development))
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

lock: ## Pin the dependencies of pyproject.toml and .ci; ARGS=--upgrade takes the newest versions
	$(call install,$(development))
	$(compile) --output-file requirements.txt
	$(compile) --group dev --constraint requirements.txt --output-file requirements-dev.txt
	$(pin) benchmarks/original/requirements.in --output-file benchmarks/original/requirements.txt
	npm --prefix .ci $(if $(ARGS),update,install) --package-lock-only
	npm --prefix .ci/lighthouse $(if $(ARGS),update,install) --package-lock-only
	npm --prefix .ci/clients $(if $(ARGS),update,install) --package-lock-only
pin = .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(ARGS)
compile = $(pin) pyproject.toml --group build --extra stripe

screenshots: ## Update the pictures in docs/screenshots; needs chromium
	$(call install,$(development))
	@PYTHONPATH=. .venv/bin/python .ci/screenshots.py

lighthouse: .ci/lighthouse/node_modules/.package-lock.json ## Measure the pages with Lighthouse (docs/lighthouse.md); needs chromium and npm; PAGES="/shop/" selects some
	$(call install,$(development))
	@PYTHONPATH=. .venv/bin/python .ci/lighthouse/measure.py $(PAGES)

clean: ## Remove .venv and caches; the data in var/ stays
	rm -rf .venv .ci/node_modules .ci/clients/node_modules .ci/lighthouse/node_modules benchmarks/original/.venv .*_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +
