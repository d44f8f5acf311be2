# make setup       .venv with the command cellblock and what it runs with
# make develop     and with what lints and tests it; every target below that needs it sees to it
# make rehearse    rehearses the sample site on the stand-in; needs no more than make setup
# make test        lint, types and all tests that need no FreeBSD guest and not minutes
# make whole       what takes minutes: the whole sample site among others' rules, links and secrets, each way
#                  to run PHP, host.sh under bash --posix (make test has dash)
# make crash       every failure at every command of every step and undo (docs/recovery.md)
# make hosts       hosts drawn at random: each the same after the move, or refused (tests/cases/README.md)
# make breakin     an attacker in each jail during a whole rollout (docs/security.md); ON=qemu: on a real
#                  FreeBSD; ORDER=bind,policy: these subjects alone; DISK=128M: jails with disks that are filled
# make guest       the tests on a real FreeBSD guest, where an image is at hand
# make chaos       failures drawn at random, each played on a real FreeBSD guest under clients
# make pictures    draws the README's pictures again; REPORT=.../report.json: from another rehearsal
# make mutants     puts faults into a copy of the tree, one by one: do the tests see them?
# make measure     whole rollouts on that guest under clients (docs/measurements.md)

PYTHON ?= python3
BIN := .venv/bin

# Bytecode is kept, whatever the environment says: the tests start hundreds of interpreters.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup develop rehearse test whole lint crash hosts breakin chaos mutants guest measure runbooks pictures axe clean

setup: .venv/ready

develop: .venv/ready-to-develop

.venv/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cellblock wants Python 3.11 or later; name one with make PYTHON=...")'
	@echo "Setting up .venv with cellblock and the packages that it runs with: once, half a minute to two."
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check -e .
	@touch $@
	@echo "Ready. Type next: . .venv/bin/activate && cellblock rehearse"

.venv/ready-to-develop: .venv/ready
	@echo "Adding to .venv what lints and tests cellblock: once, as long again."
	@$(BIN)/pip install --disable-pip-version-check -e '.[dev]'
	@touch $@

rehearse: setup
	$(BIN)/cellblock rehearse

# The linters beside the tests, since mypy keeps one core only; what they say comes last.
test: develop axe
	@said=$$(mktemp) || exit 1; trap 'rm -f "$$said"' EXIT; $(MAKE) --no-print-directory lint >"$$said" 2>&1 & linting=$$!; \
	$(BIN)/pytest -n 6 --dist loadfile --no-loadscope-reorder -m 'not guest and not whole'; tested=$$?; \
	wait $$linting; linted=$$?; cat "$$said"; exit $$((tested | linted))

whole: develop
	$(BIN)/pytest -n 3 --dist loadfile -m 'whole and not guest'

lint: develop
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/shellcheck -s sh -x rollout/host/host.sh rollout/host/looking.sh rollout/engine/drift.sh operations/audit.sh operations/sharing.sh tests/checks/accounts.sh tests/checks/mac.sh tests/checks/logins.sh tests/checks/pages.sh

crash: develop
	$(BIN)/python -m tests.crash $(if $(ONLY),--only '$(ONLY)') $(if $(ORDER),--order '$(ORDER)') $(if $(SITE),--site '$(SITE)')

hosts: develop
	$(BIN)/python -m tests.hosts $(if $(SEED),--seed $(SEED)) $(if $(COUNT),--count $(COUNT)) $(if $(ONLY),--only '$(ONLY)') $(if $(KEEP),--keep '$(KEEP)')

breakin: develop
	$(BIN)/python -m tests.breakin $(if $(ON),--on $(ON)) $(if $(IMAGE),--image '$(IMAGE)') $(if $(ORDER),--order '$(ORDER)') $(if $(DISK),--disk $(DISK)) $(if $(QUICK),--quick)

chaos: develop
	$(BIN)/pytest -s -m measured tests/rehearsal/test_guest_chaos.py tests/rehearsal/test_guest_denied.py

guest: develop
	$(BIN)/pytest -m 'guest and not measured'

mutants: develop
	$(BIN)/python -m tests.mutants

measure: develop
	$(BIN)/pytest -s -m measured --ignore tests/rehearsal/test_guest_chaos.py

# axe-core finds what keeps people from using the report's page; without npm its test skips, and says so.
AXE := tests/browser/node_modules/axe-core/axe.min.js

axe: $(if $(shell command -v npm),$(AXE))

$(AXE): tests/browser/package.json
	@npm install --prefix tests/browser --silent --no-package-lock --ignore-scripts && touch $@ || echo "axe-core could not be installed"

REPORT ?= docs/pictures/report.json

pictures: develop
	$(BIN)/python -m rollout.report.pictures '$(REPORT)' docs/pictures

runbooks: setup
	$(BIN)/cellblock runbook --site site.example.toml --output runbooks

clean:
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache
