#!/usr/bin/env bash
# Installs a build into a temporary prefix and uses the package from outside, in C and in C++:
# find_package with the shared and with the static library, and pkg-config.
# usage: consumer_test.sh BUILD_DIR
set -euo pipefail
build=$1
quickstart=$(cd "$(dirname "$0")/../../examples/quickstart" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export QKJIT_CACHE_DIR=$work/cache
strict="-Wall -Wextra -Wpedantic -Werror"  # the public headers are clean under a host's warnings

cmake --install "$build" --prefix "$work/installed" >/dev/null
mv "$work/installed" "$work/prefix"  # a package may be unpacked anywhere

for library in qkjit::qkjit qkjit::static; do
  echo "== find_package, $library"
  out=$work/${library#qkjit::}
  # The third parties of the library are no concern of its user.
  cmake --no-warn-unused-cli -S "$quickstart" -B "$out" -DCMAKE_PREFIX_PATH="$work/prefix" -DQUICKSTART_LIBRARY=$library \
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS="$strict" -DCMAKE_CXX_FLAGS="$strict" \
    -DCMAKE_DISABLE_FIND_PACKAGE_{fmt,spdlog,nlohmann_json,tl-expected}=ON >"$work/log" ||
    { cat "$work/log"; exit 1; }
  cmake --build "$out" >"$work/log" || { cat "$work/log"; exit 1; }
  "$out/quickstart"
  "$out/c_host"
done
# As linked, so a wrong target cannot pass: only the first may need the shared library.
[[ $(readelf -d "$work/qkjit/c_host") == *libqkjit* ]] || { echo "qkjit::qkjit is not the shared library"; exit 1; }
[[ $(readelf -d "$work/static/c_host") != *libqkjit* ]] || { echo "qkjit::static needs libqkjit.so"; exit 1; }

echo "== pkg-config"
pc=$(dirname "$(find "$work/prefix" -name qkjit.pc)")
flags=$(PKG_CONFIG_PATH=$pc pkg-config --cflags --libs qkjit)
libdir=$(PKG_CONFIG_PATH=$pc pkg-config --variable=libdir qkjit)
"${CC:-cc}" -std=c11 $strict "$quickstart/c_host.c" -o "$work/c_host" $flags
LD_LIBRARY_PATH=$libdir "$work/c_host"
