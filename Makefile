# The two commands that matter: `make demo` and `make test`. Each sets up what is missing by itself.
SHELL := /bin/bash
# Another Spark's or ROS's packages would stand before ours.
unexport PYTHONHOME PYTHONPATH
CLI := .venv/bin/kogpt2-chat
.DEFAULT_GOAL := help
.PHONY: help setup demo up down status test check faults bench

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1\t/' | expand -t 10

setup: ## Make the environment, find Java, fetch the servers' jars; a second call takes a second
	@scripts/setup.sh

demo: setup ## The whole loop once, on real servers: train, talk, learn, roll out, talk again (DATASET=file.csv)
	@$(CLI) demo

up: setup ## Start the servers and wait until they are healthy
	@$(CLI) stack up

down: ## Stop the servers; data stays (`kogpt2-chat stack down --wipe` removes it)
	@if [ -x $(CLI) ]; then $(CLI) stack down; else echo "nothing to stop: no environment in .venv"; fi

status: ## Which servers run, what each bot speaks with, where the pages are
	@if [ -x $(CLI) ]; then $(CLI) status; else echo "nothing to look at: no environment in .venv; \`make setup\` makes it"; exit 1; fi

test: ## Everything that CI runs, on servers of its own
	@scripts/setup.sh --browser
	@scripts/test.sh

faults: setup ## Kill, freeze and slow down workers and broker for an hour; table, and report in var/faults
	@scripts/faults.sh

check: setup ## Style, types, layers and docstrings, in under a minute
	@scripts/check.sh

bench: setup ## Measure the serving worker beside the original way and the bare engine; table and plot in var/bench
	@.venv/bin/python -m benchmarks
