#!/bin/sh
# Builds the wheel and the sdist, installs each in an empty environment, and uses the command there:
# train, sample, load and export, from a folder where no checkout is. `make wheel` runs it.
set -e
cd "$(dirname "$0")/.."
python=${1:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m venv "$work/env"
bin=$work/env/bin
"$bin/python" -m pip install --quiet --upgrade pip build
cp -r setup.py pyproject.toml README.md LICENSE tfgans tools configs saved_models "$work/" # no leftovers of a build
(cd "$work" && "$bin/python" -m build --outdir dist . >build.log 2>&1) || { tail -40 "$work/build.log"; exit 1; }
"$bin/python" -m pip install --quiet "$work"/dist/*.whl

mkdir "$work/empty"
cd "$work/empty"
"$bin/tfgans" --version
"$bin/tfgans" train stylegan2 --tiny
"$bin/tfgans" sample stylegan2 -n 4 --out drawn
"$bin/tfgans" export runs/stylegan2-tiny again
test -s drawn/stylegan2-seed0.png
"$bin/tfgans" app again 2>&1 | grep 'pip install "tfgans\[app\]"' # Gradio is no part of it
test -e "$work"/env/lib/python*/site-packages/tfgans/app/page.py
"$bin/python" - <<'CHECK'
import numpy as np

import tfgans

np.testing.assert_array_equal(
    *(tfgans.models.load(name).sample(2, seed=3) for name in ("stylegan2", "again"))
)
assert tfgans.models.load("stylegan2-fashion").sample(1).shape == (1, 32, 32, 1)
CHECK

"$bin/python" -m pip install --quiet --no-deps --force-reinstall "$work"/dist/*.tar.gz
"$bin/tfgans" sample again -n 1 --out drawn
"$bin/tfgans" sample stylegan2-fashion -n 1 --out drawn
test -s drawn/again-seed0.png
echo "The wheel and the sdist work in an empty environment."
