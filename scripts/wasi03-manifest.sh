#!/bin/sh
# Writes target/spin-wasi03.toml: spin.toml, with the components for WASI 0.3 that are built. Its
# paths are relative to its folder; `spin build` uses spin.toml.
set -eu
cd "$(dirname "$0")/.."
script='s|^source = "target/|source = "|; /^\[component\..*\.build\]/,/^$/d'
for module in target/wasm32-wasip1/wasi03/*.wasm; do
    name=${module##*/}
    script="$script; s|release/$name|wasi03/$name|"
done
sed "$script" spin.toml >target/spin-wasi03.toml
