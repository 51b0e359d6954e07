#!/usr/bin/env bash
# redis-benchmark against a node: benchmark.sh PORT TESTS. Every test has to come to its end, and no answer may be an error.
set -uo pipefail
for pipeline in 1 16; do
    out=$(redis-benchmark -p "$1" -t "$2" -n 20000 -r 10000 -d 100 -c 20 -P "$pipeline" --csv 2>&1)
    echo "$out"
    ! grep -qi error <<<"$out" || exit 1
    want=$(tr ',' '\n' <<<"$2" | sed 's/ping/ping\nping/' | wc -l)
    [ "$(grep -c '^"[A-Z].*","[0-9]' <<<"$out")" -eq "$want" ] || exit 1
done
