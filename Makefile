# make run     set everything up, then watch every process this machine starts (ARGS="trace exec -c name" for more)
# make test    set everything up, then lint, type check and run all tests
# make test-kernels  what depends on the kernel, on several of Debian's in QEMU (KERNELS=this,6.1,newest)
# make test-sanitizers  the native addon under sanitizers and valgrind (SANITIZERS="address tests threads valgrind")
# make soak    trace at half of what this machine can, for an hour (SECONDS=600 for less): nothing may grow
# Others: build, portable, install (PREFIX=/usr/local), bench, lint, format, clean.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
.PHONY: build portable run test test-kernels test-sanitizers bench soak lint format install clean test-deps

PREFIX ?= /usr/local
ARGS ?= run trace_exec --host
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo)
NODE := $(shell command -v node)
IG := $(NODE) dist/runtime/cli/ig.js

TS := $(shell find runtime bpf wasm/host oci gadgets/build.ts -name "*.ts" -not -name "*.test.ts")
# The folders too: they change when a gadget or a file of one is removed.
GADGETS := $(shell find gadgets -type d) $(shell find gadgets -mindepth 2 -type f -not -name "*.test.ts" -not -name "*.md")
PROTO := $(shell find runtime/containers/engines/proto -type f)
HEADERS := $(shell find bpf/include -name '*.h')
# What eBPF programs include of libbpf, so that gadgets can be built where it is not installed.
LIBBPF_HEADERS = $(addprefix $(shell pkg-config --variable=includedir libbpf)/bpf/, \
	bpf_core_read.h bpf_endian.h bpf_helper_defs.h bpf_helpers.h bpf_tracing.h usdt.bpf.h)
SDK := $(shell find wasm/sdk wasm/wit -type f -not -name '*.test.*' -not -path '*/conformance/*')
JS_ENGINE := build/javascript-engine.wasm

# The newest clang there is, from 16 on; only asked when something has to be compiled.
CLANG = $(shell for c in clang clang-22 clang-21 clang-20 clang-19 clang-18 clang-17 clang-16; do \
	command -v $$c >/dev/null && [ "$$($$c -dumpversion | cut -d. -f1)" -ge 16 ] && echo $$c && break; done)

# eBPF programs of ig's own.
OWN_BPF := dist/runtime/containers/tracker.bpf.o dist/runtime/debug/hooks.bpf.o

