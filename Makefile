# Everything a newcomer needs: `make demo` and `make test`. Each target sets up what it uses.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/fraud-provenance
CODE := fraud_provenance fraud_provenance_tests benchmarks docs/*.py
TOOLS = $$(tools/build.sh --dir)
OPA = $(TOOLS)/opa
RESOLVE = $(BIN)/uv pip compile --quiet --python-version 3.11 --override tools/overrides.txt --generate-hashes
POLICY_RULES := policies/lib policies/data_access policies/model_registration policies/model_deployment
POLICY_DATA := $(foreach name,layout principals thresholds,$(name):policies/data/$(name).json) \
	$(foreach name,layout principals thresholds data_access model_registration model_deployment,schemas.$(name):policies/schemas/$(name).json)

.PHONY: help setup spark spark-test tools object-store demo production production-down test acceptance attacks incidents remedies faults mutations lint types policies-test dbt-test unit ui bench past-models down clean lock resolve

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/.ready: requirements.lock tools/bootstrap.lock pyproject.toml
	@echo "setup: creating $(VENV) from the hash-pinned lock"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r tools/bootstrap.lock
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes --no-deps -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation \
		--config-settings editable_mode=compat --editable .
	@$(BIN)/python -m compileall -q fraud_provenance fraud_provenance_tests benchmarks
	@touch $@

# Folders, too: they are newer when a file was taken away.
dbt_project/target/manifest.json: $(VENV)/.ready $(shell find dbt_project/*.yml dbt_project/models dbt_project/macros dbt_project/tests)
	@echo "setup: parsing the dbt project"
	@cd dbt_project && ../$(BIN)/dbt --quiet parse --profiles-dir . && touch target/manifest.json

tools: ## Build the pinned Go tools (once; outside the checkout)
	@tools/build.sh

setup: $(VENV)/.ready tools dbt_project/target/manifest.json ## Environment, tools, parsed dbt project

spark: setup $(VENV)/.spark ## Add Spark, the second engine of the features (478 MiB; needs Java 17 or newer)

# PySpark is a source archive: it is built by the tools of the bootstrap lock, not by newest ones.
$(VENV)/.spark: requirements-spark.lock $(VENV)/.ready
	@echo "setup: adding Spark from its hash-pinned lock"
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes --no-deps \
		--no-build-isolation -r requirements-spark.lock
	@touch $@

spark-test: spark ## Spark and DuckDB: every value of the features by its bits, and a home on Spark
	@$(BIN)/python -m pytest -m spark

demo: setup ## The whole flow: servers, data, graph, approval, promotion, scores, trace
	@$(BIN)/python -m fraud_provenance.run.demo

production: setup object-store ## The same flow on PostgreSQL, an object store and MLflow's server, all on this machine
	@$(BIN)/python -m fraud_provenance.run.production

production-down: ## Stop the servers of `make production`; the data are kept
	@$(BIN)/python -m fraud_provenance.run.production --down

object-store: tools ## Build the object store of `make production` and the tests
	@tools/build.sh versitygw

test: setup object-store lint policies-test ## Lint, types, policies, and every test that needs no whole home
	@$(BIN)/dagster definitions validate -w workspace.yaml --log-level error
	@$(BIN)/python -m pytest -m "not e2e and not spark" -n 2 --dist loadscope --no-loadscope-reorder --cov=fraud_provenance.attested.core --cov=fraud_provenance.attested.ports --cov=fraud_provenance.attested.statements --cov=fraud_provenance.attested.store --cov=fraud_provenance.attested.tlog --cov=fraud_provenance.attested.sigstore --cov=fraud_provenance.attested.rules --cov=fraud_provenance.attested.lineage \
		--cov-branch --cov-fail-under=100 \
		--cov-report=term-missing:skip-covered

acceptance: setup object-store ## The whole product on a real home: commands, attacks, the UI in a browser
	@$(BIN)/python -m pytest -m e2e -n 2 --dist loadscope

lint: $(VENV)/.ready tools types dbt_project/target/manifest.json ## Format, lint, types, import contracts, dbt parse
	@$(BIN)/ruff format --check --quiet $(CODE)
	@$(BIN)/ruff check --quiet $(CODE) verify_bundle.py
	@$(BIN)/lint-imports
	@$(OPA) fmt --fail --list policies
	@$(OPA) check --strict --schema policies/schemas $(POLICY_RULES)
	@$(BIN)/sqlfluff lint --disable-progress-bar dbt_project/models

types: $(VENV)/.ready ## mypy, strict (part of lint)
	@$(BIN)/mypy
	@$(BIN)/mypy --follow-imports=silent docs/screenshots.py

policies-test: tools ## Rego tests with 100 % coverage
	@$(OPA) test --timeout 60s $(POLICY_RULES) $(POLICY_DATA)
	@$(OPA) test --timeout 60s --coverage --threshold 100 $(POLICY_RULES) $(POLICY_DATA) > /dev/null \
		|| { echo "policies: coverage is below 100 %"; exit 1; }

dbt-test: setup ## dbt unit and data tests on generated transactions (part of test)
	@$(BIN)/python -m pytest -q fraud_provenance_tests/fraud/test_dbt_project.py

attacks: setup ## The tournament: every known attack, its benign twin, its mutant (over an hour)
	@$(BIN)/python -m fraud_provenance_tests.attacks

incidents: setup ## The incident game: something goes wrong, `blame` has to say what; a stock pipeline beside it (hours)
	@$(BIN)/python -m fraud_provenance_tests.incidents --stock

remedies: setup ## Every remedy of the table, done as it is printed on a real home
	@$(BIN)/python -m fraud_provenance_tests.attacks --remedies

faults: setup object-store ## The fault campaign: kills at random moments, full disks, servers down or lying
	@FRAUD_PROVENANCE_ALERT_KILLS=200 $(BIN)/python -m pytest -q fraud_provenance_tests/alerts/test_kills.py
	@NETWORK_CUTS=12 $(BIN)/python -m pytest -q -k cut fraud_provenance_tests/e2e/test_three_hosts.py
	@$(BIN)/python -m fraud_provenance_tests.attacks.campaign

mutations: setup ## 5,000 changed files for an auditor: neither verifier accepts one (two hours)
	@FRAUD_PROVENANCE_MUTATIONS=4000 $(BIN)/python -m pytest -q -k "no_changed_file or no_field" \
	  fraud_provenance_tests/investigate/test_verify_bundle.py

ui: setup ## Dagster's UI and daemon, MLflow's UI and the Data Docs of this home
	@$(RUN) up
	@$(RUN) ui

bench: setup ## Cost of provenance: the handbook graph with and without it; then what users plan with
	@$(BIN)/python -m benchmarks.overhead
	@$(BIN)/python -m benchmarks.bounds

past-models: setup ## Thirty past models made again: ten of other commits, five of other locks (over an hour)
	@$(BIN)/python -m benchmarks.past_models

down: ## Stop the local Sigstore of this home
	@$(RUN) down

resolve: ## Resolve the first lock alone; UPGRADE="--upgrade-package NAME==VERSION" moves one package
	@$(RESOLVE) $(UPGRADE) \
		--extra dev --extra postgres --extra kubernetes pyproject.toml -o requirements.lock

lock: $(VENV)/.ready resolve ## Resolve both locks anew, and write down what their packages install
	@$(RESOLVE) --no-header \
		--extra dev --extra postgres --extra kubernetes --extra spark --constraints requirements.lock \
		$$(sed -nE 's/^([A-Za-z0-9._-]+)(\[.*\])?==.*/--no-emit-package \1/p' requirements.lock) \
		pyproject.toml | sed '/^# The following packages/,$$d' > requirements-spark.lock
	@rm -rf build/lock && mkdir -p build
	@UV_NO_CACHE=1 $(MAKE) --no-print-directory VENV=build/lock build/lock/.ready build/lock/.spark
	@build/lock/bin/python -m fraud_provenance.attested.attestors.installed

clean: ## Remove what make created here (not the home's evidence)
	rm -rf $(VENV) dbt_project/target build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
