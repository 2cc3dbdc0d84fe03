#!/usr/bin/env bash
# sheetstream as the judge's subject; the judge makes topics of four partitions. Topics are made first, as an operator would; the time it takes counts.
# SS_GUARANTEE: at_least_once or exactly_once_v2. SS_BROKERS, SS_KAFKA_CONFIG: another listener than the judge's, and how to speak to it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
kafka=(--brokers "${SS_BROKERS:-$KAFKA_BOOTSTRAP}" ${SS_KAFKA_CONFIG:+--kafka-config "$SS_KAFKA_CONFIG"})
"$SHEETSTREAM_BIN" topics create -t "$here/topology.toml" --partitions 4 "${kafka[@]}" >/dev/null
exec "$SHEETSTREAM_BIN" run "$here/topology.toml" "${kafka[@]}" ${SS_GUARANTEE:+--guarantee "$SS_GUARANTEE"} \
  --state-dir "$SS_STATE/sheetstream" --threads "$SS_THREADS"
