#!/usr/bin/env bash
# What Nsight Compute counts in one launch of the fused kernel, for three shapes: a CSV file each in DIRECTORY, and a
# table of the main figures. Clocks are left alone; caches are flushed before each pass, so the times are those of a
# cold L2 cache and not to be compared with a benchmark's. Needs a GPU whose counters may be read, and ncu 2025.3 or
# newer (or its path in NCU).
#
#   bench/profile.sh DIRECTORY [DIRECTORY_OF_BINARIES]
set -euo pipefail
if (($# < 1 || $# > 2)); then
  echo "usage: bench/profile.sh DIRECTORY [DIRECTORY_OF_BINARIES]" >&2
  exit 2
fi
out=$1
qkjit=${2:-$(dirname "${BASH_SOURCE[0]}")/../build/default/bin}/qkjit
ncu=${NCU:-ncu}
for program in "$ncu" "$qkjit"; do
  command -v "$program" >/dev/null || { echo "profile.sh needs $program, which is not there" >&2; exit 4; }
done
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export QKJIT_CACHE_DIR=$work/cache

metrics=gpu__time_duration.sum,launch__registers_per_thread,sm__warps_active.avg.pct_of_peak_sustained_active
metrics+=,dram__bytes_read.sum,dram__bytes_write.sum,lts__t_sector_hit_rate.pct
metrics+=,sm__inst_issued.avg.pct_of_peak_sustained_active
# How many warps are in each state whenever an instruction is issued, without `selected`, which is no stall.
for state in barrier branch_resolving dispatch_stall drain gmma imc_miss lg_throttle long_scoreboard \
  math_pipe_throttle membar mio_throttle misc no_instruction not_selected short_scoreboard sleeping tex_throttle \
  wait; do
  metrics+=,smsp__average_warps_issue_stalled_${state}_per_issue_active.ratio
done

# profile NAME ARGUMENTS-OF-QKJIT-RUN...
profile() {
  local log=$work/$1.log csv=$out/$1.csv
  # What is set up at a first launch is so at the third.
  "$ncu" --clock-control none --kernel-name regex:qkjit_hd --launch-skip 2 --launch-count 1 --metrics "$metrics" \
    --csv --print-units base --log-file "$log" "$qkjit" run --device gpu "${@:2}" >&2 || { cat "$log" >&2; exit 1; }
  if ! grep '^"' "$log" >"$csv"; then  # ncu's own remarks are not quoted
    cat "$log" >&2
    echo "profile.sh: ncu counted nothing for $1" >&2
    exit 1
  fi
}

# figures NAME: lines of a metric and its value
figures() {
  awk -F '","' '{ gsub(/^"|"$/, "") }
    NR == 1 { for (i = 1; i <= NF; ++i) column[$i] = i; next }
    { value = $column["Metric Value"]; gsub(/,/, "", value); print $column["Metric Name"], value }' "$out/$1.csv"
}

# figure NAME METRIC [UNIT]
figure() {
  figures "$1" | awk -v metric="$2" -v unit="${3:-1}" \
    '$1 == metric { text = $2 == $2 + 0 ? sprintf("%.4g", $2 / unit) : "-" } END { print text == "" ? "-" : text }'
}

# stalls NAME: the three most frequent reasons, with warps per issued instruction
stalls() {
  figures "$1" | sed -n 's/.*_issue_stalled_\(.*\)_per_issue_active.ratio/\1/p' | sort -k 2 -g -r |
    awk 'NR <= 3 { printf "%s%s %.1f", separator, $1, $2; separator = ", " }'
}

spec=head_dim=128,rope_dim=128,dtype=bf16
profile 4096x24+24-interleaved --spec "$spec,layout=interleaved" --tokens 4096 --heads-q 24 --heads-k 24
profile 8192x32+8-neox --spec "$spec,layout=neox" --tokens 8192 --heads-q 32 --heads-k 8
profile 33280x24+24-interleaved --spec "$spec,layout=interleaved" --tokens 33280 --heads-q 24 --heads-k 24

row='%-24s %8s %10s %11s %9s %10s %8s %8s  %s\n'
# shellcheck disable=SC2059  # the same format for every line
printf "$row" shape us registers occupancy% read-MB written-MB L2-hit% issued% "stalls, warps per issued instruction"
for name in 4096x24+24-interleaved 8192x32+8-neox 33280x24+24-interleaved; do
  # shellcheck disable=SC2059
  printf "$row" "$name" "$(figure $name gpu__time_duration.sum 1e3)" "$(figure $name launch__registers_per_thread)" \
    "$(figure $name sm__warps_active.avg.pct_of_peak_sustained_active)" \
    "$(figure $name dram__bytes_read.sum 1e6)" "$(figure $name dram__bytes_write.sum 1e6)" \
    "$(figure $name lts__t_sector_hit_rate.pct)" "$(figure $name sm__inst_issued.avg.pct_of_peak_sustained_active)" \
    "$(stalls $name)"
done
