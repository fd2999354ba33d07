"""Films by vid2vid and by pix2pixHD frame by frame: `python benchmarks/vid2vid.py RUN`.

RUN is of a `vid2vid` on synthetic films. A pix2pixHD of the same sizes learns their single frames.
Both then make films that no training has seen; vid2vid is given the
first two frames. Printed: the temporal error (`tfgans.metrics.temporal`), the distance of a frame
to the one before, moved as the true film moves; the distance to the true frames; and the error of
vid2vid's flow in pixels, where the true one holds.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from trained import TRAINED_ON  # noqa: E402

from tfgans import images, models  # noqa: E402
from tfgans.data.label_maps import in_colors  # noqa: E402
from tfgans.data.motion import SyntheticSquares  # noqa: E402
from tfgans.metrics.temporal import temporal_error  # noqa: E402
from tfgans.models.pix2pixhd import Pix2PixHD  # noqa: E402
from tfgans.models.vid2vid import PAST  # noqa: E402
from tfgans.ops.warp import confidence  # noqa: E402

BATCH = 4  # frames of a step of pix2pixHD


def films(shape, length, first, count):
    """Maps [n, T, H, W], frames [n, T, H, W, C] in [-1, 1] and flow [n, T, H, W, 2]."""
    source = SyntheticSquares(shape[:2], length, first)
    found = [source.read(i, np.arange(length)) for i in range(count)]
    maps, video, flow = (np.stack([film[k] for film in found]) for k in ("map", "video", "flow"))
    return maps, video.astype("float32") / 127.5 - 1.0, flow


def frame_by_frame(model, steps):
    """A pix2pixHD of the sizes of a vid2vid, trained on single frames."""
    image = Pix2PixHD(
        image_shape=model.image_shape, num_labels=model.num_labels, instances=False,
        width=model.width, blocks=model.blocks, downs=model.downs, enhancer=False,
        scales=model.judged_scales, halvings=model.halvings, global_steps=steps,
        perceptual_weight=model.perceptual_weight,
    )  # fmt: skip
    image.compile({"generator": {"learning_rate": 5e-4}})
    maps, video, _ = films(model.image_shape, 1, 0, 2048)
    data = tf.data.Dataset.from_tensor_slices({"map": maps[:, 0], "target": video[:, 0]})
    data = data.repeat().shuffle(2048, seed=0).batch(BATCH, drop_remainder=True)
    image.fit(data, steps_per_epoch=steps, epochs=1, verbose=0)
    return image


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="folder of a run, or name of a release")
    parser.add_argument("--films", type=int, default=64)
    parser.add_argument("--length", type=int, default=12, help="frames of each film")
    parser.add_argument("--steps", type=int, default=1000, help="of pix2pixHD, 4 frames each")
    parser.add_argument("--picture", help="films of maps, pix2pixHD, vid2vid, its flow, the truth")
    given = parser.parse_args()
    model = models.load(given.run)
    image = frame_by_frame(model, given.steps)
    maps, video, flow = films(model.image_shape, given.length, 10 * TRAINED_ON, given.films)
    single = np.stack([image.photograph(maps[:, t]).numpy() for t in range(given.length)], axis=1)
    found = list(model.frames_of(maps.transpose(1, 0, 2, 3), video[:, :PAST]))
    made = np.stack([frame["image"] for frame in found], axis=1)
    ours = np.stack([frame["flow"] for frame in found[PAST:]], axis=1)
    rest = slice(PAST, None)
    print(f"{given.films} films of {given.length} frames, without the first two:")
    for name, film in (("pix2pixHD", single), ("vid2vid", made), ("the true films", video)):
        errors = [
            temporal_error(film[i, rest], video[i, rest], flow[i, rest]) for i in range(len(video))
        ]
        distance = np.abs(film[:, rest] - video[:, rest]).mean()
        print(f"{name}: temporal error {np.mean(errors):.4f}, distance {distance:.4f}")
    sure = np.stack(
        [
            confidence(video[:, t], video[:, t - 1], flow[:, t])[..., 0]
            for t in range(PAST, given.length)
        ],
        axis=1,
    )
    error = np.linalg.norm(ours - flow[:, rest], axis=-1)
    still = np.linalg.norm(flow[:, rest], axis=-1)
    for word, where in (("all", sure), ("moving", sure * (still > 0.0))):
        print(
            f"flow of {word} pixels: error {(error * where).sum() / where.sum():.3f}, "
            f"of no flow {(still * where).sum() / where.sum():.3f}"
        )
    if given.picture:
        shown = [in_colors(maps, model.classes, model.legend), single, made]
        shown += [images.of_flow(np.pad(ours, [[0, 0], [PAST, 0], *[[0, 0]] * 3])), video]
        rows = np.stack([film[k] for k in range(3) for film in shown])  # [15, T, H, W, C]
        images.save_grid(rows[:, :: max(given.length // 8, 1)], given.picture)


if __name__ == "__main__":
    main()
