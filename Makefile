# Thin on purpose: each target is one script or one cargo command. CONTRIBUTING.md says which to use when.

.PHONY: run test check lint-extra guests bench

# Builds, starts a server with its data in ./data, runs an example through it, and goes on serving.
run:
	@scripts/run.sh

# Every test, against SQLite and a PostgreSQL that is started for it.
test:
	@scripts/test.sh

# What every change has to pass: formatting, lints, dependencies, spelling, documentation, tests.
check:
	@.ci/run

# Licences and advisories, unused dependencies, spelling: a part of `check`.
lint-extra:
	@scripts/lint-extra.sh

# The WebAssembly guests that the binary embeds.
guests:
	@scripts/guests.sh

# Every benchmark, in release; docs/performance.md says how to read the figures.
bench:
	@scripts/bench.sh