# The addon for test/sanitizers, and the eBPF objects of its tests.
SANITIZED := build/sanitizers/address.node \
	$(patsubst test/live/bpf/%.bpf.c,build/sanitizers/%.bpf.o,$(wildcard test/live/bpf/*.bpf.c))

build: dist/images/index.json $(OWN_BPF) dist/bpf/addon/ig_bpf.node dist/.assets

run: build
	@$(AS_ROOT) $(IG) $(ARGS)

build/.deps: bpf/install-deps.sh
	bpf/install-deps.sh build
	@mkdir -p build && touch $@

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --no-fund --no-audit --loglevel=error
	@touch $@

dist/.tsc: $(TS) tsconfig.json tsconfig.build.json node_modules/.package-lock.json
	node_modules/.bin/tsc -p tsconfig.build.json
	@chmod +x dist/runtime/cli/ig.js && touch $@

# What runs on any machine with Node, macOS too: ig replay, ig gadget new and test. Compilers of guest languages are not in it.
portable: dist/.portable

# Files that run-time code reads beside itself.
dist/.portable: runtime/gadget/gadget.schema.json $(PROTO) $(HEADERS) $(SDK) $(JS_ENGINE) package.json dist/.tsc
	@mkdir -p dist/runtime/gadget dist/runtime/containers/engines dist/wasm
	cp runtime/gadget/gadget.schema.json dist/runtime/gadget/
	cp -r runtime/containers/engines/proto dist/runtime/containers/engines/
	rm -rf dist/bpf/include dist/wasm/sdk dist/wasm/wit
	cp -r bpf/include dist/bpf/
	cp -r wasm/sdk wasm/wit dist/wasm/
	rm -rf dist/wasm/sdk/conformance $$(find dist/wasm/sdk -name '*.test.ts')
	cp $(JS_ENGINE) dist/wasm/sdk/javascript/engine.wasm
	cp package.json dist/
	@touch $@

# With the headers that `ig image build` compiles eBPF programs with.
dist/.assets: dist/.portable build/.deps
	install -D -m 644 -t dist/bpf/include/bpf $(LIBBPF_HEADERS)
	@touch $@

# What modules written in TypeScript and JavaScript run in.
$(JS_ENGINE): wasm/sdk/javascript/engine.js wasm/sdk/javascript/slot.js wasm/wit/post-processor.wit node_modules/.package-lock.json
	@mkdir -p $(@D)
	node $< $@

dist/bpf/addon/ig_bpf.node: $(wildcard bpf/addon/*) build/.deps node_modules/.package-lock.json
	$(MAKE) -C bpf/addon
	@touch $@

$(OWN_BPF): dist/%.bpf.o: %.bpf.c $(HEADERS) build/.deps
	@mkdir -p $(@D)
	$(CLANG) -O2 -g -Wall -Werror -target bpf -mcpu=v3 -I bpf/include -c $< -o $@

dist/images/index.json: $(GADGETS) $(HEADERS) $(SDK) dist/.tsc dist/.assets dist/bpf/addon/ig_bpf.node
	CLANG=$(CLANG) node dist/gadgets/build.js
	@touch $@

# What `make test` needs beyond the build.
build/.test-deps: bpf/install-deps.sh
	bpf/install-deps.sh test
	@mkdir -p build && touch $@

lint: node_modules/.package-lock.json build/.test-deps
	node_modules/.bin/tsc -p tsconfig.json --noEmit
	node_modules/.bin/eslint .
	node_modules/.bin/prettier --check --log-level warn .
	clang-format-16 --dry-run --Werror $$(git ls-files '*.c' '*.cc' '*.h')

format: node_modules/.package-lock.json
	node_modules/.bin/prettier --write --log-level warn .
	clang-format-16 -i $$(git ls-files '*.c' '*.cc' '*.h')

test: build lint $(SANITIZED)
	$(AS_ROOT) env PATH="$$PATH" node_modules/.bin/vitest run --config test/vitest.config.ts $(TESTS)

test-kernels: build
	$(AS_ROOT) env PATH="$$PATH" $(NODE) test/kernels/kernels.js $(if $(KERNELS),--only $(KERNELS))

test-sanitizers: build build/.test-deps $(SANITIZED) build/sanitizers/threads.node
	bpf/install-deps.sh sanitizers
	$(AS_ROOT) env PATH="$$PATH" $(NODE) test/sanitizers/sanitizers.js $(SANITIZERS)

# With a look at null pointers g++ takes no address of a function for constant, as node-addon-api has it (GCC bug 71962).
build/sanitizers/address.node: $(wildcard bpf/addon/*) build/.deps node_modules/.package-lock.json
	$(MAKE) -C bpf/addon OUT=$(CURDIR)/$@ CXXFLAGS="-O1 -g -fno-omit-frame-pointer \
		-fsanitize=address,undefined -fno-sanitize-recover=undefined \
		-fno-sanitize=null,nonnull-attribute,returns-nonnull-attribute"

build/sanitizers/threads.node: $(wildcard bpf/addon/*) build/.deps node_modules/.package-lock.json
	$(MAKE) -C bpf/addon OUT=$(CURDIR)/$@ CXXFLAGS="-O1 -g -fno-omit-frame-pointer -fsanitize=thread"

build/sanitizers/%.bpf.o: test/live/bpf/%.bpf.c build/.deps
	@mkdir -p $(@D)
	$(CLANG) -O2 -g -target bpf -D__TARGET_ARCH_$(if $(filter aarch64,$(shell uname -m)),arm64,x86) \
		-I /usr/include/$$(uname -m)-linux-gnu -I bpf/include -c $< -o $@

bench: build
	bpf/install-deps.sh bench
	$(AS_ROOT) env PATH="$$PATH" node test/bench/bench.js $(if $(COMPARE),--compare $(COMPARE)) $(BENCH_ARGS)

soak: build
	$(AS_ROOT) env PATH="$$PATH" $(NODE) test/soak/soak.js $(if $(SECONDS),--seconds $(SECONDS))

# A self-contained tree: libbpf and libelf lie beside the addon, node_modules holds only what runs.
install: build
	$(MAKE) -C bpf/addon bundle
	rm -rf $(DESTDIR)$(PREFIX)/lib/ig
	install -d $(DESTDIR)$(PREFIX)/lib/ig $(DESTDIR)$(PREFIX)/bin
	cp -r dist package.json package-lock.json LICENSE LICENSE-bpf $(DESTDIR)$(PREFIX)/lib/ig/
	cd $(DESTDIR)$(PREFIX)/lib/ig && npm ci --omit=dev --omit=optional --ignore-scripts --no-fund --no-audit --loglevel=error
	rm -rf $(DESTDIR)$(PREFIX)/lib/ig/node_modules/binaryen $(DESTDIR)$(PREFIX)/lib/ig/node_modules/oxc-minify
	ln -sfn ../lib/ig/dist/runtime/cli/ig.js $(DESTDIR)$(PREFIX)/bin/ig

clean:
	rm -rf build dist
