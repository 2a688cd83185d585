# The menu. Each target is one line that calls a command; `make` alone prints it.
# Settings are in .env and can be given for one call: make train MODEL_TYPE=LenetModel EPOCHS=3
SHELL := /bin/bash
.DEFAULT_GOAL := help
.SILENT:

BIN := .venv/bin
# A pyenv shim may be there for a version that is not: so each candidate is run, not only looked for.
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.10 python3,$(shell $p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $p)))
PIP_INSTALL = $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps
# What is typed behind `make` counts for these, and not what happens to be in the shell: HOST is set in many.
$(foreach name,ARGS DRY_RUN FROM HOST RESUME TARGETS TO VERSION,$(if $(filter environment%,$(origin $(name))),$(eval override undefine $(name))))
# They would have .venv take its packages from elsewhere, or run other code first.
unexport PYTHONHOME PYTHONINSPECT PYTHONPATH PYTHONSTARTUP
# Where TensorFlow's C++ side starts to speak: 2 is errors only.
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: help
help: ## print this menu
	awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	echo; echo "  Settings: .env, or for one call: make train MODEL_TYPE=LenetModel EPOCHS=3   (docs/settings.md)"

.PHONY: setup
setup: .venv/.base ## make .venv from the hashed locks (the other targets do it when needed)

.venv/.base: requirements/base.txt pyproject.toml
	test -n "$(PYTHON)" || { echo "error: found no Python 3.10, 3.11 or 3.12 on the PATH; install one, or name it: make setup PYTHON=/path/to/python3.11" >&2; exit 2; }
	echo "--> making .venv with $(PYTHON)"
	"$(PYTHON)" -m venv --clear .venv || { echo "error: $(PYTHON) cannot make a virtual environment; on Debian: apt install python3-venv" >&2; exit 1; }
	echo "--> installing TensorFlow and what else is in requirements/base.txt"
	$(PIP_INSTALL) --require-hashes -r requirements/base.txt
	$(PIP_INSTALL) --no-build-isolation --editable .
	touch $@

