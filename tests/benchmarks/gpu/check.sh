#!/usr/bin/env bash
# Check everything that claims to run on a GPU, in one go: about 8 minutes on an H100. See README.md beside it.
set -uo pipefail
device=${DEVICE:-cuda} epochs=${EPOCHS:-800} folds=${FOLDS:-10} python=${PYTHON:-python3}
OUT=${OUT:-$(mktemp -d)}
mkdir -p "$OUT"
if [ "$device" = cuda ]; then
  site=$(mktemp -d)
  "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$site" \
    .gpu/wheels/*.whl || exit 1
  export PYTHONPATH=$site
fi
export SKWORM_DATA=$PWD/.gpu/recordings OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1 PYTHONWARNINGS=ignore
steps=" ${STEPS:-versions tests protocol svm dynamic trajectories neurons profile} "

step() { # name, limit in seconds, command...
  local name=$1 limit=$2 start=$SECONDS rc
  shift 2
  [[ $steps == *" $name "* ]] || return 0
  echo "==> $name"
  timeout "$limit" "$python" "$@" > "$OUT/$name.log" 2>&1
  rc=$?
  tail -n "${LINES_SHOWN:-14}" "$OUT/$name.log" | cut -c1-200
  echo "    exit $rc, $((SECONDS - start)) s"
}

cd .gpu
protocol=(tests/benchmarks/protocol.py --data recordings/kato2015 --device "$device" --folds "$folds" --sample 1)
step versions 60 -c "
import sklearn, skorch, torch, skworm
print('torch', torch.__version__, 'scikit-learn', sklearn.__version__, 'skorch', skorch.__version__)
print('skworm', skworm.__version__, torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU')"
step tests 150 -m pytest -q -p no:cacheprovider -m gpu tests --ignore tests/test_pages.py \
  --ignore tests/test_examples.py --ignore tests/test_release.py
step protocol 200 "${protocol[@]}" --epochs "$epochs" --models svm mlp gnn gnn-fixed
step svm 90 tests/benchmarks/svm.py --data recordings/kato2015 --device "$device" --folds "$((folds < 5 ? folds : 5))" --states 7
step dynamic 100 "${protocol[@]}" --epochs "$epochs" --models gnn-dynamic --train-worms 1
step trajectories 120 "${protocol[@]}" --epochs "$((epochs < 200 ? epochs : 200))" --models mlp gnn --trajectories
step neurons 60 tests/benchmarks/gpu/where_time_goes.py --device "$device" --neurons 302 --fits 1 --epochs 3
step profile 60 tests/benchmarks/gpu/where_time_goes.py --device "$device" --fits 32 --epochs 20
