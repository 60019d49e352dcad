# Every target makes the environment it needs in .venv; nothing else on the machine is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test test-js faults test-ansible test-bench contract test-prometheus mutation lint format wheel release-check bench-speed settings-table translations fleet-simulation fleet-processes clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/run: pyproject.toml
	@echo "Preparing $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "prego_metrics needs Python 3.10 or later: make PYTHON=python3.11 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --editable .
	@touch $@

$(VENV)/dev: $(VENV)/run
	@echo "Adding the development tools ..."
	@$(PIP) install --editable '.[dev]'
	@touch $@

demo: $(VENV)/run ## Push from a sample bench to a local control plane, and show what arrived
	@$(BIN)/prego-metrics demo
	@echo; echo "Next: $(BIN)/prego-metrics --help lists the commands; README.md says how to install it on a node."

test: $(VENV)/dev ## Run every test that needs no bench
	@$(BIN)/python -m pytest -m "not bench"

test-js: tests/js/node_modules/.installed ## Check the Desk's scripts: eslint, and node --test (Node 20.19 or later)
	@npm --prefix tests/js run --silent lint
	@npm --prefix tests/js test --silent

tests/js/node_modules/.installed: tests/js/package.json tests/js/package-lock.json
	@cd tests/js && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

faults: $(VENV)/dev ## Inject every fault of tests/faults, the slow ones too, and write tests/faults/RESULTS.md (as root; minutes)
	@$(BIN)/python -m pytest -m "slow or not slow" --junitxml=$(VENV)/faults.xml tests/faults
	@PYTHONPATH=tests/support $(BIN)/python tests/faults/write_document.py $(VENV)/faults.xml

test-bench: $(VENV)/dev ## Run the tests that need a bench, on the one that PREGO_TEST_BENCH, _SITE, _TENANT_SITE and _URL name
	@test -n "$$PREGO_TEST_BENCH" -a -n "$$PREGO_TEST_SITE" -a -n "$$PREGO_TEST_URL" -a -n "$$PREGO_TEST_TENANT_SITE" || { echo "Set PREGO_TEST_BENCH, _SITE, _TENANT_SITE and _URL: CONTRIBUTING.md says to what."; exit 2; }
	@$(PIP) install --editable '.[dev,bench-test]'
	@$(BIN)/python -m pytest -m bench --numprocesses=0

test-ansible: $(VENV)/dev ## Converge the Ansible role on this machine, twice, and uninstall it (as root: sudo make test-ansible; minutes)
	@test "$$(id -u)" = 0 || { echo "Skipped: the role writes to /etc, /opt and /var as root. Run: sudo make test-ansible"; exit 0; }; \
	$(MAKE) --no-print-directory $(VENV)/test-ansible

.PHONY: $(VENV)/test-ansible
$(VENV)/test-ansible:
	@test -x $(VENV)/ansible/bin/ansible-lint || { $(PYTHON) -m venv $(VENV)/ansible && $(VENV)/ansible/bin/python -m pip --disable-pip-version-check --quiet install -r deploy/ansible/requirements-dev.txt; }
	@PREGO_TEST_ANSIBLE=$(CURDIR)/$(VENV)/ansible/bin $(BIN)/python -m pytest tests/deploy/test_ansible_role.py

contract: $(VENV)/dev tests/contract/node_modules/.installed ## Hold a Worker on D1 and the local control plane to the same answers (Node 20 or later)
	@$(BIN)/python -m pytest tests/contract

tests/contract/node_modules/.installed: tests/contract/package.json tests/contract/package-lock.json
	@node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' || { echo "make contract needs Node 20 or later"; exit 2; }
	@cd tests/contract && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

test-prometheus: $(VENV)/dev ## Check the rules, and the metrics in a real Prometheus (needs Debian's prometheus, prometheus-node-exporter and redis-server)
	@$(BIN)/python -m pytest -m "slow or not slow" tests/exporters tests/deploy/test_prometheus.py tests/agent/bench/test_queues.py

mutation: $(VENV)/dev ## Change 200 places of the push's code, one at a time: a test must fail for 90 % of them
	@$(PIP) install --editable '.[dev,mutation]'
	@$(BIN)/python tests/mutation

lint: $(VENV)/dev ## Check style (ruff), types (mypy --strict) and import layers (import-linter)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/dev ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

wheel: $(VENV)/dev ## Build the wheel, install it in an empty environment and run its --help
	@rm -rf dist build $(VENV)/wheel-check
	@$(BIN)/python -m build --wheel --outdir dist . >/dev/null
	@$(PYTHON) -m venv $(VENV)/wheel-check
	@$(VENV)/wheel-check/bin/python -m pip --disable-pip-version-check --quiet install dist/*.whl
	@cd / && $(CURDIR)/$(VENV)/wheel-check/bin/prego-metrics --help
	@ls dist

# Tools of a release in an environment of their own: they are no dependency of the development.
$(VENV)/release/done: pyproject.toml
	@$(PYTHON) -m venv $(VENV)/release
	@$(VENV)/release/bin/python -m pip --disable-pip-version-check --quiet install build twine check-wheel-contents pyroma pip-licenses cyclonedx-bom
	@touch $@

release-check: $(VENV)/dev $(VENV)/release/done ## Check a release: clean tree, lint, tests, packages, changelog, licences, SBOM; dist/ is then what to publish
	@.ci/release-check $(VENV) $(PYTHON)

fleet-processes: $(VENV)/run tests/contract/node_modules/.installed ## Push from 200 benches of this machine, as cron would, to a Worker on D1 (3 minutes; Node 20 or later)
	@$(BIN)/python benchmarks/fleet_processes.py

bench-speed: $(VENV)/dev ## Measure beside peers, as ratios (see benchmarks/)
	@$(BIN)/python benchmarks/census.py
	@$(BIN)/python benchmarks/push.py
	@$(BIN)/python benchmarks/worker.py
	@$(BIN)/python benchmarks/beside.py
	@$(BIN)/python benchmarks/scrape.py
	@$(BIN)/python benchmarks/tenants.py
	@$(BIN)/python benchmarks/fleet_commands.py

settings-table: $(VENV)/run ## Write the table of docs/settings.md from the settings in the code
	@$(BIN)/python tests/support/settings_table.py

translations: $(VENV)/run ## Write prego_metrics/locale/main.pot and ko.po from the sources and translations/ko.csv
	@PYTHONPATH=tests/support $(BIN)/python tests/support/locale_files.py

fleet-simulation: $(VENV)/run ## Simulate a day of 10,000 nodes by scenario, and write docs/scaling-simulation.md (an hour of two cores)
	@$(BIN)/python benchmarks/fleet.py --write

clean: ## Remove the environment and what was built
	@rm -rf $(VENV) tests/contract/node_modules tests/js/node_modules build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