.venv/.dev: .venv/.base requirements/dev.txt
	echo "--> installing what is in requirements/dev.txt, for tests and checks"
	$(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	touch $@

.venv/.ops: .venv/.base requirements/ops.txt
	echo "--> installing what is in requirements/ops.txt; restart the server to use it"
	$(PIP_INSTALL) --no-deps --require-hashes -r requirements/ops.txt
	touch $@

.PHONY: ops
ops: .venv/.ops ## add the operations of TensorFlow Text to the local engine

.PHONY: up
up: .venv/.base ## from nothing to an answered prediction: train version 1 if there is none, serve, predict
	$(BIN)/rollout up

.PHONY: down
down: .venv/.base ## stop what `make up` started
	$(BIN)/rollout down

.PHONY: restart
restart: .venv/.base ## start a new server beside the old one and go over to it; trains nothing, loses no request
	$(BIN)/rollout restart

.PHONY: status
status: .venv/.base ## what is served, what is in drop and in quarantine
	$(BIN)/rollout status

.PHONY: logs
logs: .venv/.base ## the server's and the drop watcher's log; follows it on a terminal
	$(BIN)/rollout logs

.PHONY: train
train: .venv/.base ## train and publish the next version; RESUME=runs/<time> goes on with an interrupted one
	$(BIN)/rollout train $(if $(RESUME),-- --resume "$(RESUME)")

.PHONY: evaluate
evaluate: .venv/.base ## measure a version, or a .keras file, on test images: [VERSION=n | FROM=path] [DATA_DIR=path]
	$(BIN)/trainer evaluate $(if $(VERSION),--version $(VERSION)) $(ARGS) $(if $(FROM),"$(FROM)")

.PHONY: publish
publish: .venv/.base ## check a SavedModel, publish it, see it served: make publish FROM=path [VERSION=n] [DRY_RUN=1]
	$(BIN)/rollout publish $(if $(VERSION),--version $(VERSION)) $(if $(DRY_RUN),--dry-run) $(ARGS) "$(FROM)"

.PHONY: rollback
rollback: .venv/.base ## go back to the version before the live one, or to a named one: make rollback [TO=n]
	$(BIN)/rollout rollback $(if $(TO),--to $(TO)) $(ARGS)

.PHONY: restore
restore: .venv/.base ## bring a version back from quarantine, through the checks: make restore VERSION=n
	$(BIN)/rollout restore $(ARGS) "$(VERSION)"

.PHONY: canary
canary: .venv/.base ## let a candidate answer under the label canary: make canary FROM=path, or VERSION=n of quarantine
	$(BIN)/rollout canary $(ARGS) "$(or $(FROM),$(VERSION))"

.PHONY: promote
promote: .venv/.base ## make the canary the live version
	$(BIN)/rollout promote $(ARGS)

.PHONY: abort
abort: .venv/.base ## end the canary; the live version was never touched
	$(BIN)/rollout abort

.PHONY: history
history: .venv/.base ## what happened to each version: who, when, from where, why
	$(BIN)/rollout history $(ARGS)

.PHONY: prove
prove: .venv/.base ## the proof: a day of rollouts, good and bad, under load; writes docs/prove.md (ENGINE=embedded for Docker)
	$(BIN)/python -m rollout.prove $(ARGS)

.PHONY: chaos
chaos: .venv/.dev ## kill -9 and SIGSTOP of every process at random moments, 50 releases, 60 blows at a stack, 5 restarts
	CHAOS_RELEASES=50 CHAOS_BLOWS=60 RESTARTS=5 $(BIN)/python -m pytest tests/chaos tests/e2e/test_supervision.py -q --no-header --timeout 3000 $(ARGS)

.PHONY: image
image: .venv/.base ## bake a version into a server image that needs no mount: make image VERSION=3, else the newest
	$(BIN)/rollout image $(if $(VERSION),--version $(VERSION))

.PHONY: smoke-test
smoke-test: .venv/.dev ## is what is running right? also on another machine: make smoke-test HOST=name[:port]
	$(BIN)/python -m pytest tests/smoke -q --no-header -p no:cacheprovider $(ARGS)

.PHONY: doctor
doctor: .venv/.base ## what this machine has, what is missing, what to do
	$(BIN)/rollout doctor

.PHONY: test
test: .venv/.dev ## all tests that need no Docker engine
	$(BIN)/python -m pytest --ignore tests/smoke --ignore tests/soak --ignore tests/hostile --ignore tests/chaos/test_stack.py -m 'not docker' --numprocesses 2 --dist loadfile $(ARGS)

.PHONY: test-compose
test-compose: .venv/.dev ## the tests that need a Docker engine
	$(BIN)/python -m pytest tests/compose $(ARGS)

.PHONY: conformance
conformance: .venv/.dev ## does a server answer as TensorFlow Serving does? HOST=name asks another one (docs/engine.md)
	CONFORMANCE_HOST=$(HOST) $(BIN)/python -m pytest tests/conformance -q --no-header $(ARGS)

.PHONY: fuzz
fuzz: .venv/.dev ## ten minutes of hostile requests against the engine
	FUZZ_SECONDS=600 $(BIN)/python -m pytest tests/fuzz -q --no-header --timeout 900 $(ARGS)

.PHONY: hostile
hostile: .venv/.dev ## everything that one client can try, while an honest one asks: who is held up by how much
	$(BIN)/python -m pytest tests/hostile -q -s --no-header --timeout 600 $(ARGS)

.PHONY: bench
bench: .venv/.dev ## how fast is the engine? ARGS=--quick; TARGETS=name=host:port puts a server beside (docs/benchmark.md)
	$(BIN)/python -m bench --targets "$(TARGETS)" $(ARGS)

.PHONY: soak
soak: .venv/.dev ## fifty version switches under load: no failed request, no growing memory
	$(BIN)/python -m pytest tests/soak -q -s --no-header --timeout 1800 $(ARGS)

.PHONY: check
check: .venv/.dev ## lint, types, and that locks and generated texts are up to date; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/python -m bundle.reference --check
	$(BIN)/python -m serving.docs --check
	$(BIN)/python requirements/lock.py --check

.PHONY: fix
fix: .venv/.dev ## format, and write locks and generated texts anew
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format --quiet .
	$(BIN)/python -m bundle.reference
	$(BIN)/python -m serving.docs
	$(BIN)/python requirements/lock.py

.PHONY: clean
clean: ## remove .venv, logs and caches; keeps models, drop, quarantine and runs
	if [ -x $(BIN)/rollout ]; then $(BIN)/rollout down; fi
	rm -rf .venv .run .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
