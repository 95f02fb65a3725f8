#!/usr/bin/env bash
# Everything that needs a GPU, in one run of some 10 minutes and without a network: build, tests, compute-sanitizer,
# benchmarks, a profile of each kernel. Wants python3 with torch, pybind11, scikit-build-core, pytest, pytest-benchmark
# and hypothesis, and nvcc, cmake and ninja.
#
#   bench/run_gpu.sh RESULTS     a folder for the results; PYREC_DATA names the data sets, else likenesses are generated
set -uo pipefail
cd "$(dirname "$0")/.."
results=${1:?usage: bench/run_gpu.sh RESULTS}
mkdir -p "$results"
results=$(realpath "$results")
summary=$results/summary.txt
: >"$summary"

# step NAME SECONDS COMMAND...: output into NAME.txt, a line into the summary; a failure does not stop the others.
step() {
  local name=$1 limit=$2 started=$SECONDS outcome=ok
  shift 2
  timeout "$limit" "$@" >"$results/$name.txt" 2>&1 || outcome="failed ($?)"
  printf '%-12s %-14s %4d s   %s\n' "$name" "$outcome" $((SECONDS - started)) "$(tail -n 1 "$results/$name.txt" | cut -c1-90)" |
    tee -a "$summary"
  [ "$outcome" = ok ]
}

nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader | tee -a "$summary"

build() {
  local native
  native=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)
  cmake -S . -B build/gpu -G Ninja -DPYREC_CUDA=ON -DPYREC_DEV=ON -DCMAKE_CUDA_ARCHITECTURES="$native" \
    -DCMAKE_CUDA_FLAGS=-Xptxas=-v -DPython_EXECUTABLE="$(command -v python3)" &&
    cmake --build build/gpu -v | grep -E 'ptxas info|error|registers|spill' >"$results/registers.txt" &&
    PYTHONPATH=. python3 -m pyrec.cli doctor
}
export PYTHONPATH=$PWD
export -f build
export results
step build 300 bash -c build || exit 1

kernel_tests="tests/test_propagate.py tests/test_combine.py tests/test_bpr.py tests/test_topk.py tests/test_metrics.py tests/test_sample.py"
step tests 240 python3 -m pytest -q -x tests -k "cuda and not emulated" --benchmark-skip
for tool in memcheck racecheck initcheck; do
  # shellcheck disable=SC2086
  step "$tool" 60 compute-sanitizer --tool "$tool" --error-exitcode 1 --target-processes all \
    python3 -m pytest -q $kernel_tests -k "cuda and not emulated" -p no:cacheprovider
done
step benchmarks 240 python3 -m pytest -q bench/bench_gpu.py --benchmark-json="$results/gpu.json"
step sass 60 bash -c 'cuobjdump -sass pyrec/_core*.so | grep -oE "Function : [^ ]+|LDG\.E\.128|STG\.E\.128|LDL|STL" |
  awk "/Function/ {name = \$3} !/Function/ {count[name \" \" \$1]++} END {for (key in count) print count[key], key}" | sort -k2'
step profile 90 ncu --set basic --launch-count 60 --target-processes all \
  --section SpeedOfLight --section Occupancy python3 -m pytest -q bench/bench_gpu.py -k "gowalla and pyrec" --quick
grep -E 'cuda: .*ms|faster' "$results/benchmarks.txt" | tee -a "$summary"
