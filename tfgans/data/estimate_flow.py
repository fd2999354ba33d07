"""`flow`: estimates the flow of films by a network that learns from these films alone.

Nobody has to know the flow: a frame should look like the one before it, warped, and neighboring
pixels should move alike where the frame has no edge (Yu, Harley, Derpanis, 2016, arXiv:1608.05842).

The network works from coarse to fine, as SPyNet does (Ranjan, Black, CVPR 2017, arXiv:1611.00850):
at each size it warps the frame before by the flow so far, compares it with the frame at near
shifts, and corrects the flow. All sizes have the same weights, so it learns in minutes.
"""

import pathlib
import shutil

import keras
import numpy as np
import tensorflow as tf

from tfgans import durable
from tfgans.data.convert import to_float
from tfgans.data.flow import FOLDER, write_flo
from tfgans.data.layouts import two_folders
from tfgans.data.settings import Data
from tfgans.data.source import DataError
from tfgans.data.video import open_films
from tfgans.ops.warp import warp

SIZES = 4  # from an eighth to the whole
UNIT = 2 ** (SIZES - 1)  # sides of the frames are multiples of it
NEAR = 2  # largest shift that is compared, in pixels of each size
SHIFTS = np.mgrid[-NEAR : NEAR + 1, -NEAR : NEAR + 1].reshape(2, -1)[::-1].T.astype("float32")
SHARP = 0.005  # difference of frames in [-1, 1] that makes a shift less likely by a factor of e

PAIRS = 2000  # of neighboring frames that it learns from, at most
WINDOW = 128  # side of the part of them that it sees, at most
BATCH = 4
RATE = 1e-3
SMOOTH = 0.05  # weight of the smoothness
EDGES = 10.0  # slope of a frame in [-1, 1] at which the flow may jump


