# Vigie. `make` alone lists what there is; `make demo` and `make test` need nothing but Python and make.

VENV ?= .venv
BIN := $(VENV)/bin
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(firstword $(foreach name,python3.12 python3.11 python3.13 python3,\
            $(shell $(name) -c '$(SUPPORTED)' >/dev/null 2>&1 && echo $(name))))
ARGS ?=

.DEFAULT_GOAL := help
.SUFFIXES:
.PHONY: help demo dev run-api run-ui run-redis test test-coverage test-elastic test-browser test-evidently screenshots lint format train provision dashboards \
        pipeline-once pipeline-continuous pipeline-replay verify drift quality simulate simulate-load simulate-drift simulate-concept logs clear-logs health predict-test run-store faults bench bench-check bench-peers reference lock \
        docker-build docker-up docker-down docker-logs pipeline-elasticsearch-up pipeline-elasticsearch-down

help: ## List the targets
	@if [ -t 1 ]; then bold='\033[1m'; plain='\033[0m'; fi; \
	awk -v bold="$$bold" -v plain="$$plain" -F ':.*## ' \
		'/^[a-z-]+:.*## / { printf "  %s%-28s%s %s\n", bold, $$1, plain, $$2 }' $(firstword $(MAKEFILE_LIST))

# --- Setting up -----------------------------------------------------------------------------------

