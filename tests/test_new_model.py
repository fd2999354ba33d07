"""A new model touches the files of its seven steps (CONTRIBUTING.md) and no other."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
TEST = '''"""NewGAN: its losses at scores of 0."""

import tensorflow as tf

from tfgans.models import get


def test_losses_of_an_undecided_discriminator():
    model = get("new_gan")(image_shape=(8, 8, 1), latent_dim=4, width=4)
    assert model.real_target == 1.0 and tf.is_tensor(model.step.value)
'''


@pytest.fixture
def copy(tmp_path):
    """The working tree without what is not code."""
    skip = shutil.ignore_patterns(".*", "*.png", "*.gif", "runs", "saved_models", "benchmarks")
    shutil.copytree(ROOT, tmp_path / "tfgans", ignore=skip)
    (tmp_path / "tfgans" / "saved_models").mkdir()
    return tmp_path / "tfgans"


def run(copy, *words):
    environment = os.environ | {"PYTHONPATH": str(copy), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(
        [sys.executable, *words], cwd=copy, env=environment, capture_output=True, text=True
    )


@pytest.mark.thorough
def test_seven_steps_add_a_model(copy):
    models = copy / "tfgans" / "models"
    # 1 to 3: its file.
    code = (models / "lsgan.py").read_text()
    code = code.replace("LSGAN — ", "NewGAN — ").replace("class LSGAN(", "class NewGAN(")
    (models / "new_gan.py").write_text(code)
    # 4: its name.
    names = (models / "__init__.py").read_text()
    names = names.replace(
        "from tfgans.models.pix2pix",
        "from tfgans.models.new_gan import NewGAN\nfrom tfgans.models.pix2pix",
    )
    names = re.sub(r'(    "pix2pix": )', r'    "new_gan": NewGAN,\n\1', names)
    (models / "__init__.py").write_text(names)
    # 5: its configuration.
    settings = (copy / "configs" / "lsgan.yaml").read_text()
    settings = settings.replace("architecture: lsgan", "architecture: new_gan")
    (copy / "configs" / "new_gan.yaml").write_text(settings)
    # 6: its test.
    (copy / "tests" / "models" / "test_new_gan.py").write_text(TEST)
    # 7: the table.
    table = run(copy, "-m", "tfgans.catalog")
    assert table.returncode == 0, table.stderr
    (copy / "docs" / "models.md").write_text(table.stdout)
    assert "[`new_gan`](../tfgans/models/new_gan.py) NewGAN" in table.stdout

    tests = ["tests/contract/test_basic.py", "tests/contract/test_planted.py"]
    tests += ["tests/test_catalog.py", "tests/models/test_new_gan.py", "-n", "0"]
    done = run(copy, "-m", "pytest", *tests, "--model", "new_gan", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert len(re.findall(r"\d+ passed", done.stdout)) == 1
