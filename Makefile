# SPDX-License-Identifier: MIT
#
# make bench         measure c10k, idle and load_latency, say what came out, plot it (10 minutes)
# make bench-quick   the same path in 2 minutes; make bench-full: the careful one
# make test          everything that can be checked without timing anything
# make help          all targets
#
# V=1 shows commands · SAN=address,undefined or SAN=thread builds beside the normal build
# WERROR=1 makes warnings errors · NO_APT=1 never installs a package

PYTHON := /usr/bin/python3
TENK   := harness/tenk

comma := ,
hash  := \#
BUILD := build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))

WARNINGS := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wconversion \
	    -Wno-sign-conversion $(if $(WERROR),-Werror)
# C++ has no prototypes to miss, and warns of designated initializers that leave something out.
CXX_WARNINGS := $(filter-out -Wmissing-prototypes -Wstrict-prototypes,$(WARNINGS)) \
		-Wmissing-declarations -Wno-missing-field-initializers \
		$(if $(findstring thread,$(SAN)),$(if $(findstring clang,$(CC)),,-Wno-tsan))
CFLAGS   ?= -O2 -g
CXXFLAGS ?= $(CFLAGS)
# The C++ compiler that goes with the C compiler.
ifeq ($(origin CXX),default)
CXX := $(if $(findstring clang,$(CC)),$(subst clang,clang++,$(CC)),g++)
endif
# Hardening that does not change what is measured; docs/methodology.md says which and why.
HARDEN   := -fstack-protector-strong -fPIE -Wformat -Wformat-security \
	    $(if $(SAN),,-D_FORTIFY_SOURCE=2)
LDHARDEN := -pie -Wl,-z,relro,-z,now,-z,noexecstack
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
TENK_CFLAGS  := -std=gnu17 -D_GNU_SOURCE -I. $(WARNINGS) $(HARDEN) $(SANFLAGS) -pthread
# The check of vptr makes a pipe to look at memory: out of descriptors, it reports what is right.
TENK_CXXFLAGS := -std=gnu++20 -D_GNU_SOURCE -I. $(CXX_WARNINGS) $(HARDEN) $(SANFLAGS) \
		 $(if $(findstring undefined,$(SAN)),-fno-sanitize=vptr) -pthread
TENK_LDFLAGS := $(LDHARDEN) $(SANFLAGS) -pthread
# The load generator's files are optimized as one, which spares a tenth of its instructions per
# request. By gcc alone: clang needs another linker for it. Not under sanitizers, which name lines.
LTO      := $(if $(SANFLAGS)$(findstring clang,$(shell $(CC) --version)),,-flto=auto -ffat-lto-objects)

ifeq ($(V),1)
Q    :=
say   =
else
Q    := @
say   = @printf '  %-7s %s\n' '$(1)' '$(2)'
endif

