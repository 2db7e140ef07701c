#!/usr/bin/env bash
# Installs what building and testing Neuros needs, on Debian 12 or Ubuntu 24.04. Does nothing where
# all of it is there. Usage: tools/install-deps.sh [--ci]   (--ci adds Clang with its fuzzer runtime)
set -euo pipefail

packages=(
  g++ cmake ninja-build make pkg-config git ca-certificates
  libhwy-dev nlohmann-json3-dev libyaml-cpp-dev libcli11-dev libexpected-dev
  libflatbuffers-dev flatbuffers-compiler libpcre2-dev libutf8proc-dev libhwloc-dev
  libssl-dev libgtest-dev libgmock-dev ccache
)
if apt-cache show libboost1.81-dev >/dev/null 2>&1; then
  packages+=(libboost1.81-dev)
else
  packages+=(libboost1.83-dev)
fi
if [ "${1:-}" = "--ci" ]; then
  packages+=(clang-14 libclang-rt-14-dev)
fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi

run=()
if [ "$(id -u)" -ne 0 ]; then run=(sudo); fi
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${run[@]}" apt-get update -qq
"${run[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
