#!/usr/bin/env bash
# pyrec as it is installed, on processors that are not here: `doctor` and a short training under qemu's emulation of one
# without AVX and one without AVX-512. What they print of the model is what this processor prints, to four digits.
#   .ci/processors.sh [PYTHON]
set -euo pipefail
python=$(realpath -s "${1:-.venv/bin/python}")
here=$(realpath "$(dirname "$0")")

if [ "$(uname -m)" != x86_64 ]; then
  echo "processors: passed over; this machine is no x86-64, and others have one instruction set alone"
  exit 0
fi
if ! command -v qemu-x86_64 >/dev/null; then
  echo "processors: qemu-user is not here; apt-get installs it"
  as_root=$([ "$(id -u)" = 0 ] || echo sudo)
  if ! { $as_root apt-get update -qq && $as_root apt-get install -qq -y --no-install-recommends qemu-user; } >/dev/null; then
    echo "processors: apt-get cannot install qemu-user; install qemu-x86_64 7.2 or later, the first that knows AVX2" >&2
    exit 1
  fi
fi

folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder" # where no pyrec/ hides the installed one
unset PYREC_ISA OPENBLAS_CORETYPE # the second may name this processor, whose code numpy would then run on others
training=(-m pyrec.cli train --epochs 2 --threads 1 --json)

on() { # MODEL ISA: doctor finds ISA, and the training runs
  # qemu 7.2 gathers wrongly under a mask, which numpy's sorting with AVX2 does, and nothing of pyrec's with AVX2.
  local emulated=(env "NPY_DISABLE_CPU_FEATURES=X86_V3 AVX2 FMA3" qemu-x86_64 -cpu "$1" "$python")
  local wanted="instruction set  $2 in use, of"
  "${emulated[@]}" -m pyrec.cli doctor --threads 1 >"$1.doctor" 2>"$1.log" || return 1
  grep -q "^$wanted" "$1.doctor" || {
    echo "doctor does not say '$wanted'" >>"$1.log"
    return 1
  }
  "${emulated[@]}" "${training[@]}" >"$1.json" 2>"$1.log"
}

declare -A isa=([Nehalem]=baseline [Haswell]=avx2) running=()
for model in "${!isa[@]}"; do
  on "$model" "${isa[$model]}" &
  running[$model]=$!
done
for model in "${!isa[@]}"; do
  wait "${running[$model]}" || {
    echo "processors: pyrec fails on $model" >&2
    grep -v "TCG doesn't support" "$model".* | tail -n 30 >&2
    exit 1
  }
done

for level in $("$python" -c 'from pyrec import _core; print(*_core.isa_levels())'); do
  PYREC_ISA=$level "$python" "${training[@]}" >"here-$level.json" 2>/dev/null
done
"$python" "$here/same_metrics.py" ./*.json
