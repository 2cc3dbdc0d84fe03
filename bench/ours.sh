#!/usr/bin/env bash
# sheetstream as the judge's subject; the judge makes topics of four partitions. Topics are made first, as an operator would; the time it takes counts.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$SHEETSTREAM_BIN" topics create -t "$here/topology.toml" --partitions 4 --brokers "$KAFKA_BOOTSTRAP" >/dev/null
exec "$SHEETSTREAM_BIN" run "$here/topology.toml" --brokers "$KAFKA_BOOTSTRAP" --state-dir "$SS_STATE/sheetstream" --threads "$SS_THREADS"
