#!/usr/bin/env bash
# pyrec on arm64, on a machine that is none: the module is cross-compiled with warnings as errors, and runs under
# Debian's Python for arm64 with PyPI's wheels, by qemu's emulation: `pyrec doctor`, a training, the kernels' tests.
#   tests/nightly/arm64.sh [TEST …]
# For Debian 12 on x86-64, with qemu-user and g++-aarch64-linux-gnu; cmake, ninja and pybind11 are those of `python`.
# What is fetched stays in $ARM64 (build/arm64, 1.3 GB); nothing else of the machine changes.
set -euo pipefail
cd "$(dirname "$0")/../.."
tests=("$@")
[ $# -gt 0 ] || tests=(tests/test_rows.py tests/test_bpr.py tests/test_pointwise.py tests/test_agreement.py tests/test_debias.py tests/test_als.py tests/test_xent.py tests/test_propagate.py tests/test_combine.py tests/test_pool.py tests/test_candidate.py
  tests/test_topk.py tests/test_metrics.py tests/test_impressions.py tests/test_sample.py tests/test_drop.py tests/test_distinct.py tests/test_graph.py)
folder=$(realpath -m "${ARM64:-build/arm64}")
mkdir -p "$folder"

if [ ! -d "$folder/system" ]; then # a package system of its own: the machine's knows no arm64 afterwards either
  apt=$folder/apt
  mkdir -p "$apt"/{lists,cache/archives}/partial
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Codename: bookworm' 'Component: main' | head -n 1)
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm main" >"$apt/sources"
  options=(-qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o APT::Sandbox::User=root
    -o Dir::State::lists="$apt/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$apt/cache"
    -o Dir::Etc::sourceparts=- -o Dir::Etc::sourcelist="$apt/sources")
  apt-get "${options[@]}" update
  apt-get "${options[@]}" install -y --download-only --no-install-recommends python3.11 libpython3.11-dev libstdc++6 libgomp1
  for package in "$apt"/cache/archives/*.deb; do dpkg-deb -x "$package" "$folder/system.partial"; done
  mv "$folder/system.partial" "$folder/system"
fi

if [ ! -d "$folder/wheels" ]; then # torch 2.10 is the oldest that pyrec takes, and the last whose wheel needs no CUDA
  platforms=(--platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux2014_aarch64)
  python -m pip install --quiet --target "$folder/wheels.partial" "${platforms[@]}" --python-version 3.11 \
    --only-binary=:all: --no-deps torch==2.10.0 numpy scipy narwhals safetensors click tqdm \
    filelock typing-extensions sympy mpmath networkx jinja2 markupsafe fsspec \
    pytest pytest-benchmark py-cpuinfo iniconfig packaging pluggy pygments hypothesis sortedcontainers \
    pandas python-dateutil six scikit-learn joblib threadpoolctl
  mv "$folder/wheels.partial" "$folder/wheels"
fi

cmake -S . -B "$folder/build" -G Ninja -DPYREC_WERROR=ON -DPYREC_CUDA=OFF \
  -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ \
  -DCMAKE_CXX_FLAGS="-idirafter $folder/system/usr/include" -DPython_EXECUTABLE="$(command -v python)" \
  -DPython_INCLUDE_DIR="$folder/system/usr/include/python3.11" \
  -DPYTHON_MODULE_EXTENSION=.cpython-311-aarch64-linux-gnu.so
cmake --build "$folder/build"

sources=$folder/sources # without modules of this machine
rm -rf "$sources"
mkdir -p "$sources"
git ls-files -z pyrec tests pyproject.toml | xargs -0 cp --parents -t "$sources"
cp "$folder"/build/_core*.so "$sources/pyrec/"
cd "$sources"

export PYTHONPATH=$sources:$sources/tests:$folder/wheels
emulated=(env -u OPENBLAS_CORETYPE -u PYREC_ISA qemu-aarch64 -L "$folder/system"
  -E LD_LIBRARY_PATH=/usr/lib/aarch64-linux-gnu "$folder/system/usr/bin/python3.11")
"${emulated[@]}" -m pyrec.cli doctor
"${emulated[@]}" -m pyrec.cli train --epochs 2 --threads 1
"${emulated[@]}" -m pytest -q -p no:cacheprovider "${tests[@]}" -k "not cuda"
