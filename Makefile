# Thin targets over CMakePresets.json. Each does its own set-up: a fresh clone needs nothing before.
SHELL := /bin/bash
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
CMAKE_ARGS ?=
FUZZ_SECONDS ?= 60

# Ninja when there. Through the environment, so that a configured build directory keeps what it has.
CMAKE_GENERATOR ?= $(if $(shell command -v ninja 2>/dev/null),Ninja,Unix Makefiles)

WERROR = $(if $(filter true 1,$(CI)),ON,OFF)
SOURCES = git ls-files '*.hpp' '*.cpp' '*.h' '*.c' '*.cuh' '*.cu'

.PHONY: run test test-faults test-gpu fuzz install format tidy clean help setup setup-tests build-default build-asan build-tsan build-fuzz
.DEFAULT_GOAL := run

run: build-default  ## a real model's Q and K through a kernel made for it, checked (the default)
	build/default/bin/qkjit run --model flux1-dev --check

test: setup-tests build-default build-asan build-tsan  ## everything that needs no GPU, sanitizers included
	ctest --preset asan -j$(JOBS)
	ctest --preset tsan -j$(JOBS)
	ctest --preset default -j$(JOBS)

test-faults: setup-tests build-default  ## the cache with failing disks, killed writers and many processes (part of test)
	ctest --preset default -L fault
	build/default/bin/qkjit_unit_tests "[cache],[processes]"
	ctest --preset default -R "cli: (cache|explain|compilers)_test"

fuzz: build-fuzz  ## libFuzzer on the reader of entries, for FUZZ_SECONDS (60); needs Clang
	mkdir -p build/fuzz/corpus
	build/fuzz/bin/qkjit_entry_fuzz -max_total_time=$(FUZZ_SECONDS) -max_len=8192 -print_final_stats=1 build/fuzz/corpus tests/fuzz/seeds

test-gpu: build-default  ## the tests that need a GPU
	ctest --preset gpu

install: build-default  ## into PREFIX (/usr/local)
	cmake --install build/default --prefix "$(PREFIX)"

format:  ## clang-format every source in place
	$(SOURCES) | xargs clang-format -i

tidy: build-default  ## clang-tidy on the library and the tool
	git ls-files 'src/*.cpp' 'tools/*.cpp' | xargs -P$(JOBS) -n1 clang-tidy --quiet -p build/default

clean:  ## remove build/
	rm -rf build

help:  ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1	/p' Makefile | expand -t12

setup:
	@tools/setup.sh

setup-tests:
	@tools/setup.sh tests

# The sanitizers' builds take the generic kernels that the default one has compiled.
build-asan build-tsan build-fuzz: build-default
build-asan build-tsan build-fuzz: private override CMAKE_ARGS += -DQKJIT_GENERIC_PTX=$(CURDIR)/build/default/src/generated

build-default build-asan build-tsan build-fuzz: build-%: setup
	. build/cuda.env && CMAKE_GENERATOR="$(CMAKE_GENERATOR)" cmake --preset $* \
	  -DQKJIT_CUDA_INCLUDE_DIR="$$QKJIT_CUDA_INCLUDE_DIR" \
	  -DQKJIT_NVRTC_LIBRARY="$$QKJIT_NVRTC_LIBRARY" -DQKJIT_WERROR=$(WERROR) $(CMAKE_ARGS)
	cmake --build --preset $* -j$(JOBS)
