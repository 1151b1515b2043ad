#!/bin/sh
# A compiler that counts edges in the crates that read files: cargo calls it as RUSTC_WRAPPER. The flags are those that cargo-fuzz sets,
# but for the sanitizers, which need a nightly toolchain.
rustc="$1"
shift
case " $* " in
# Procedural macros run in the compiler, where nothing counts.
*" proc-macro "*) exec "$rustc" "$@" ;;
*" --crate-name cotangent"* | *" --crate-name pt2_"* | *" --crate-name ir_"* | *" --crate-name pickle "* | \
    *" --crate-name safetensors "* | *" --crate-name serde_json "* | *" --crate-name zip "*)
    exec "$rustc" "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
*) exec "$rustc" "$@" ;;
esac
