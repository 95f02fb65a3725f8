#!/usr/bin/env bash
# The kernels under GCC's sanitizers: tests/nightly/sanitize.sh [address|thread] [pytest arguments ...]
#
# address: builds the module with AddressSanitizer and UndefinedBehaviorSanitizer in build/address and runs the test
#   suite (or the tests named) on it, in a copy of the sources. Leaks are not looked for: the interpreter and torch
#   keep memory to the end on purpose, and the sanitizer cannot tell theirs from ours; tests/nightly/long_load.py
#   does. Time limits and peaks of memory mean nothing here, so those tests are left out.
# thread: builds the kernels with ThreadSanitizer, without Python, and runs tests/threads/main.cpp. OpenMP is replaced
#   by tests/threads/openmp_stand_in.cpp, as the system's is not built for the sanitizer. Nothing is suppressed.
set -euo pipefail
cd "$(dirname "$0")/../.."
what=${1:-address}
shift || true
flags=(-O1 -g1 -fno-omit-frame-pointer -std=gnu++20 -fopenmp -Icsrc -ffp-contract=off -fno-math-errno -fno-trapping-math)

if [ "$what" = thread ]; then
  mkdir -p build/thread
  for source in csrc/isa/baseline.cpp csrc/common/parallel.cpp csrc/sample/sample.cpp tests/threads/main.cpp \
    tests/threads/openmp_stand_in.cpp; do
    object=build/thread/$(basename "$source" .cpp).o
    [ "$object" -nt "$source" ] || c++ "${flags[@]}" -fsanitize=thread -c "$source" -o "$object"
  done
  c++ -fsanitize=thread build/thread/*.o -o build/thread/threads -lpthread
  TSAN_OPTIONS=halt_on_error=1 build/thread/threads
  exit
fi

cmake -S . -B build/address -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O1 -DPYREC_CUDA=OFF -DPYREC_EMULATE=ON \
  "-DPYREC_SANITIZE=address,undefined" "-DPython_EXECUTABLE=$(python -c 'import sys; print(sys.executable)')"
cmake --build build/address
tree=build/address/tree
rm -rf "$tree"
mkdir -p "$tree"
git ls-files --cached --others --exclude-standard pyrec tests bench pyproject.toml README.md csrc |
  tar -cf - --files-from - | tar -xf - -C "$tree"
cp build/address/_core.*.so "$tree/pyrec/"
find build/address -name '_core_emulated.*.so' -exec cp {} "$tree/tests/" \;
cd "$tree"
[ $# -gt 0 ] || set -- tests --deselect tests/test_memory.py -k "not heartbeat"
LD_PRELOAD="$(c++ -print-file-name=libasan.so) $(c++ -print-file-name=libubsan.so) $(c++ -print-file-name=libstdc++.so)" \
ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:allocator_may_return_null=1:detect_stack_use_after_return=0 \
UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 PYTHONMALLOC=malloc PYTHONPATH="$PWD" \
  python -m pytest -p no:cacheprovider "$@"
