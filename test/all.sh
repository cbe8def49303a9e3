#!/usr/bin/env bash
# Everything CI runs; "make test" calls it with the tools in place. Each step
# runs even when an earlier one failed, so that one run tells everything.
set -uo pipefail
cd "$(dirname "$0")/.."
: "${GO:=go}" "${GOFMT:=gofmt}" "${VENV:?}" "${LINT:?}"
out=build/test
rm -rf "$out" && mkdir -p "$out"
passed=0 failed=0 broken=()

# step NAME COMMAND…: a check that counts as one test.
step() {
  local name=$1 began=$SECONDS; shift
  echo "== $name"
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); broken+=("$name"); fi
  echo "== $name: $((SECONDS - began)) s"
}

# tests NAME PACKAGES AND FLAGS…: Go tests, counted with their subtests.
tests() {
  local name=$1 began=$SECONDS; shift
  echo "== $name"
  local log=$out/${name//[^a-z0-9]/-}.json
  if ! "$GO" test -json "$@" >"$log" 2>"$log.err"; then broken+=("$name"); cat "$log.err" >&2; fi
  "$VENV/bin/python" test/report.py "$log" >"$log.count" || true
  read -r p f <"$log.count"
  passed=$((passed + p)) failed=$((failed + f))
  echo "== $name: $p passed, $f failed, $((SECONDS - began)) s"
}

# python NAME ARGUMENTS…: pytest, counted.
python() {
  local name=$1 began=$SECONDS; shift
  echo "== $name"
  local log=$out/${name//[^a-z0-9]/-}.xml
  "$@" --junit-xml="$log" || broken+=("$name")
  "$VENV/bin/python" test/report.py "$log" >"$log.count" || true
  read -r p f <"$log.count"
  passed=$((passed + p)) failed=$((failed + f))
  echo "== $name: $p passed, $f failed, $((SECONDS - began)) s"
}

formatted() { local bad; bad=$("$GOFMT" -l cmd internal bench test); [ -z "$bad" ] || { echo "not formatted: $bad"; return 1; }; }
builds() { # everywhere we promise to run
  local pair
  for pair in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64; do
    GOOS=${pair%/*} GOARCH=${pair#*/} "$GO" build -o /dev/null ./cmd/glaux || return 1
    GOOS=${pair%/*} GOARCH=${pair#*/} "$GO" build -o /dev/null ./cmd/glaux-shim || return 1
  done
}
fuzz() { # so many inputs for each fuzz test, found by name; a limit of time would now and then itself be the failure
  local dir name
  while IFS=: read -r file name; do
    dir=$(dirname "$file")
    "$GO" test "./$dir" -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-30000x}" -fuzzminimizetime 1x || return 1
  done < <(grep -rhoE --include='*_test.go' -H '^func (Fuzz[A-Za-z0-9_]+)' internal | sed -E 's/:func /:/')
}

# The race detector needs a C compiler on Linux, which is not among what has to
# be there.
race=(-race) cgo=1
command -v "$("$GO" env CC)" >/dev/null || { race=() cgo=0; echo "no C compiler: unit tests run without the race detector"; }

# What is pure logic or holds goroutines runs under the race detector; packages
# with real processes run without it. As root those run themselves once more as
# an ordinary user.
processes=(./internal/supervise/... ./internal/engine/local/... ./internal/sandbox/... ./internal/install/... ./internal/doctor/...)
mapfile -t pure < <("$GO" list ./internal/... ./cmd/... ./bench/... | grep -vE 'internal/(supervise|engine/local|sandbox|install|doctor)(/|$)')

step "formatting" formatted
step "lint" "$LINT" run --allow-parallel-runners ./...
step "generated data is current" "$GO" run ./internal/awsapi/modelgen -check
step "cross-compiles" builds
step "runtime" bin/glaux runtime install --dir build/runtime
export GLAUX_TEST_RUNTIME=$PWD/build/runtime GLAUX_RUNTIME_DIR=$PWD/build/runtime
CGO_ENABLED=$cgo tests "unit tests" "${race[@]}" "${pure[@]}"
tests "process tests" -count=1 "${processes[@]}"
step "fuzzing" fuzz
if [ -d runtime/python/tests ]; then
  python "runner" "$VENV/bin/pytest" -q --ignore runtime/python/tests/glue runtime/python/tests
  python "Glue library" "$VENV/bin/pytest" -q runtime/python/tests/glue
fi
step "network tools" bash test/debian.sh iproute2 # a network of their own for tests of port 443
step "AWS CLI v2" bash test/debian.sh awscli # it alone has "logs tail"
step "browser" bash test/debian.sh chromium
tests "wire" -count=1 ./test/wire/...
tests "Go SDK" -count=1 -timeout 10m ./test/compat/...
python "clients" "$VENV/bin/pytest" -q test/compat

[ ${#broken[@]} = 0 ] || { echo "broken:"; printf '  %s\n' "${broken[@]}"; }
echo "$passed passed, $failed failed"
[ ${#broken[@]} = 0 ] && [ "$failed" = 0 ]
