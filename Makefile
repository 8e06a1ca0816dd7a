# The front door. `make help` lists what there is; CMake, Ninja and CTest do the work, by the presets
# of CMakePresets.json.

MAKEFLAGS += --no-print-directory
SHELL     := /bin/bash
PREFIX    ?= /usr/local
JOBS      ?= $(shell nproc)
TIME      ?= 60
PYTEST    := /usr/bin/python3 -m pytest -p no:cacheprovider

configure = cmake --preset $(1) $(2) >/dev/null
compile   = cmake --build --preset $(1) --parallel $(JOBS) $(2)

.DEFAULT_GOAL := build
.PHONY: run build test check format bench bench-events bench-keys test-faults fuzz coverage install deps clean help

run: build ## install what is missing, build, and serve ./resources on http://127.0.0.1:8080
	@exec build/release/trestle serve

build: ## install what is missing and build build/release/trestle
	@tools/install_dependencies build
	@$(call configure,release)
	@$(call compile,release)

# One CTest run for everything, so that its last lines tell the whole result.
test: ## run all tests (ASan, UBSan; threads under TSan)
	@tools/install_dependencies build test
	@$(call configure,tsan)
	@$(call compile,tsan,--target thread_tests)
	@$(call configure,debug,-DTRESTLE_TSAN_DIR=$(CURDIR)/build/tsan)
	@$(call compile,debug)
	@ctest --preset debug --parallel $(JOBS)

check: ## format, clang-tidy, cppcheck, and which floor includes which
	@tools/install_dependencies build test check
	@$(call configure,check)
	@tools/check build/check

format: ## format the C files in place
	@tools/install_dependencies check
	@tools/c_files | xargs -0 clang-format -i

test-faults: build ## kill it, fill its disk, a million records: the tests that take long (release build)
	@tools/install_dependencies test
	@TRESTLE=$(CURDIR)/build/release/trestle STORE=sqlite $(PYTEST) -v tests/faults/*.py

bench: build ## measure it, as ratios against nginx and plain C programs
	@tools/install_dependencies test bench
	@$(call compile,release,--target bench_programs)
	@TRESTLE=$(CURDIR)/build/release/trestle BENCH_PROGRAMS=$(CURDIR)/build/release/bench tests/bench/run

bench-events: build ## measure what listeners to events cost, and what noting them does
	@tools/install_dependencies test bench
	@TRESTLE=$(CURDIR)/build/release/trestle tests/bench/events

bench-keys: build ## measure what API keys cost, and whether the time of an answer tells of them
	@tools/install_dependencies test bench
	@TRESTLE=$(CURDIR)/build/release/trestle tests/bench/keys

fuzz: ## fuzz each target for TIME=60 seconds, or one: TARGET=name
	@tools/install_dependencies build test fuzz
	@$(call configure,fuzz)
	@$(call compile,fuzz)
	@tools/fuzz build/fuzz $(TIME) $(TARGET)

coverage: ## run all tests and show which lines they reach
	@tools/install_dependencies build test coverage
	@$(call configure,coverage)
	@$(call compile,coverage)
	@find build/coverage -name '*.gcda' -delete
	@ctest --preset coverage --parallel $(JOBS)
	@gcovr --root . --filter src/ --exclude-unreachable-branches --txt - \
	       --html-details build/coverage/report.html build/coverage
	@echo "line by line: build/coverage/report.html"

install: build ## install the program (DESTDIR=, PREFIX=/usr/local)
	@DESTDIR=$(DESTDIR) cmake --install build/release --prefix $(PREFIX) --strip

deps: ## install everything that any target here needs
	@tools/install_dependencies build test check bench fuzz coverage

clean: ## remove what was built (never data/)
	@rm -rf build

help: ## show this
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' Makefile | expand -t 14
