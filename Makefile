# The short way in. Everything else is `cmake --preset ...` (see CONTRIBUTING.md).
#
#   make demo   install what is missing, build, deploy the example model, show the verdict
#   make test   install what is missing, build, run every test
SHELL := /bin/bash
.DEFAULT_GOAL := help
JOBS := $(shell nproc)

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s $$'\t'

setup: ## install the Debian packages that are missing
	@tools/setup

build/release/build.ninja: CMakeLists.txt CMakePresets.json | setup
	@cmake --preset release >build.log 2>&1 || { cat build.log; rm -f build.log; exit 1; }
	@rm -f build.log

build: setup build/release/build.ninja ## build the command and the libraries (build/release)
	@cmake --build --preset release --parallel $(JOBS)

demo: setup build/release/build.ninja ## deploy the example model end to end and show the verdict
	@cmake --build --preset release --parallel $(JOBS) --target graupel_command
	@tools/demo

test: build ## every test, in the release build
	@ctest --preset release --parallel $(JOBS)

asan: setup ## the tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@cmake --preset asan >/dev/null
	@cmake --build --preset asan --parallel $(JOBS)
	@ctest --preset asan --parallel $(JOBS)

tsan: setup ## the threaded rooms' tests under ThreadSanitizer
	@cmake --preset tsan >/dev/null
	@cmake --build --preset tsan --parallel $(JOBS) --target base_test run_test
	@build/tsan/src/base_test --gtest_brief=1
	@build/tsan/src/run_test --gtest_brief=1 --gtest_filter='*Threads*:*Clone*:Load.*:Profile.*'

fuzz: setup ## each libFuzzer target for 60 seconds (FUZZ_SECONDS=N)
	@cmake --preset fuzz >/dev/null
	@cmake --build --preset fuzz --parallel $(JOBS) --target fuzzers
	@tools/fuzz

bench: build ## benchmarks; prints ratios
	@build/release/bench/graupel_bench

format: ## rewrite the sources with clang-format
	@git ls-files '*.h' '*.cc' '*.c' | xargs clang-format-14 -i

check-format: setup ## fail if a source is not formatted
	@git ls-files '*.h' '*.cc' '*.c' | xargs clang-format-14 --dry-run --Werror

clean: ## remove everything built
	@rm -rf build

.PHONY: help setup build demo test asan tsan fuzz bench format check-format clean
