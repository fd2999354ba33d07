"""Installs tfgans, with its configurations and the small trained networks that ship with it."""

import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "tfgans/version.py").read_text()).group(1)
RELEASE = HERE / "saved_models" / "stylegan2-fashion" / "1"  # the one that ships with the package
FILES = [path for path in RELEASE.rglob("*") if path.is_file()]
APP = ["gradio>=6.31,<7"]  # the page in the browser
ONNX = ["tf2onnx>=1.17", "onnxruntime>=1.20"]
VIDEO = ["imageio-ffmpeg>=0.5"]  # brings ffmpeg along, for MP4 files

setup(
    name="tfgans",
    version=VERSION,
    description="The GANs of 2014 to 2020 on TensorFlow and Keras 3",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    packages=[
        *find_packages(include=["tfgans", "tfgans.*"]),
        "tfgans.configs",
        "tfgans.saved_models",
        "tfgans_tools",
    ],
    package_dir={
        "tfgans.configs": "configs",
        "tfgans.saved_models": "saved_models",
        "tfgans_tools": "tools",
    },
    entry_points={"console_scripts": ["tfgans = tfgans_tools:main"]},
    package_data={
        "tfgans.configs": ["*.yaml"],
        "tfgans.features": ["own_small.npz", "own_small.json"],
        "tfgans.saved_models": [str(path.relative_to(HERE / "saved_models")) for path in FILES],
    },
    install_requires=[
        # The least of each is what tests/oldest.txt installs and `make test-oldest` tries.
        "tensorflow>=2.21",
        "keras>=3.12,<4",
        "h5py>=3.11",
        "numpy>=1.26.4",
        "pillow>=12",  # 12 calls TIFFs in YCbCr broken; Gradio does not allow 13 yet
        "pyyaml>=6.0.1",
        "matplotlib>=3.8",
        "scipy>=1.11.4",
        "tensorboard",
        "shtab>=1.6",  # the script that completes commands in a shell
    ],
    extras_require={
        "app": APP,
        "test-app": [*APP, "playwright>=1.50", "pytest>=8,<9.2", "pytest-timeout>=2.3"],
        "onnx": ONNX,
        "video": VIDEO,
        "tfds": [  # sets by name; tensorflow-datasets needs the last one and does not say so
            "tensorflow-datasets>=4.9.10",  # the one before fails with protobuf 7
            "array_record>=0.6",
            "importlib_resources",
        ],
        "hf": [  # sets by name, releases on the hub
            "datasets>=4",
            "huggingface_hub>=1",
            "numpy>=2",  # pyarrow, which datasets brings, needs it and does not say so
        ],
        "notebooks": ["ipykernel>=6", "nbclient>=0.10", "scikit-image>=0.22"],
        "docs": ["mkdocs-material>=9.5,<10", "mkdocstrings[python]>=0.29"],
        "dev": [
            *VIDEO,
            "pytest>=8,<9.2",  # with 9.2, pytest-xdist 3.8 forgets the groups of tests
            "pytest-xdist>=3.5",
            "pytest-timeout>=2.3",
            "ruff>=0.6",
            "tensorflow-serving-api>=2.21",
            "hypothesis>=6.100",
            "fastapi>=0.110",  # examples/serving
            "uvicorn>=0.29",
            "mlflow-skinny>=3",  # a service that a run sends its numbers to
        ],
    },
)
