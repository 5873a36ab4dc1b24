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

setup-train: setup ## install libtorch too, so that the next build has graupel train
	@tools/setup tools/packages_train.txt
	@[ ! -e build/release/build.ninja ] || cmake --preset release >/dev/null

setup-tests: setup ## install what tests are compared with or judged by: Chromium, Prometheus, PyPI packages
	@tools/setup tools/packages_tests.txt
	@tools/python-tools
	@[ ! -e build/release/build.ninja ] || cmake --preset release >/dev/null

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

# The rooms that read files or run on the device; `cmake --build --preset asan` builds the rest too.
SANITIZED := base data bundle kernels decide run npu hef hailo serve ir onnx train calibrate compile
SANITIZED_FUZZERS := alls bundle csv decide device_map encodings eval har hef ir_text lift_qdq network npy npz onnx_reader plan recording serve_dispatch serve_request serve_session simplify target train_config
# Tests of `quantize` that take a minute each there: level 3, dozens of tries. Only in the release build.
SLOW_QUANTIZE := *HigherLevels*:Automatic.FourBits*
asan: setup ## these rooms' tests and fuzz corpora under Address- and UBSanitizer
	@cmake --preset asan >/dev/null
	@cmake --build --preset asan --parallel $(JOBS) --target $(SANITIZED_FUZZERS:%=%_fuzz) $(SANITIZED:%=%_test) quantize_test
	@for room in $(SANITIZED); do build/asan/src/$${room}_test --gtest_brief=1 || exit 1; done
	@build/asan/src/quantize_test --gtest_brief=1 --gtest_filter='-$(SLOW_QUANTIZE)'
	@for name in $(SANITIZED_FUZZERS); do echo "fuzz corpus $$name"; \
	  build/asan/fuzz/$${name}_fuzz fuzz/corpus/$$name || exit 1; done

tsan: setup ## the threaded rooms' tests under ThreadSanitizer
	@cmake --preset tsan >/dev/null
	@cmake --build --preset tsan --parallel $(JOBS) --target base_test run_test npu_test serve_test
	@build/tsan/src/base_test --gtest_brief=1
	@build/tsan/src/npu_test --gtest_brief=1
	@build/tsan/src/run_test --gtest_brief=1 --gtest_filter='*Threads*:*Clone*:Batch.*:Crew.*:Load.*:Profile.*'
	@build/tsan/src/serve_test --gtest_brief=1

arm: setup ## the engine cross-built for 64-bit ARM, its tests under qemu
	@cmake -S tests/arm -B build/arm -G Ninja -DCMAKE_CXX_COMPILER_LAUNCHER=ccache >/dev/null
	@cmake --build build/arm --parallel $(JOBS)
	@ctest --test-dir build/arm --output-on-failure

fuzz: setup ## each libFuzzer target for 60 seconds (FUZZ_SECONDS=N)
	@cmake --preset fuzz >/dev/null
	@cmake --build --preset fuzz --parallel $(JOBS) --target fuzzers
	@tools/fuzz

bench: build ## benchmarks; ratios to the peers and to the machine's limit; the estimate's score
	@tools/bench_estimate
	@build/release/bench/graupel_bench
	@tools/bench

format: ## rewrite the sources with clang-format
	@git ls-files '*.h' '*.cc' '*.c' | xargs clang-format-14 -i

check-format: setup ## fail if a source is not formatted
	@git ls-files '*.h' '*.cc' '*.c' | xargs clang-format-14 --dry-run --Werror

clean: ## remove everything built
	@rm -rf build

.PHONY: help setup setup-train setup-tests build demo test asan tsan arm fuzz bench format check-format clean