def write_flow(path, steps) -> tuple:
    """Learns the flow of a set of films and writes it into the folder `flow` of the set.

    Args:
        path: A set of films, see `video.py`. Where it has label maps, the frames alone are read.
        steps: Steps of the training.

    Returns:
        The folder, and the number of files.

    Raises:
        DataError: There are no films, or they have a flow already.
    """
    sides = two_folders(pathlib.Path(path).expanduser())
    source = open_films(sides[1] if sides else path, Data())
    root = pathlib.Path(source.path) / FOLDER
    if root.exists():
        raise DataError(
            f"{root} exists already.", "Nothing is written over it: move it away to estimate anew."
        )
    network = learned(*pairs_of(source), steps)
    partial, count = root.with_name(f"partial-{FOLDER}"), 0
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for i, name in enumerate(source.names):
            before = None
            (partial / name).mkdir(parents=True, exist_ok=True)
            for k, frame in enumerate(frames_of(source, i)):
                if k:
                    write_flo(partial / name / f"{k:05d}.flo", estimated(network, frame, before))
                    count += 1
                before = frame
        durable.publish(partial, root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return root, count


def frames_of(source, i):
    """Yields the frames of film i, float32 [H, W, C] in [-1, 1]."""
    for frame in source.stream(i):
        yield to_float(frame, source.value_range, source.largest[2])


def pairs_of(source):
    """Windows of neighboring frames, evenly chosen from all films: two arrays [n, h, w, C]."""
    keys = np.random.default_rng(0)
    size = [min(side // UNIT * UNIT, WINDOW) for side in source.smallest[:2]]
    if min(size) < 2 * UNIT:
        raise DataError(
            f"Frames of {source.path} have {source.smallest[0]}x{source.smallest[1]} pixels.",
            f"The network of the flow needs sides of {2 * UNIT} or more.",
        )
    count = int((source.lengths - 1).sum())
    if not count:
        raise DataError(f"The films of {source.path} have one frame each.", "There is no flow.")
    every, seen, found = max(1, -(-count // PAIRS)), 0, []
    for i in range(len(source)):
        before = None
        for frame in frames_of(source, i):
            if before is not None:
                if seen % every == 0:
                    top, left = (
                        keys.integers(side - part + 1)
                        for side, part in zip(frame.shape, size, strict=False)
                    )
                    window = slice(top, top + size[0]), slice(left, left + size[1])
                    found.append((frame[window], before[window]))
                seen += 1
            before = frame
    return [np.stack(part) for part in zip(*found, strict=True)]


class FlowPyramid:
    """Two frames -> the flow from the first to the second, from coarse to fine.

    Args:
        channels: Channels of the frames.
        width: Channels of its layers.
    """

    def __init__(self, channels, width=16):
        seen = 2 * len(SHIFTS) + channels + 4
        self.correct = keras.Sequential([keras.Input([None, None, seen])])
        for size in (3, 3, 3):
            self.correct.add(keras.layers.Conv2D(width, size, padding="same"))
            self.correct.add(keras.layers.LeakyReLU(0.1))
        last = keras.layers.Conv2D(3, 3, padding="same", kernel_initializer="zeros")
        self.correct.add(last)
        last.bias.assign([0.0, 0.0, 3.0])  # the likely flow at first

    def __call__(self, frame, before):
        """The flows of all sizes, [N, h, w, 2] in their own pixels, the coarsest first."""
        found = []
        for times in (2**k for k in reversed(range(SIZES))):
            now, past = (shrunk(x, times) for x in (frame, before))
            size = tf.shape(now)[1:3]
            if found:
                flow = 2.0 * tf.image.resize(found[-1], size)
            else:
                flow = tf.zeros([*tf.unstack(tf.shape(now)[:3]), 2])
            near = tf.concat([costs(now, warp(past, flow)), costs(now, past)], axis=-1)
            onward, anew = tf.split(tf.nn.softmax(-near / SHARP), 2, axis=-1)
            likely = (onward + anew) @ SHIFTS + tf.reduce_sum(onward, -1, keepdims=True) * flow
            seen = self.correct(tf.concat([near, likely, now, flow], axis=-1))
            found.append(flow + tf.sigmoid(seen[..., 2:]) * (likely - flow) + seen[..., :2])
        return found


def shrunk(images, times):
    """Means over squares of times x times pixels."""
    return tf.nn.avg_pool2d(images, times, times, "VALID")


def costs(image, other):
    """Differences of an image to another one at all near shifts, [N, H, W, shifts].

    They are means over 3x3 pixels and the channels.
    """
    border, side = [NEAR, NEAR], 2 * NEAR + 1
    wide = tf.pad(other, [[0, 0], border, border, [0, 0]], "SYMMETRIC")
    near = tf.image.extract_patches(wide, [1, side, side, 1], [1] * 4, [1] * 4, "VALID")
    near = tf.reshape(near, [*tf.unstack(tf.shape(image)[:3]), side**2, image.shape[-1]])
    found = tf.reduce_mean(tf.abs(image[..., tf.newaxis, :] - near), axis=-1)
    return tf.nn.avg_pool2d(found, 3, 1, "SAME")


def learned(frames, before, steps, batch=BATCH) -> FlowPyramid:
    """A network that has learned the flow of pairs of frames.

    Args:
        frames: [n, H, W, C] in [-1, 1].
        before: The frames before them.
        steps: Number of steps; the rate falls to 0 over the second half.
        batch: Pairs of a step.
    """
    network, keys = FlowPyramid(frames.shape[-1]), np.random.default_rng(0)
    optimizer, weights = keras.optimizers.Adam(RATE), network.correct.trainable_variables
    optimizer.build(weights)

    @tf.function(autograph=False)
    def step(now, past):
        with tf.GradientTape() as tape:
            loss = flow_loss(network(now, past), now, past)
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))

    for k in range(steps):
        optimizer.learning_rate = RATE * min(1.0, 2.0 * (1.0 - k / steps))
        chosen = keys.integers(len(frames), size=batch)
        step(tf.constant(frames[chosen]), tf.constant(before[chosen]))
    return network


def flow_loss(flows, frames, before):
    """The photometric and smoothness terms of flows at all sizes, the coarsest first.

    Args:
        flows: [N, h, w, 2] each, in their own pixels.
        frames: [N, H, W, C] in [-1, 1].
        before: The frames before them.
    """
    total = 0.0
    for k, flow in enumerate(flows):
        now, past = (shrunk(x, 2 ** (len(flows) - 1 - k)) for x in (frames, before))
        total += tf.reduce_mean(charbonnier(now - warp(past, flow)))
        total += SMOOTH * roughness(flow, now)
    return total


def charbonnier(x):
    """A smooth |x|^0.9: outliers, such as what nothing before explains, count less."""
    return tf.pow(tf.square(x) + 1e-6, 0.45)


def roughness(flow, image):
    """Mean difference of neighbors in a flow, less where the image has an edge."""
    total = 0.0
    for axis in (1, 2):
        rest = [slice(None)] * axis
        first, last = (*rest, slice(None, -1)), (*rest, slice(1, None))
        edge = tf.reduce_mean(tf.abs(image[last] - image[first]), axis=-1, keepdims=True)
        change = charbonnier(flow[last] - flow[first])
        total += tf.reduce_mean(tf.exp(-EDGES * edge) * change)
    return total


def estimated(network, frame, before) -> np.ndarray:
    """The flow of one frame [H, W, C] of any size, float32 [H, W, 2]."""
    height, width = frame.shape[:2]
    missing = [[0, -height % UNIT], [0, -width % UNIT], [0, 0]]
    pair = [np.pad(x, missing, "edge")[None] for x in (frame, before)]
    return network(*pair)[-1][0, :height, :width].numpy()
