"""Times the input pipeline alone, in images/s: `python benchmarks/pipeline.py [--json FILE]`.

It reads 256x256 images, as hard to decode as photographs, from a folder of JPEG files, a folder of
PNG files, a folder of larger JPEG files that are cropped and resized, TFRecords and an array; on
one core and on all. Each case runs several times in a process of its own, which makes some batches
as a warm-up and then counts the batches of a few seconds. The figure is the median.

`--step` is the speed of the training step of your machine, in images per second. Without it, a step
of StyleGAN2 at 256x256 (at most 128 channels) is timed here.
"""

import argparse
import io
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import record

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

SIDE, LARGE = 256, (480, 640)
COUNT = 64  # images of each set
BATCH = 16
SECONDS = 2.0
KINDS = ("jpeg", "png", "large jpeg", "records", "array")
CORES = sorted(os.sched_getaffinity(0))


def photographs(count, height, width):
    """Yields uint8 [height, width, 3]: shapes of two sizes and a little noise."""
    import numpy as np
    import scipy.ndimage

    draws = np.random.RandomState(0)
    for _ in range(count):
        noise = draws.normal(size=[height, width, 3])
        large, small = (scipy.ndimage.gaussian_filter(noise, [s, s, 0]) for s in (8, 2))
        yield np.clip(128 + 500 * large + 60 * small + 4 * noise, 0, 255).astype("uint8")


def write(root):
    """Writes all sets; returns the mean bytes of an image for each kind."""
    import numpy as np
    from PIL import Image

    from tfgans.data.pack import pack

    sizes = {}
    for kind, shape, options in (
        ("jpeg", (SIDE, SIDE), {"format": "jpeg", "quality": 90}),
        ("png", (SIDE, SIDE), {"format": "png"}),
        ("large jpeg", LARGE, {"format": "jpeg", "quality": 90}),
    ):
        folder, total = root / kind, 0
        folder.mkdir()
        for i, image in enumerate(photographs(COUNT, *shape)):
            file = io.BytesIO()
            Image.fromarray(image).save(file, **options)
            total += (folder / f"{i:04}.{options['format']}").write_bytes(file.getvalue())
        sizes[kind] = total / COUNT
    pack(root / "png", root / "records")
    np.savez(root / "array.npz", images=np.stack(list(photographs(COUNT, SIDE, SIDE))))
    return sizes | {"records": 3 * SIDE**2, "array": 3 * SIDE**2}


def read(path):
    """Measures images per second of `tfgans.data.batches` in this process."""
    import types

    from tfgans import config, data

    model = types.SimpleNamespace(
        data_kind="images",
        image_shape=(SIDE, SIDE, 3),
        num_classes=0,
        batches_per_step=1,
        stage_steps=(),
        stage_of=lambda step: 0,
        stage_shape=lambda stage: (SIDE, SIDE, 3),
    )
    settings = config.Data(path=path, batch_size=BATCH, flip=True)
    batches = iter(data.batches(model, data.open_images(path), settings, seed=0))
    for _ in range(8):
        next(batches)
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        next(batches)
        count += BATCH
    return count / (time.perf_counter() - start)


def measure(path, cores, times):
    """Runs `read` in processes limited to these cores; returns their figures."""
    command = [sys.executable, __file__, "--read", str(path)]
    found = []
    for _ in range(times):
        done = subprocess.run(
            command,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        found.append(float(done.stdout.splitlines()[-1]))
    return found


def training_step():
    """Measures images per second of StyleGAN2's plain step at this size, float32."""
    from stylegan2 import BATCH, WIDTH, Ours

    ours = Ours(SIDE, min(WIDTH * SIDE, 16384), BATCH[SIDE])
    ours.train("plain")
    return BATCH[SIDE] / statistics.median(ours.train("plain") for _ in range(3))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--step", type=float, help="images per second of the training step")
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path)
    parser.add_argument("--read", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.read:
        print(read(args.read))
        return
    step, rows = args.step or training_step(), []
    print(record.machine())
    print(f"the training step takes {step:.2f} images/s")
    print(f"{'256x256 from':12} kB each cores images/s (least - most)  times the step")
    with tempfile.TemporaryDirectory() as root:
        root = pathlib.Path(root)
        sizes = write(root)
        for kind in args.kinds:
            path = root / ("array.npz" if kind == "array" else kind)
            for cores in dict.fromkeys((tuple(CORES[:1]), tuple(CORES))):
                found = measure(path, cores, args.repeats)
                median = statistics.median(found)
                rows.append(
                    {"from": kind, "cores": len(cores), "images/s": median, "all": found}
                    | {"bytes": sizes[kind], "times the step": median / step}
                )
                print(
                    f"{kind:12} {sizes[kind] / 1e3:7.0f} {len(cores):5} {median:8.0f} "
                    f"({min(found):.0f} - {max(found):.0f}) {median / step:10.0f}",
                    flush=True,
                )
    record.write(args.json, rows, step=step)


if __name__ == "__main__":
    main()
