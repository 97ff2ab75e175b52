#!/usr/bin/env bash
# Makes a machine ready to build: Debian packages, CUDA headers and NVRTC. Silent when nothing is to do.
#
# usage: setup.sh [tests]    tests: also what only tests use, where it can be had
#
# Writes build/cuda.env with QKJIT_CUDA_INCLUDE_DIR (has cuda.h and nvrtc.h) and QKJIT_NVRTC_LIBRARY.
# They come from the first toolkit of CUDA 12 or newer in CUDAToolkit_ROOT, CUDA_HOME, /usr/local/cuda
# (QKJIT_CUDA_ROOTS, colon-separated, replaces this list), else from PyPI wheels into build/venv.
# Exit codes: 0 ready, 4 something is missing that this script may not or cannot install.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages=(cmake g++ make pkg-config libfmt-dev libspdlog-dev nlohmann-json3-dev catch2 libcli11-dev
          libsodium-dev libxxhash-dev libexpected-dev libarchive-dev libzstd-dev python3)
wheel_packages=(python3-venv ca-certificates)  # needed only to fetch wheels
nice_to_have=(ninja-build)                     # installed along with others, never asked for alone
test_packages=(python3-torch)                  # tests that lack them are skipped and say so
other_wheel='nvidia-cuda-nvrtc-cu12==12.4.*'   # a second compiler, for the tests that have two side by side
wheels=('nvidia-cuda-nvrtc==13.0.*' 'nvidia-cuda-runtime==13.0.*')  # nvrtc.h, libnvrtc; cuda.h

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 4; }

# ---- CUDA ------------------------------------------------------------------------------------------

# Sets include_dir and nvrtc from the toolkit at $1, or fails.
use_toolkit() {
  local root version lib
  [[ -r $1/include/cuda.h && -r $1/include/nvrtc.h ]] || return 1
  root=$(cd "$1" && pwd)
  version=$(sed -n 's/^#define CUDA_VERSION \([0-9]*\).*/\1/p' "$root/include/cuda.h")
  [[ ${version:-0} -ge 12000 ]] || return 1
  for lib in "$root"/lib{64,}/libnvrtc.so.$((version / 1000)); do
    if [[ -r $lib ]]; then
      include_dir=$root/include nvrtc=$lib
      return 0
    fi
  done
  return 1
}

find_toolkit() {
  local root roots
  IFS=: read -ra roots <<<"${QKJIT_CUDA_ROOTS-${CUDAToolkit_ROOT:-}:${CUDA_HOME:-}:/usr/local/cuda}"
  for root in "${roots[@]}"; do
    [[ -n $root ]] || continue
    if use_toolkit "$root"; then return 0; fi
    [[ $root == /usr/local/cuda ]] ||
      say "$root lacks cuda.h, nvrtc.h or libnvrtc of CUDA 12 or newer; looking elsewhere"
  done
  return 1
}

find_wheels() { use_toolkit "$(echo "$PWD"/build/venv/lib/python3*/site-packages/nvidia/cu13)"; }

fetch_wheels() {
  say "no CUDA toolkit of version 12 or newer; taking ${wheels[*]} from PyPI into build/venv (90 MB)"
  python3 -m venv --clear build/venv && build/venv/bin/pip install --quiet "${wheels[@]}" && find_wheels ||
    die "could not take them from PyPI (see above); install a CUDA toolkit and set CUDAToolkit_ROOT to it"
}

want_other_compiler() {
  local library=(build/nvrtc12/lib/python3*/site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12)
  [[ ! -r ${library[0]} ]] || return 0
  say "taking $other_wheel from PyPI into build/nvrtc12, for tests (25 MB)"
  { python3 -m venv --clear build/nvrtc12 &&
    build/nvrtc12/bin/pip install --quiet --retries 1 --timeout 20 "$other_wheel"; } >&2 ||
    say "could not take it (see above): tests that have two compilers are skipped"
}

# ---- Packages --------------------------------------------------------------------------------------

# Prints those of the given Debian packages that are not installed.
missing_packages() {
  local installed package
  installed=" $(dpkg-query -W -f '${db:Status-Status}=${binary:Package} ' "$@" 2>/dev/null || true)"
  for package; do
    [[ $installed =~ " installed=$package"[\ :] ]] || echo "$package"
  done
}

install_packages() {
  local as_root=() apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -q)
  if [[ $(id -u) -ne 0 ]]; then
    command -v sudo >/dev/null || return 1
    as_root=(sudo)
    [[ -t 0 && -t 2 ]] || as_root+=(-n)  # without a terminal, only a sudo that asks for no password
    "${as_root[@]}" true 2>/dev/null || return 1
  fi
  say "installing $*"
  # An index that cannot be refreshed (some unrelated source) does not matter if the install works.
  "${as_root[@]}" "${apt[@]}" update >&2 || true
  "${as_root[@]}" "${apt[@]}" install -y --no-install-recommends "$@" >&2
}

ensure_packages() {
  local missing
  mapfile -t missing < <(missing_packages "$@")
  [[ ${#missing[@]} -gt 0 ]] || return 0
  install_packages "${missing[@]}" $(missing_packages "${nice_to_have[@]}") ||
    die "missing Debian packages; as root, run: apt-get install ${missing[*]}"
}

want_test_packages() {
  local missing
  mapfile -t missing < <(missing_packages "${test_packages[@]}")
  [[ ${#missing[@]} -eq 0 ]] || install_packages "${missing[@]}" ||
    say "tests that need them are skipped; as root, run: apt-get install ${missing[*]}"
}

# Other systems name their packages differently: look for what the packages hold.
ensure_contents() {
  local missing=() command header
  for command in cmake c++ make pkg-config python3; do
    command -v "$command" >/dev/null || missing+=("$command")
  done
  if command -v c++ >/dev/null; then
    for header in fmt/format.h spdlog/spdlog.h nlohmann/json.hpp CLI/CLI.hpp sodium.h xxhash.h zstd.h \
                  tl/expected.hpp archive.h; do
      echo "#include <$header>" | c++ -std=c++20 -x c++ -E - &>/dev/null || missing+=("$header")
    done
  fi
  [[ ${#missing[@]} -eq 0 ]] || die "missing, install with your package manager: ${missing[*]}"
}

# ---- Main ------------------------------------------------------------------------------------------

find_toolkit || find_wheels || packages+=("${wheel_packages[@]}")
if command -v dpkg-query >/dev/null; then ensure_packages "${packages[@]}"; else ensure_contents; fi
[[ -n ${nvrtc-} ]] || fetch_wheels
if [[ ${1-} == tests ]]; then
  want_other_compiler
  if command -v dpkg-query >/dev/null; then want_test_packages; fi
fi

result=$(printf '%s=%q\n' QKJIT_CUDA_INCLUDE_DIR "$include_dir" QKJIT_NVRTC_LIBRARY "$nvrtc")
if [[ $result != "$(cat build/cuda.env 2>/dev/null)" ]]; then
  mkdir -p build
  printf '%s\n' "$result" >build/cuda.env
fi
