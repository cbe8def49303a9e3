# What every target needs beside Go, Python 3.11, JDK 17, Maven and make it
# fetches by itself, pinned, into build/. CONTRIBUTING.md says more.

GO        ?= go
PYTHON    ?= python3.11
MVN       ?= mvn
DATA_DIR  ?=
GOLANGCI  := v2.15.0
BUILD     := build
VENV      := $(BUILD)/venv/$(shell sha256sum test/compat/requirements.txt 2>/dev/null | cut -c1-12)
# SageMaker Studio's library lives apart: it wants other releases of what the clients need.
STUDIO    := $(BUILD)/venv/$(shell sha256sum test/compat/studio.txt 2>/dev/null | cut -c1-12)
# Glue's Jupyter kernels likewise.
KERNEL    := $(BUILD)/venv/$(shell sha256sum test/compat/kernel.txt 2>/dev/null | cut -c1-12)
PEERS     := $(BUILD)/venv/$(shell sha256sum bench/requirements.txt 2>/dev/null | cut -c1-12)
LINT      := $(BUILD)/tools/golangci-lint-$(GOLANGCI)
# Cases for the JSON 1.1 codec, read by internal/awsapi's tests.
SMITHY    := smithy-aws-protocol-tests
SMITHY_V  := 1.74.1
SMITHYSUM := 21dd592e4f6eebccf79c84508b2fb79c0c69de5e10b80f6b286428613ecfa34e
VECTORS   := $(BUILD)/cache/smithy/$(SMITHY)-$(SMITHY_V).jar
SOURCES   := $(shell find cmd internal -name '*.go' -not -name '*_test.go' 2>/dev/null) $(shell find internal -type f -not -name '*.go' 2>/dev/null) go.mod go.sum
RUNNER    := $(shell find runtime/python -name "*.py" -not -path "*/tests/*" 2>/dev/null)
JAVA      := $(shell find runtime/java/src -type f 2>/dev/null) runtime/java/pom.xml

# Nothing here needs C but the race detector; one setting for all shares the build cache.
export CGO_ENABLED := 0

.PHONY: all build run demo test bench lint fmt fmt-check generate check-generate lock clean
.DELETE_ON_ERROR:
all: build

## build: bin/glaux, bin/glaux-shim and the driver jar
build: bin/glaux bin/glaux-shim bin/runtime/glaux-driver.jar bin/runtime/python/built

bin/glaux: $(SOURCES)
	$(GO) build -o $@ ./cmd/glaux

bin/glaux-shim: $(SOURCES)
	$(GO) build -ldflags '-s -w' -o $@ ./cmd/glaux-shim

# What runs inside sessions lies beside the program; "glaux runtime install"
# takes it from there.
bin/runtime/glaux-driver.jar: $(JAVA)
	$(MVN) -q -B -ntp -f runtime/java/pom.xml package
	@mkdir -p bin/runtime
	cp runtime/java/target/glaux-driver.jar $@

bin/runtime/python/built: $(RUNNER)
	rm -rf bin/runtime/python
	mkdir -p bin/runtime/python
	cd runtime/python && tar -cf - --exclude=__pycache__ --exclude=tests --exclude=.pytest_cache . | tar -xf - -C ../../bin/runtime/python
	touch $@

## run: builds, fetches the Spark runtime, starts the server and says how to connect
run: build
	bin/glaux runtime install $(if $(DATA_DIR),--dir $(DATA_DIR)/runtime)
	bin/glaux serve $(if $(DATA_DIR),--data-dir $(DATA_DIR))

## demo: a real session by boto3 on free ports and a temporary directory
demo: build $(VENV)/ok
	$(VENV)/bin/python test/demo/demo.py

## test: everything CI runs
test: build $(VENV)/ok $(STUDIO)/ok $(KERNEL)/ok $(LINT) $(VECTORS)
	GO=$(GO) PYTHON=$(PYTHON) VENV=$(VENV) LINT=$(LINT) GOFMT=$$($(GO) env GOROOT)/bin/gofmt bash test/all.sh

## bench: the benchmark table, peers included
bench: build $(PEERS)/ok
	bin/glaux runtime install --dir $(BUILD)/runtime
	$(GO) run ./bench -glaux bin/glaux -runtime $(BUILD)/runtime -moto $(PEERS)/bin/moto_server

## lint, fmt: what the style rules say
lint: $(LINT)
	$(LINT) run --allow-parallel-runners ./...

fmt:
	$$($(GO) env GOROOT)/bin/gofmt -w cmd internal bench test

fmt-check:
	@out=$$($$($(GO) env GOROOT)/bin/gofmt -l cmd internal bench test); [ -z "$$out" ] || { echo "not formatted: $$out"; exit 1; }

## generate, check-generate: constraint tables and operation lists from the pinned model
generate:
	$(GO) run ./internal/awsapi/modelgen

check-generate:
	$(GO) run ./internal/awsapi/modelgen -check

## lock: pins every requirements.in with hashes: compat clients, benchmark peers, sessions
lock:
	$(PYTHON) -m venv $(BUILD)/lock
	$(BUILD)/lock/bin/pip install -q pip-tools==$(shell cat test/compat/pip-tools.txt)
	for dir in test/compat bench internal/install; do (cd $$dir && $(abspath $(BUILD))/lock/bin/pip-compile -q --generate-hashes --strip-extras --no-emit-find-links --no-emit-index-url --no-emit-trusted-host --allow-unsafe --no-header -o requirements.txt requirements.in) || exit 1; done
	for name in studio kernel; do (cd test/compat && $(abspath $(BUILD))/lock/bin/pip-compile -q --generate-hashes --strip-extras --no-emit-find-links --no-emit-index-url --no-emit-trusted-host --allow-unsafe --no-header -o $(abspath $(BUILD))/lock/$$name.txt $$name.in) && $(PYTHON) test/compat/only.py test/compat/$$name.in $(BUILD)/lock/$$name.txt > test/compat/$$name.txt || exit 1; done

$(LINT):
	@mkdir -p $(BUILD)/tools/tmp
	GOBIN=$(abspath $(BUILD)/tools/tmp) GOFLAGS= $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI)
	mv $(BUILD)/tools/tmp/golangci-lint $@

$(VECTORS):
	@mkdir -p $(@D)
	$(MVN) -q -B -ntp dependency:copy -Dartifact=software.amazon.smithy:$(SMITHY):$(SMITHY_V) -DoutputDirectory=$(abspath $(@D))
	echo "$(SMITHYSUM)  $@" | sha256sum -c --quiet -

# An environment of hash-locked packages, named by what is in it.
define environment
rm -rf $(@D)
$(PYTHON) -m venv $(@D)
$(@D)/bin/pip install -q --disable-pip-version-check --require-hashes -r $<
touch $@
endef

$(VENV)/ok: test/compat/requirements.txt
	$(environment)

$(STUDIO)/ok: test/compat/studio.txt
$(KERNEL)/ok: test/compat/kernel.txt
$(STUDIO)/ok $(KERNEL)/ok:
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install -q --disable-pip-version-check --no-deps --require-hashes -r $<
	touch $@

$(PEERS)/ok: bench/requirements.txt
	$(environment)

clean:
	rm -rf bin $(BUILD) runtime/java/target
