#!/usr/bin/env bash
# Everything that only a GPU can show, in one go: every path's bytes, every model against the oracle, what
# a call costs the host, and the kernels against a copy of the same bytes. Uses the binaries of `make run`, or
# those in the directory given, so it also runs where nothing can be built. Ends with a short table; exit code
# 1 if a line of it failed.
#
#   tools/gpu_check.sh [DIRECTORY_OF_BINARIES] [RESULTS.json]
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bin=${1:-build/default/bin}
results=${2:-}
models=(flux1-dev flux2-dev qwen-image qwen-image-edit z-image hunyuanvideo minimax-h3 qwen3-8b glm-4.5 "qwen3-vl-8b --call language")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export QKJIT_CACHE_DIR=$work/cache
failed=0
table=()

# Runs a command with its output in a file; adds a line to the table.
step() {
  local name=$1 log=$work/log
  shift
  if "$@" >"$log" 2>&1; then
    table+=("$(printf 'passed  %-22s %s' "$name" "$(tail -n 1 "$log" | cut -c1-90)")")
  else
    failed=1
    table+=("$(printf 'FAILED  %-22s' "$name")")
    tail -n 40 "$log"
  fi
}

step doctor "$bin/qkjit" doctor
step bytes "$bin/qkjit_gpu_tests"
for model in "${models[@]}"; do
  # shellcheck disable=SC2086  # a model may come with options
  step "${model%% *}" "$bin/qkjit" run --model $model --device gpu --check
done
step host "$bin/qkjit" bench --host
step bench "$bin/qkjit" bench

if [[ -n $results ]]; then
  {
    echo "{\"command\": \"tools/gpu_check.sh\", \"date\": \"$(date -u +%F)\","
    echo " \"device\": \"$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader | head -n 1)\", \"runs\": ["
    separator=
    for model in "${models[@]}"; do
      printf '%s' "$separator"
      # shellcheck disable=SC2086
      "$bin/qkjit" run --model $model --device gpu --check --json
      separator=,
    done
    echo "]}"
  } >"$results"
fi

"$bin/qkjit" run --model flux1-dev --device gpu --check
"$bin/qkjit" bench --host
printf '%s\n' "${table[@]}"
exit "$failed"
