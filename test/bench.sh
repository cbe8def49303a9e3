#!/usr/bin/env bash
# The benchmark tables: both sides of every row in one run on this machine.
set -euo pipefail
cd "$(dirname "$0")/.."
bin/glaux runtime install --dir build/runtime
exec go run ./bench -glaux bin/glaux -runtime build/runtime ${MOTO:+-moto "$MOTO"} "$@"
