#!/usr/bin/env bash
# Fill .gpu/ with all that check.sh needs on a machine with a GPU and without a network. Run it in the project's root.
set -euo pipefail
recordings=${SKWORM_DATA:?set SKWORM_DATA to the folder of recordings that holds kato2015}
python_version=${PYTHON_VERSION:-3.12}
rm -rf .gpu
mkdir -p .gpu/wheels .gpu/recordings
cp -r "$recordings/kato2015" .gpu/recordings/
cp tests/benchmarks/gpu/check.sh README.md pyproject.toml .gpu/
cp -r tests .gpu/tests
python3 -m pip wheel -q --no-deps --wheel-dir .gpu/wheels .
python3 -m pip download -q --no-deps --only-binary=:all: --python-version "$python_version" --implementation cp \
  --platform any -c constraints.txt -d .gpu/wheels skorch pooch requests tabulate
rm -rf build ./*.egg-info
du -sh .gpu
