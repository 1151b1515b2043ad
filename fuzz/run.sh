#!/bin/sh
# Fuzzes one target: run.sh TARGET [SECONDS], or runs it on one file: run.sh TARGET SECONDS FILE. Findings stand in artifacts/TARGET, what
# was learnt in corpus/TARGET.
set -e
cd "$(dirname "$0")"
target="$1"
seconds="${2:-600}"
RUSTC_WRAPPER="$PWD/coverage.sh" cargo build --release --bin "$target"
[ -d "seeds/$target" ] || python3 seeds.py
mkdir -p "corpus/$target" "artifacts/$target"
[ -z "$3" ] || exec "${CARGO_TARGET_DIR:-target}/release/$target" "$3"
exec "${CARGO_TARGET_DIR:-target}/release/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=2048 \
    -max_len=65536 -print_final_stats=1 -artifact_prefix="artifacts/$target/" "corpus/$target" "seeds/$target"
