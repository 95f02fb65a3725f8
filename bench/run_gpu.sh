#!/usr/bin/env bash
# Everything that needs a GPU, in one run of at most 10 minutes and without a network. Wants nvidia-smi, nvcc, cmake,
# ninja, and a python3 with torch, scipy, click, pybind11, pytest, pytest-benchmark and hypothesis.
#
#   bench/run_gpu.sh RESULTS [STEP...]
#
# RESULTS becomes a folder of a few small files, with summary.txt to begin at. The steps, in their order: build,
# registers, tests, benchmarks, memcheck, racecheck, initcheck, profile; and large, a graph of 10^8 edges, which runs
# only where it is named. PYREC_DATA names the folder of the data sets; else likenesses are generated.
set -uo pipefail
usage="usage: bench/run_gpu.sh RESULTS [STEP...]"
results=$(realpath -m "${1:?$usage}")
shift
wanted=("$@")
[ ${#wanted[@]} -gt 0 ] || wanted=(build registers tests benchmarks memcheck racecheck initcheck profile)
mkdir -p "$results" || exit 1
cd "$(dirname "$0")/.." || exit 1
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1
summary=$results/summary.txt
deadline=570

# step NAME SECONDS FILE COMMAND...: the output goes behind FILE's, a line into the summary; a failure does not stop
# the others, time that is up does.
step() {
  local name=$1 limit=$2 log=$results/$3 started=$SECONDS outcome=ok
  shift 3
  [[ " ${wanted[*]} " == *" $name "* ]] || return 0
  local left=$((deadline - SECONDS))
  [ "$limit" -le "$left" ] || limit=$left
  if [ "$limit" -lt 5 ]; then
    outcome="no time left"
  else
    timeout --kill-after=5 "$limit" "$@" >>"$log" 2>&1 || outcome="failed ($?)"
  fi
  printf '%-11s %-13s %4d s   %s\n' "$name" "$outcome" $((SECONDS - started)) \
    "$(tail -n 1 "$log" 2>/dev/null | cut -c1-100)" | tee -a "$summary"
  [ "$outcome" = ok ]
}

pytest=(python3 -m pytest -q -p no:cacheprovider -W default)
on_cuda="cuda and not emulated"
small="$on_cuda and (step_of_adam or named_often or same_bits or distinct or splits or cursor or reference_agrees)"

# sanitizer TOOL SECONDS OPTION...; torch's cache would hide where our arrays end.
sanitizer() {
  local tool=$1 limit=$2
  shift 2
  step "$tool" "$limit" sanitizer.txt env PYTORCH_NO_CUDA_MEMORY_CACHING=1 \
    compute-sanitizer --tool "$tool" "$@" --error-exitcode 9 \
    "${pytest[@]}" tests/test_{propagate,combine,pool,candidate,bpr,pointwise,agreement,attend,debias,als,rows,xent,topk,metrics,impressions,sample,drop,distinct}.py -k "$small"
}

nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader | tee -a "$summary" || exit 1
python3 -c 'import torch; print("torch", torch.__version__, "on", torch.cuda.get_device_name())' |
  tee -a "$summary" || exit 1
architecture=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)

step build 200 build.txt bash -c "
  cmake -S . -B build/gpu -G Ninja -DPYREC_CUDA=ON -DPYREC_DEV=ON -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_CUDA_ARCHITECTURES=$architecture -DPython_EXECUTABLE=\"\$(command -v python3)\" &&
  cmake --build build/gpu && python3 -m pyrec.cli doctor" || exit 1
step registers 60 registers.txt python3 bench/registers.py --architecture "$architecture"
python3 -c 'import xdist' 2>/dev/null && side_by_side=(-n 4) || side_by_side=()
# None of those left out needs a GPU; the last three want polars and uvicorn.
step tests 150 tests.txt "${pytest[@]}" "${side_by_side[@]}" tests -k "$on_cuda" --ignore=tests/test_cuda_on_cpu.py \
  --ignore=tests/test_estimator.py --ignore=tests/test_interactions.py --ignore=tests/test_serve.py --maxfail=30
step benchmarks 130 benchmarks.txt "${pytest[@]}" bench/bench_gpu.py --benchmark-json="$results/gpu.json"
# Of torch's kernels the first two know nothing that we could change; the third has to see what they write.
sanitizer memcheck 60 --kernel-name kns=pyrec
sanitizer racecheck 70 --kernel-name kns=pyrec
sanitizer initcheck 60
step profile 60 profile.txt ncu --clock-control none --kernel-name-base mangled --kernel-name regex:pyrec \
  --section SpeedOfLight --section Occupancy --section LaunchStats --print-summary per-kernel \
  python3 bench/profile_gpu.py
step large 400 benchmarks.txt "${pytest[@]}" bench/bench_gpu.py --scale-max 1e8 -k edges \
  --benchmark-json="$results/large.json"
grep -hE '^cuda: .*ms|faster than' "$results/benchmarks.txt" 2>/dev/null | tee -a "$summary"