$(BIN)/python:
	@$(if $(PYTHON),$(PYTHON),false) -c '$(SUPPORTED)' 2>/dev/null || { echo "Vigie needs Python 3.11, 3.12 or 3.13 with venv; found: $$($(or $(PYTHON),python3) --version 2>&1)"; exit 2; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { echo "the venv module is missing (Debian: apt-get install python3-venv)"; rm -rf $(VENV); exit 2; }

$(BIN)/uv: requirements-build.txt | $(BIN)/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-build.txt
	@touch $@

define install
	@echo "installing $(1)"
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r $(1)
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
endef

$(VENV)/installed: requirements-embedded.txt pyproject.toml setup.py | $(BIN)/uv
	$(call install,requirements-embedded.txt)

$(VENV)/installed-dev: requirements-dev.txt pyproject.toml setup.py | $(BIN)/uv
	$(call install,requirements-dev.txt)
	@touch $(VENV)/installed

# --- Running --------------------------------------------------------------------------------------

demo: $(VENV)/installed ## Run everything on this machine, with sample traffic, until Ctrl-C (MODEL=, STORE=elasticsearch, DEMO_SECONDS=, DEMO_TRAFFIC=0)
	@exec $(BIN)/vigie demo

dev: $(VENV)/installed ## The same without traffic; restarts the services when a source file changes
	@exec $(BIN)/vigie demo --no-traffic --reload

run-api: $(VENV)/installed ## Run the prediction API
	@exec $(BIN)/vigie api

run-ui: $(VENV)/installed ## Run the Gradio front end
	@exec $(BIN)/vigie ui

run-redis: $(VENV)/installed ## Run the embedded Redis
	@exec $(BIN)/vigie redis

run-store: $(VENV)/installed ## Run the embedded store
	@exec $(BIN)/vigie store

train: $(VENV)/installed ## Train the model (DATA=survey.csv: on a file; MODEL=folder: of another schema)
	@$(BIN)/vigie train

# --- Operating ------------------------------------------------------------------------------------

provision: $(VENV)/installed ## Put index templates into the store; with KIBANA_URL, dashboards and alert rules into Kibana
	@$(BIN)/vigie provision

pipeline-once: $(VENV)/installed ## Index what waits in the stream, then end
	@exec $(BIN)/vigie pipeline once

pipeline-continuous: $(VENV)/installed ## Index events as they come, until Ctrl-C
	@exec $(BIN)/vigie pipeline run

pipeline-replay: $(VENV)/installed ## Index the dead letters once more, when the cause is gone
	@$(BIN)/vigie pipeline dead replay --all

verify: $(VENV)/installed ## Prove that every event is stored or accounted for
	@$(BIN)/vigie verify

drift: $(VENV)/installed ## Compare the newest predictions with the training data (ARGS="--last 24h --html drift.html")
	@$(BIN)/vigie drift $(ARGS)

quality: $(VENV)/installed ## Compare outcomes with predictions and with training (ARGS="--by day --html quality.html")
	@$(BIN)/vigie quality $(ARGS)

logs: $(VENV)/installed ## Show the newest log entries
	@$(BIN)/vigie logs $(ARGS)

clear-logs: $(VENV)/installed ## Clear the stored log entries (ARGS=--force: also those not indexed yet)
	@$(BIN)/vigie clear-logs $(ARGS)

health: $(VENV)/installed ## Show the API's health
	@$(BIN)/vigie health

predict-test: $(VENV)/installed ## Send the example record to the API
	@$(BIN)/vigie predict-test

simulate: $(VENV)/installed ## Send a minute of traffic to the API, some of it bad (ARGS="--rate 50 --seed 2"; `vigie simulate --help`)
	@exec $(BIN)/vigie simulate --rate 20 --duration 60 --bad .02 --batch .02 $(ARGS)

simulate-load: $(VENV)/installed ## The same at 200 a second, three times as many in bursts
	@exec $(BIN)/vigie simulate --rate 200 --users 64 --duration 30 --bad .02 --batch .02 --burst 3x2s/10s $(ARGS)

simulate-drift: $(VENV)/installed ## 500 requests like the training data, then 1,000 older and more often tired; `make drift` names both
	@exec $(BIN)/vigie simulate --rate 50 --requests 1500 --shift AGE=+8 --shift FATIGUE=+.25 --drift-after 500 $(ARGS)

simulate-concept: $(VENV)/installed ## 1,000 requests like the training data, of which outcomes come back, one in five turned; `make quality` says so
	@exec $(BIN)/vigie simulate --rate 50 --requests 1000 --feedback .8 --concept .2 $(ARGS)

# --- With Docker ----------------------------------------------------------------------------------

COMPOSE := docker compose
LASTING := redis elasticsearch kibana api ui pipeline

define demand_docker
@command -v docker >/dev/null || { echo "docker is not installed; without it, \`make demo\` runs everything"; exit 2; }
@$(COMPOSE) version >/dev/null 2>&1 || { echo "docker has no compose: install its compose plugin"; exit 2; }
@docker version >/dev/null 2>&1 || { echo "the Docker daemon does not answer: start it (\`docker version\` says more)"; exit 2; }
endef

docker-build: ## Build the image of our services
	$(demand_docker)
	@$(COMPOSE) build api

docker-up: docker-build ## Start the whole platform in containers, with dashboards and rules in place
	@$(COMPOSE) up --detach --wait $(LASTING)
	@$(COMPOSE) run --rm -T provision
	@$(COMPOSE) ps

docker-down: ## Stop and remove the containers (ARGS=--volumes: also what they kept)
	$(demand_docker)
	@$(COMPOSE) down $(ARGS)

docker-logs: ## Follow what the containers print (ARGS=service)
	$(demand_docker)
	@exec $(COMPOSE) logs --follow --tail 100 $(ARGS)

pipeline-elasticsearch-up: docker-build ## Start Elasticsearch and Kibana in containers, with templates, dashboards and rules in place
	@$(COMPOSE) run --rm -T provision

pipeline-elasticsearch-down: ## Stop and remove these two; what they kept stays
	$(demand_docker)
	@$(COMPOSE) rm --stop --force kibana elasticsearch

# --- Developing -----------------------------------------------------------------------------------

dashboards: $(VENV)/installed ## Write Kibana's saved objects anew from kibana/panels.yaml
	@$(BIN)/vigie dashboards

test: $(VENV)/installed-dev ## Run the tests that need no Elasticsearch, Docker or browser (ARGS= goes to pytest)
	@$(BIN)/python -m pytest $(ARGS)

test-coverage: $(VENV)/installed-dev ## The same with coverage (htmlcov/, coverage.xml); fails below 95 % of src/ or 80 % of a file (`make test-evidently` first)
	@$(BIN)/python -m pytest --cov --cov-report=html --cov-report=xml --cov-report=term:skip-covered $(ARGS)
	@$(BIN)/python tests/coverage_floor.py coverage.xml

test-elastic: $(VENV)/installed-dev ## Run the tests that use a store on a real Elasticsearch (ES_HOST=: on that one; else JDK 17 and Maven)
	@$(BIN)/python -m pytest --store=elasticsearch $(ARGS)

test-browser: $(VENV)/installed-dev ## Run the tests of the pages in a real browser (the system's Chromium, or CHROMIUM=path)
	@$(BIN)/python -m pytest tests/browser $(ARGS)

.venv-evidently/installed: tests/drift/evidently/requirements.txt pyproject.toml setup.py | $(BIN)/uv
	@echo "installing Evidently into .venv-evidently"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-evidently
	@$(BIN)/uv pip install --quiet --compile-bytecode --python .venv-evidently/bin/python --require-hashes -r requirements-build.txt -r $<
	@$(BIN)/uv pip install --quiet --compile-bytecode --python .venv-evidently/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

test-evidently: $(VENV)/installed-dev .venv-evidently/installed ## Run the test of Evidently's report, which wants an environment of its own (without it `make test` skips that test)
	@$(BIN)/python -m pytest tests/drift/test_evidently.py $(ARGS)

screenshots: $(VENV)/installed-dev ## Take the pictures of the documentation anew, from the demo's own pages
	@$(BIN)/python -m tests.browser.screenshots

CAMPAIGN ?= short
SEED ?= 1

faults: $(VENV)/installed-dev ## Break everything at random and count what is lost (CAMPAIGN=long, SEED=n, STORE=elasticsearch, RECORD=1: into docs/reliability.md)
	@$(BIN)/python -m tests.faults --campaign $(CAMPAIGN) --seed $(SEED) --store $(or $(STORE),embedded) $(if $(RECORD),--record)

BENCH ?= bench

bench: $(VENV)/installed-dev ## Measure everything in some minutes, keep the results and write docs/performance.md (BENCH=serving: one; BENCH=elasticsearch: into a real one, with JDK 17 and Maven; BENCH=long)
	@$(BIN)/python benchmarks/check.py --keep $(BENCH); status=$$?; $(BIN)/python -m docs.generate; exit $$status

bench-check: $(VENV)/installed-dev ## Measure what has a floor, and fail when a ratio misses it (BENCH=)
	@$(BIN)/python benchmarks/check.py $(BENCH)

PEERS := fastapi litserve bentoml mlserver

.venv-peers/%/installed: benchmarks/peers/%/requirements.txt | $(BIN)/uv
	@echo "installing $* into .venv-peers/$*"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-peers/$*
	@$(BIN)/uv pip install --quiet --compile-bytecode --python .venv-peers/$*/bin/python -r $<
	@touch $@

bench-peers: $(VENV)/installed-dev $(PEERS:%=.venv-peers/%/installed) ## Compare with MLServer, BentoML, LitServe and FastAPI, each installed into an environment of its own
	@$(BIN)/python benchmarks/check.py --keep peers; status=$$?; $(BIN)/python -m docs.generate; exit $$status

lint: $(VENV)/installed-dev ## Check style, types, imports, security and the house rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy -p vigie
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/bandit --quiet --recursive --configfile pyproject.toml src
	@$(BIN)/python -m pytest --quiet --no-header tests/test_house_rules.py

format: $(VENV)/installed-dev ## Put the code into the house format
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

reference: $(VENV)/installed-dev ## Write .env.example, docs/reference/ and docs/dashboards.md anew from the code
	@$(BIN)/python -m docs.generate

LOCK = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11
PEER_LOCK = $(BIN)/uv pip compile --quiet --no-annotate --no-emit-index-url --no-header --python-version 3.11

lock: | $(BIN)/uv ## Lock the dependencies anew
	@$(LOCK) requirements-build.in -o requirements-build.txt
	@$(LOCK) pyproject.toml -c requirements-build.txt -o requirements.txt
	@$(LOCK) pyproject.toml --extra embedded -c requirements.txt -c requirements-build.txt -o requirements-embedded.txt
	@$(LOCK) pyproject.toml --extra embedded --extra dev -c requirements-embedded.txt -c requirements-build.txt -o requirements-dev.txt
	@$(LOCK) pyproject.toml tests/drift/evidently/requirements.in --extra drift-report -c requirements-build.txt -o tests/drift/evidently/requirements.txt
	@for name in $(PEERS); do $(PEER_LOCK) benchmarks/peers/$$name/requirements.in -o benchmarks/peers/$$name/requirements.txt || exit 1; done
