# The main commands are `make demo` and `make test`. Both set up what is missing.
SHELL := /bin/bash
# Packages of another Spark or of ROS on these paths would shadow ours.
unexport PYTHONHOME PYTHONPATH
CLI := .venv/bin/kogpt2-chat
.DEFAULT_GOAL := help
.PHONY: help setup demo up down status test check faults bench

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1\t/' | expand -t 10

setup: ## Create the environment, find Java and fetch the servers' jars; fast if nothing has changed
	@scripts/setup.sh

demo: setup ## Run the whole loop once on real servers: train, talk, learn, roll out, talk again (BASE=folder BOTS=ChatbotA DATASET=file.csv)
	@$(CLI) demo

up: setup ## Start the servers and wait until they are healthy
	@$(CLI) stack up

down: ## Stop the servers and keep their data (`kogpt2-chat stack down --wipe` deletes it)
	@if [ -x $(CLI) ]; then $(CLI) stack down; else echo "nothing to stop: no environment in .venv"; fi

status: ## Show which servers run, the version of each bot, and the URLs of the web pages
	@if [ -x $(CLI) ]; then $(CLI) status; else echo "no environment in .venv: run \`make setup\` to create it"; exit 1; fi

test: ## Run everything that CI runs, on separate servers
	@scripts/setup.sh --browser
	@scripts/test.sh

faults: setup ## Kill, freeze and slow down workers and brokers for an hour; writes a report to var/faults
	@scripts/faults.sh

check: setup ## Check style, types, layers and docstrings, in under a minute
	@scripts/check.sh

bench: setup ## Compare the engine with other libraries (installed apart, below the cache; 25 min), then the worker with the bare engine (15 min); results in var/bench-peers, var/bench
	@.venv/bin/python -m benchmarks.peers
	@.venv/bin/python -m benchmarks