# Everything is found, nothing is listed: a model is a .c or .cc file in servers/, and so on.
MODELS      := $(basename $(notdir $(wildcard servers/*.c servers/*.cc)))
SERVERS     := $(MODELS:%=$(BUILD)/servers/%)
COMMON_SRC  := $(wildcard common/*.c)
SERVER_SRC  := $(filter-out servers/lib/absent.c,$(wildcard servers/lib/*.c))
LOADGEN_SRC := $(wildcard loadgen/*.c)
BENCH_SRC   := $(wildcard loadgen/bench/*.c)
PROBE_SRC   := $(wildcard harness/measure/probes/*.c)
UNIT_SRC    := $(wildcard tests/unit/test_*.c)
FUZZ_SRC    := $(wildcard tests/fuzz/fuzz_*.c)

COMMON_LIB  := $(BUILD)/lib/libcommon.a
SERVER_LIB  := $(BUILD)/lib/libserver.a
LOADGEN_LIB := $(BUILD)/lib/libloadgen.a
LOADGEN     := $(BUILD)/loadgen/loadgen
BENCH_BIN   := $(BENCH_SRC:%.c=$(BUILD)/%)
PROBE_BIN   := $(PROBE_SRC:harness/measure/%.c=$(BUILD)/%)
UNIT_BIN    := $(UNIT_SRC:%.c=$(BUILD)/%)
FUZZ_BIN    := $(FUZZ_SRC:%.c=build/fuzz/%)

objects = $(1:%.c=$(BUILD)/obj/%.o)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules
PHONY := all

# `all` is a make of its own. Of two goals in one command, `make -j all unit`, both would make the same
# libraries at the same time, and one of them a program from the half of one.
ifneq ($(word 2,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif

# A command that succeeds if the compiler finds these headers, wherever they came from.
have = printf '$(hash)if !__has_include(<%s>)\n$(hash)error\n$(hash)endif\n' $(1) | \
	$(CC) $(CPPFLAGS) $(CFLAGS) -fsyntax-only -x c - 2>/dev/null

# One model that does not compile stops no other: the rest is built, and the last lines say what is
# not. Its old binary has gone with the old source: what runs is what is written.
all:
	@$(call have,jansson.h liburing.h zlib.h) && command -v pkg-config >/dev/null || harness/deps build
	+$(Q)$(MAKE) --no-print-directory -k everything || { \
		for binary in $(SERVERS) $(LOADGEN) $(BENCH_BIN) $(PROBE_BIN); do \
			[ -e $$binary ] || echo "make: not built: $$binary" >&2; \
		done; exit 1; }

PHONY += everything gone
everything: gone $(SERVERS) $(LOADGEN) $(BENCH_BIN) $(PROBE_BIN)

# Binaries whose source is no longer there.
gone:
	$(Q)rm -f $(filter-out $(SERVERS),$(wildcard $(BUILD)/servers/*)) \
		$(filter-out $(PROBE_BIN),$(wildcard $(BUILD)/probes/*))

# --- compile -------------------------------------------------------------------------------------

# Flags decide what an object is: when they change, everything is built anew.
FLAGS_NOW := $(filter-out -Werror,$(CC) $(CFLAGS) $(TENK_CFLAGS) $(TENK_LDFLAGS) $(LTO) \
	     $(CXX) $(CXXFLAGS) $(TENK_CXXFLAGS))
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(FLAGS_NOW)' | cmp -s - $@ || printf '%s\n' '$(FLAGS_NOW)' > $@
PHONY += FORCE
FORCE:

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(TENK_CFLAGS) -MMD -MP -c -o $@ $<

# A model: its binary goes first, so that none is left if this fails. EXTRA: see server_rule.
$(BUILD)/obj/servers/%.o: servers/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	@rm -f $(BUILD)/servers/$*
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(TENK_CFLAGS) $(EXTRA) -MMD -MP -c -o $@ $<

$(BUILD)/obj/servers/%.o: servers/%.cc $(BUILD)/flags
	@mkdir -p $(@D)
	@rm -f $(BUILD)/servers/$*
	$(call say,CXX,$<)
	$(Q)$(CXX) $(CPPFLAGS) $(CXXFLAGS) $(TENK_CXXFLAGS) $(EXTRA) -MMD -MP -c -o $@ $<

$(COMMON_LIB): $(call objects,$(COMMON_SRC))
$(SERVER_LIB): $(call objects,$(SERVER_SRC))
$(LOADGEN_LIB): $(call objects,$(LOADGEN_SRC))
$(call objects,$(LOADGEN_SRC)): TENK_CFLAGS += $(LTO)
$(COMMON_LIB) $(SERVER_LIB) $(LOADGEN_LIB):
	@mkdir -p $(@D)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

# A model names what it needs in comments of its own: "tenk-needs: liburing>=2.3", as pkg-config knows
# it, and "tenk-needs-header: asio.hpp" where pkg-config knows no such package. Where one is not found,
# the binary is still built: it says why, names the Debian package in "tenk-package: libasio-dev", and
# exits 77. What pkg-config knows is linked, and its --cflags heeded; so is "tenk-links: ev", as -lev.
source   = $(wildcard servers/$(1).c servers/$(1).cc)
compiler = $(if $(wildcard servers/$(1).cc),$(CXX) $(CXXFLAGS),$(CC) $(CFLAGS))
needs    = $(shell sed -n 's/.*tenk-needs: *//p' $(call source,$(1)))
headers  = $(shell sed -n 's/.*tenk-needs-header: *//p' $(call source,$(1)))
links    = $(addprefix -l,$(shell sed -n 's/.*tenk-links: *//p' $(call source,$(1))))
debian   = $(shell sed -n 's/.*tenk-package: *//p' $(call source,$(1)))
package  = '$(subst >=, >= ,$(1))'
packages = $(foreach p,$(call needs,$(1)),$(call package,$(p)))
# The packages and headers that are missing; also the C++ compiler.
missing  = $(strip \
	$(foreach p,$(call needs,$(1)),$(shell pkg-config --exists $(call package,$(p)) 2>/dev/null || echo '$(p)')) \
	$(foreach h,$(call headers,$(1)),$(shell printf '$(hash)if !__has_include(<$(h)>)\n$(hash)error\n$(hash)endif\n' | \
		$(call compiler,$(1)) $(CPPFLAGS) $(if $(filter %.cc,$(call source,$(1))),-x c++,-x c) -fsyntax-only - \
		2>/dev/null || echo $(h))) \
	$(if $(filter %.cc,$(call source,$(1))),$(shell command -v $(CXX) >/dev/null || echo $(CXX))))

define server_rule
ifeq ($(call missing,$(1)),)
SYNTAX_SRC += $(call source,$(1))
$(BUILD)/obj/servers/$(1).o $(BUILD)/syntax/$(call source,$(1)): EXTRA = $$(if $$(call needs,$(1)),$$$$(pkg-config --cflags $$(call packages,$(1))))
$(BUILD)/servers/$(1): $(BUILD)/obj/servers/$(1).o $(SERVER_LIB) $(COMMON_LIB)
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(call say,LD,$$@)
	$$(Q)$$(call compiler,$(1)) $$(TENK_LDFLAGS) -o $$@ $$^ \
		$$(if $$(call needs,$(1)),$$$$(pkg-config --libs $$(call packages,$(1)))) $$(call links,$(1)) -ljansson -lm
else
$(BUILD)/servers/$(1): servers/lib/absent.c $(call source,$(1)) $(BUILD)/flags
	@mkdir -p $$(@D)
	$$(call say,ABSENT,$$@ ($$(call missing,$(1)) not found))
	$$(Q)$$(CC) $$(CFLAGS) $$(TENK_CFLAGS) $$(TENK_LDFLAGS) -DMODEL='"$(1)"' \
		-DNEEDS='"$$(call missing,$(1))"' -DPACKAGE='"$$(call debian,$(1))"' -o $$@ $$<
endif
endef
$(foreach model,$(MODELS),$(eval $(call server_rule,$(model))))

# What this compiler warns of, or refuses, with these flags; nothing is generated, so that it takes a
# fifth of the time. All warnings of clang come from there; gcc has some that need its optimizer.
SYNTAX_SRC += $(COMMON_SRC) $(SERVER_SRC) $(LOADGEN_SRC) $(BENCH_SRC) $(PROBE_SRC)
PHONY += syntax
# Of the sanitizers C++ knows nothing; its headers take longer than all the rest.
syntax: $(patsubst %,$(BUILD)/syntax/%,$(filter-out $(if $(SAN),%.cc),$(SYNTAX_SRC)))

# No such file is made: each is looked at each time.
$(BUILD)/syntax/%.c: %.c
	$(call say,SYNTAX,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(TENK_CFLAGS) $(EXTRA) -fsyntax-only $<

$(BUILD)/syntax/%.cc: %.cc
	$(call say,SYNTAX,$<)
	$(Q)$(CXX) $(CPPFLAGS) $(CXXFLAGS) $(TENK_CXXFLAGS) $(EXTRA) -fsyntax-only $<

# How a file that is no part of this checkout is compiled as a model: `tenk check --file` asks.
PHONY += how-to-compile
how-to-compile: $(SERVER_LIB) $(COMMON_LIB)
	@printf '%s\n' 'c $(CC) $(CPPFLAGS) $(CFLAGS) $(TENK_CFLAGS)' \
		'c++ $(CXX) $(CPPFLAGS) $(CXXFLAGS) $(TENK_CXXFLAGS)' \
		'link $(TENK_LDFLAGS)' 'libs $(SERVER_LIB) $(COMMON_LIB)'

$(LOADGEN): $(LOADGEN_LIB) $(COMMON_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(TENK_LDFLAGS) $(LTO) -o $@ -Wl,--whole-archive $(LOADGEN_LIB) \
		-Wl,--no-whole-archive $(COMMON_LIB) -luring -ljansson -lz -lm

$(BENCH_BIN): $(BUILD)/%: $(BUILD)/obj/%.o $(COMMON_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(TENK_LDFLAGS) -o $@ $^ -luring -lm

$(BUILD)/probes/switch: $(BUILD)/obj/servers/lib/fiber.o

$(PROBE_BIN): $(BUILD)/%: $(BUILD)/obj/harness/measure/%.o $(COMMON_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(TENK_LDFLAGS) -o $@ $^ -lm

# A test names the functions it stands in front of, "tenk-wrap: malloc send" (see ld --wrap).
wraps = $(foreach f,$(shell sed -n 's/.*tenk-wrap: *//p' $(1)),-Wl$(comma)--wrap=$(f))

$(UNIT_BIN): $(BUILD)/%: $(BUILD)/obj/%.o $(SERVER_LIB) $(LOADGEN_LIB) $(COMMON_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(TENK_LDFLAGS) -fno-lto $(call wraps,$(@:$(BUILD)/%=%.c)) -o $@ $^ \
		-lcmocka -luring -ljansson -lz -lm

# Unit tests: what fails is shown, and the last line says how many ran.
PHONY += unit unit-needs
unit-needs:
	@$(call have,cmocka.h jansson.h liburing.h zlib.h) || harness/deps build test
$(call objects,$(UNIT_SRC)): | unit-needs
unit: $(UNIT_BIN)
	@tests/unit/run $^

# --- fuzzing -------------------------------------------------------------------------------------

# SECONDS for all targets together. All of it is compiled anew, by clang, which has libFuzzer; with
# -O1, which libFuzzer's manual recommends and which takes less long.
SECONDS     ?= 60
FUZZ_FLAGS  := -fsanitize=fuzzer-no-link,address,undefined -fno-omit-frame-pointer \
	       -fno-sanitize-recover=all
FUZZ_MAKE   := $(MAKE) --no-print-directory CC=clang BUILD=build/fuzz SANFLAGS='$(FUZZ_FLAGS)' \
	       CFLAGS='-O1 -gline-tables-only'
PHONY += fuzz fuzz-build fuzz-unit
fuzz:
	@command -v clang >/dev/null || { echo 'fuzz: clang is needed (apt install clang)' >&2; exit 1; }
	+$(Q)$(FUZZ_MAKE) fuzz-build
	@tests/fuzz/run $(SECONDS) $(FUZZ_BIN)

# The unit tests with the same objects: under AddressSanitizer and UndefinedBehaviorSanitizer, too.
fuzz-unit:
	+$(Q)$(FUZZ_MAKE) unit

ifeq ($(BUILD),build/fuzz)
fuzz-build: $(FUZZ_BIN)
$(FUZZ_BIN): $(BUILD)/%: $(BUILD)/obj/%.o $(SERVER_LIB) $(LOADGEN_LIB) $(COMMON_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(TENK_LDFLAGS) -fsanitize=fuzzer $(call wraps,$(@:$(BUILD)/%=%.c)) \
		-o $@ $^ -luring -ljansson -lz -lm
endif

# --- everything else -----------------------------------------------------------------------------

# Packages first, in a make of its own: which models can be built depends on what it installs.
PHONY += deps test test-all lint clean help
deps:
	@harness/deps build run test

# PYTEST_ARGS: for example PYTEST_ARGS='-k epoll'
# Most tests wait most of the time, for a server to end or not to answer: two of them for each CPU.
TEST_JOBS ?= $(shell n=$$((2 * $$(nproc))); echo $$((n < 16 ? n : 16)))
test:
	@harness/deps build run test
	+$(Q)$(MAKE) --no-print-directory all
	+$(Q)$(MAKE) --no-print-directory unit
	$(call say,PYTEST,tests)
	$(Q)$(PYTHON) -m pytest -q -n $(TEST_JOBS) tests $(PYTEST_ARGS)

# The same with every conformance case on every protocol of every model (tests/in_turn.py).
test-all: export TENK_EVERY_PROTOCOL := 1
test-all: test

# The conformance suite of sanitized servers, and of some under valgrind: about 6 minutes.
PHONY += sanitize
sanitize:
	@harness/deps build run test ci
	+$(Q)$(MAKE) --no-print-directory all
	$(Q)$(PYTHON) -m pytest -q -n 2 -m sanitizer tests/test_sanitizers.py

C_FILES  := $(shell git ls-files '*.c' '*.h' '*.cc' 2>/dev/null || find . -name '*.[ch]' -o -name '*.cc')
# Settings of black and mypy: pyproject.toml; of clang-format: .clang-format.
LINT := lint-format lint-black lint-cppcheck lint-pyflakes lint-mypy
PHONY += $(LINT) lint-deps
lint: $(LINT)
$(LINT): lint-deps
lint-deps:
	@harness/deps build run test lint
lint-format:
	$(call say,FORMAT,clang-format)
	$(Q)clang-format --dry-run -Werror $(C_FILES)
lint-black:
	$(call say,FORMAT,black)
	$(Q)black -q --check harness plots tests
lint-cppcheck:
	$(call say,CHECK,cppcheck)
	$(Q)cppcheck -q -j $(shell nproc) --error-exitcode=1 --enable=warning,portability,performance --std=c17 \
		--inline-suppr -D_GNU_SOURCE -I. common servers loadgen harness/measure/probes
lint-pyflakes:
	$(call say,CHECK,pyflakes)
	$(Q)$(PYTHON) -m pyflakes harness plots tests
lint-mypy:
	$(call say,CHECK,mypy)
	$(Q)mypy

# The table of models in README.md, anew from the headers of servers/*.c.
PHONY += readme
readme:
	@mkdir -p $(BUILD)
	$(Q)sed '/<!-- models:/q' README.md > $(BUILD)/README.md
	$(Q)$(TENK) list --markdown >> $(BUILD)/README.md
	$(Q)sed -n '/<!-- end of models/,$$p' README.md >> $(BUILD)/README.md
	$(Q)cp $(BUILD)/README.md README.md

# The table of numbers in docs/models.md, anew from a run of the experiment models: RUN=DIR.
PHONY += models-table
models-table:
	@mkdir -p $(BUILD)
	$(Q)sed '/<!-- numbers:/q' docs/models.md > $(BUILD)/models.md
	$(Q)$(TENK) list --numbers '$(or $(RUN),$(lastword $(wildcard results/reference/models/*)),models)' >> $(BUILD)/models.md
	$(Q)sed -n '/<!-- end of numbers/,$$p' docs/models.md >> $(BUILD)/models.md
	$(Q)cp $(BUILD)/models.md docs/models.md

# docs/claims.md and its figures, anew: from the newest complete `tenk run all-claims`; RUN=DIR: from that.
PHONY += claims
claims:
	@mkdir -p $(BUILD)
	$(Q)$(TENK) claims $(RUN) --figures > $(BUILD)/claims.md
	$(Q)cp $(BUILD)/claims.md docs/claims.md

# docs/experiments/findings.md and its figures, anew: from the newest complete run of each experiment.
PHONY += findings
findings:
	@mkdir -p $(BUILD)
	$(Q)$(TENK) findings $(RUN) --figures > $(BUILD)/findings.md
	$(Q)cp $(BUILD)/findings.md docs/experiments/findings.md

# Lay everything out the way `make lint` wants it.
PHONY += format
format:
	@harness/deps lint
	$(Q)clang-format -i $(C_FILES)
	$(Q)black -q harness plots tests

# The conformance suite on every model that is built. ARGS: for example ARGS='epoll_lt --protocol http'
PHONY += check
check:
	@harness/deps build run
	+$(Q)$(MAKE) --no-print-directory all
	$(Q)$(TENK) check $(ARGS)

# The load generator alone, with its manual page; DESTDIR is for those who make packages.
PREFIX ?= /usr/local
PHONY += install uninstall
install: $(LOADGEN)
	$(Q)install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/share/man/man1'
	$(Q)install -m 755 $(LOADGEN) '$(DESTDIR)$(PREFIX)/bin/loadgen'
	$(Q)$(LOADGEN) --man > '$(DESTDIR)$(PREFIX)/share/man/man1/loadgen.1'
	$(Q)chmod 644 '$(DESTDIR)$(PREFIX)/share/man/man1/loadgen.1'

uninstall:
	$(Q)rm -f '$(DESTDIR)$(PREFIX)/bin/loadgen' '$(DESTDIR)$(PREFIX)/share/man/man1/loadgen.1'

# The budget of each profile stands in the experiments, harness/experiments/*.toml.
# The ten models of the card; ARGS='--models a,b' measures those, ARGS='--models all' all of them.
PHONY += bench bench-quick bench-full plots gallery report
bench: PROFILE := default
bench-quick: PROFILE := quick
bench-full: PROFILE := full
bench bench-quick bench-full:
	@harness/deps build run
	+$(Q)$(MAKE) --no-print-directory all
	$(Q)$(TENK) run c10k idle load_latency --profile $(PROFILE) $(ARGS) || [ $$? = 3 ] # 3: some cells are void

# RUN=DIR draws that run instead of the latest of each experiment; TERM=dumb draws in the terminal;
# WIDTH=column draws for a column of a printed page.
plots:
	@harness/deps run
	$(Q)$(PYTHON) -m plots $(RUN) $(if $(filter command,$(origin TERM)),--term $(TERM)) \
		$(if $(filter command,$(origin WIDTH)),--width $(WIDTH))

# The figures that the documentation shows of the committed runs.
gallery:
	@harness/deps run
	$(Q)for run in results/reference/*/*/run.json; do \
		dir=$${run%/run.json}; name=$${dir%/*}; \
		$(PYTHON) -m plots $$dir --formats png --out plots/gallery/$${name##*/} || exit 1; \
	done

report:
	@harness/deps run
	$(Q)$(TENK) report $(or $(RUN),latest)

clean:
	$(Q)rm -rf build

help:
	@sed -n 's/^# \{0,1\}//; 3,9p' Makefile
	@echo
	@echo 'targets: all · bench bench-quick bench-full bench-loadgen · plots gallery report'
	@echo '         test test-all unit check sanitize fuzz · lint format readme models-table claims · deps install uninstall clean'

# What the load generator costs, against a bare client and wrk (8 minutes at most). ARGS=--help: options.
PHONY += bench-loadgen
bench-loadgen: $(LOADGEN) $(BENCH_BIN)
	$(Q)$(TENK) bench-loadgen $(ARGS)

# Into a fiber and back: the switch in assembly (where there is one) against swapcontext(3). Seconds.
PHONY += bench-fiber
FIBER_BENCH := $(BUILD)/tests/bench/fiber
$(FIBER_BENCH)_ucontext: EXTRA := -DFIBER_UCONTEXT
$(FIBER_BENCH) $(FIBER_BENCH)_ucontext: tests/bench/fiber.c servers/lib/fiber.c servers/lib/fiber.h $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(TENK_CFLAGS) $(EXTRA) $(TENK_LDFLAGS) -o $@ $(filter %.c,$^)
bench-fiber: $(FIBER_BENCH) $(FIBER_BENCH)_ucontext
	$(Q)for i in 1 2 3; do $(FIBER_BENCH) assembly && $(FIBER_BENCH)_ucontext ucontext || exit 1; done

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

.PHONY: $(PHONY)
