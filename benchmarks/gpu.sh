#!/usr/bin/env bash
# Everything to be had from a machine with an NVIDIA GPU, without a network, in eight minutes at most: build for that GPU, run the GPU
# tests, the jobs beside torch on the same GPU, compute-sanitizer on the smallest tests. Writes gpu.json, gpu.txt and the logs into the
# folder given (default: benchmarks/results/gpu); the build itself stays outside. Needs nvcc, and a Python with NumPy, SciPy, pybind11,
# scikit-build-core, pytest and cmake; torch (for the peers) and nvidia-cufft where they are there.
set -uo pipefail
cd "$(dirname "$0")/.."
out=$(mkdir -p "${1:-benchmarks/results/gpu}" && cd "${1:-benchmarks/results/gpu}" && pwd)
python=${PYTHON:-python3}
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
export PATH="$PATH:/usr/local/cuda/bin" PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
limit=470 # seconds for all of it
failed=0

stage() { # name, seconds at most, command...
  local name=$1 most=$2 start=$SECONDS left status
  shift 2
  left=$((limit - SECONDS))
  [ $left -gt 5 ] || { echo "$name: left out, no time"; failed=1; return 1; }
  timeout -k 10 $((most < left ? most : left)) "$@" > "$out/$name.log" 2>&1
  status=$?
  echo "$name: $([ $status = 0 ] && echo ok || echo "FAILED ($status), see $out/$name.log"), $((SECONDS - start)) s"
  [ $status = 0 ] || { failed=1; tail -n 15 "$out/$name.log"; }
  return $status
}

sanitizer() { # tool
  stage "$1" 60 compute-sanitizer --tool "$1" --target-processes all --error-exitcode 1 --launch-timeout 0 \
    "$python" -m pytest -q -x -p no:cacheprovider tests/test_gpu.py -m smallest
}

rm -f "$out"/gpu.json "$out"/gpu.txt "$out"/*.log
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader || { echo "no GPU here"; exit 1; }
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader -i 0 | tr -d '. ')
stage build 240 env ERFFAST_CUDA_ARCHITECTURES="$capability" "$python" -m pip install --no-build-isolation --no-deps --no-index --target "$site" \
  -Ccmake.define.ERFFAST_CUDA=ON -Ccmake.define.ERFFAST_WERROR=OFF . || exit 1
"$python" -m erffast info
"$python" -c 'import erffast as ef, sys; sys.exit(ef.available_devices()["cuda"] != "ready")' || { echo "the GPU cannot be used"; exit 1; }
stage tests 120 "$python" -m pytest -q -p no:cacheprovider tests/test_gpu.py
stage jobs 240 "$python" -m erffast bench --device cuda --json "$out/gpu.json"
[ -s "$out/gpu.json" ] && "$python" -c 'import sys
from erffast.benchmark import load_results
from erffast.benchmark.tables import benchmark_tables
print("\n\n".join(table.as_text(width=200) for table in benchmark_tables(load_results(sys.argv[1]))))' "$out/gpu.json" | tee "$out/gpu.txt"
sanitizer memcheck
sanitizer racecheck
echo "all of it: $SECONDS s, $([ $failed = 0 ] && echo ok || echo "something FAILED")"
exit $failed
