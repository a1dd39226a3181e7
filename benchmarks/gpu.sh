#!/usr/bin/env bash
# Everything that docs/performance.md says of GPUs, measured unattended on the first one in under 8 minutes:
# overhead and the naive step in fp32 and bf16, torch.compile and CUDA graphs, the memory of T5-large on SuperGLUE-CB
# (batch 16, 128 tokens), and 1, 2 and 4 runs that share the GPU. Figures are kept in benchmarks/results/.
#     benchmarks/gpu.sh            PYTHON picks the interpreter; OUT another folder to copy the figures to
set -uo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-.venv/bin/python}
failed=0

measure() {  # NAME SECONDS ARGUMENTS: one measurement; one that fails or takes too long does not stop the others
    echo "== $1"
    timeout "$2" "$PYTHON" "${@:3}" || { echo "$1: failed or not done within $2 s" >&2; failed=1; }
}

step=benchmarks/search_step.py
measure "T5-small, fp32" 100 $step --device cuda --precision fp32 --rounds 5 --compiled
measure "T5-small, bf16" 100 $step --device cuda --precision bf16 --rounds 5 --compiled
measure "T5-large, bf16, checkpointed" 90 $step --device cuda --precision bf16 --shape t5-large --batch 16 --length 128 \
    --gradient-checkpointing --only-memory
measure "T5-large, fp32, checkpointed" 90 $step --device cuda --precision fp32 --shape t5-large --batch 16 --length 128 \
    --gradient-checkpointing --only-memory
measure "runs that share a GPU" 100 benchmarks/throughput.py --device cuda
if [ -n "${OUT:-}" ]; then cp benchmarks/results/*cuda*.json "$OUT"; fi
exit $failed
