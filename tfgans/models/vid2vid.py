"""vid2vid — Video-to-Video Synthesis.

Wang et al., NeurIPS 2018, arXiv:1808.06601.

New here: a film of photographs from a film of label maps. Each frame blends the frame before it,
moved by a flow that the generator estimates, with a freshly painted one: what was seen before
stays, what was hidden is painted. Discriminators judge single images, painted ones too, and three
frames with the true flow between them, near and far apart in time. The films of the training grow
from stage to stage. A finer network around the trained one doubles the size.

    (r, f, w) = G(labels of 3 frames, o_(t-2), o_(t-1))
    o_t = w r + (1 - w) warp(o_(t-1), f)

A frame is one pass of G, to which the outputs before are constants: no gradient goes back in time.

Differs from the paper: the true flow comes with the data; the paper estimates it by FlowNet2. Edges
are those between classes: films have no numbers of objects. The flow between frames that are 3 or 9
apart is chained from those between neighbors. As in the code, the output is also compared with the
output before it, moved by the true flow (`smooth_weight=0` leaves it out), time has two scales
(three in the paper, as known, not verified), and batch normalization takes statistics in use too;
here of each image by itself, which for a batch of one is the same. Coarse networks see means of the
finest outputs; in the code they see their own. Without a file of VGG19's weights a small network
stands in for it, which is printed (`features/perceptual.py`).

Reference: NVIDIA/vid2vid.
"""

import keras
import numpy as np
import tensorflow as tf

from tfgans import images
from tfgans.data.label_maps import in_colors
from tfgans.errors import BadInput, nearest
from tfgans.features import perceptual
from tfgans.layers.instance_norm import instance_norm
from tfgans.models.base import BaseModel
from tfgans.models.cyclegan import conv, encode, grown, residual, squared
from tfgans.models.pix2pix import BatchNorm
from tfgans.models.pix2pixhd import VGG_WEIGHTS, build_discriminator, feature_matching, judged
from tfgans.ops.label_maps import semantics
from tfgans.ops.resample import enlarged, mean_pool, pooled
from tfgans.ops.warp import chained, confidence, masked_l1, warp
from tfgans.optimizers import Adam, HoldThenDecay, InTurn
from tfgans.previews import Video
from tfgans.shapes import halved

PAST = 2  # outputs that the generator sees
SPAN = 3  # frames that a discriminator of films sees; their distance grows by this factor
UNIT = 20.0  # pixels of a flow of 1 from the generator's last layer
FINER = 3  # residual blocks of a finer generator
NORMS = {"batch": BatchNorm, "instance": instance_norm}
SHOWN = 4  # films of a preview


def build_generator(size, seen, channels, width=128, blocks=9, downs=3, scale=0, norm=BatchNorm):
    """Semantics of 3 frames, and the last 2 outputs -> a painted frame, a flow and a weight.

    The results are "raw" in [-1, 1], "flow" in pixels, "weight" in [0, 1], and the features of both
    branches, "painted" and "moved", which the network of the next finer scale takes.

    Args:
        size: (height, width) of the frames.
        seen: Channels of the semantics of one frame.
        channels: Channels of a frame.
        width: Channels at full resolution; they double with each halving.
        blocks: Residual blocks on the way of the image, half of them before the branches. At a
            finer scale all are in the branches.
        downs: Number of halvings; 1 at a finer scale.
        scale: Number of the scale, 0 for the coarsest.
        norm: Function that makes a normalization layer.
    """
    inputs = [keras.Input([*size, n]) for n in ((PAST + 1) * seen, PAST * channels)]
    before, after = (0, blocks) if scale else (blocks - blocks // 2, blocks // 2)
    x = keras.layers.Add()([encode(part, width, before, downs, norm) for part in inputs])
    coarse = [keras.Input(x.shape[1:]) for _ in range(2)] if scale else [None] * 2
    painted, moved = (branch(x, features, after, downs, norm) for features in coarse)
    flow = conv(moved, 2, 7, dtype="float32", name="flow")
    found = {
        "raw": conv(painted, channels, 7, activation="tanh", dtype="float32"),
        "flow": UNIT * 2**scale * flow,
        "weight": conv(moved, 1, 7, activation="sigmoid", dtype="float32", name="weight"),
        "painted": painted,
        "moved": moved,
    }
    inputs += coarse if scale else []
    return keras.Model(inputs, found, name=f"generator_{scale}")


def build_foreground(size, seen, channels, width=64, blocks=9, downs=3, scale=0, norm=BatchNorm):
    """Semantics of 3 frames -> "image" in [-1, 1], and the "features" before its last layer.

    The arguments are those of `build_generator`; a finer one takes the features of the coarse one.
    """
    labels = keras.Input([*size, (PAST + 1) * seen])
    x = encode(labels, width, 0, downs, norm)
    coarse = keras.Input(x.shape[1:]) if scale else None
    x = branch(x, coarse, blocks, downs, norm)
    image = conv(x, channels, 7, activation="tanh", dtype="float32")
    inputs = [labels, coarse] if scale else [labels]
    return keras.Model(inputs, {"image": image, "features": x}, name=f"foreground_{scale}")


def branch(x, coarse, blocks, downs, norm):
    """The second half of a network, with the features of a coarser one if there is one."""
    x = x if coarse is None else keras.layers.Add()([x, coarse])
    for _ in range(blocks):
        x = residual(x, norm)
    return grown(x, downs, norm)


def blended(raw, weight, before, flow):
    """The painted frame where the weight is 1, and the one before it, moved, where it is 0."""
    return weight * raw + (1.0 - weight) * warp(before, flow)


def triples(begin, end, scale, first=PAST):
    """The triples of frames, 3^scale apart, that a discriminator sees of new frames begin to end.

    They end at every third new frame, from the newest back, and begin at `first` or later.
    """
    apart = SPAN**scale
    found = [(t - 2 * apart, t - apart, t) for t in range(end - 1, begin - 1, -SPAN)]
    return [triple for triple in found if triple[0] >= first]


def over_frames(frames, name):
    """A tensor of all frames, as a batch."""
    return tf.concat([frame[name] for frame in frames], axis=0)


@keras.saving.register_keras_serializable("tfgans")
class Vid2Vid(BaseModel):
    """Makes films of photographs from films of label maps.

    Args:
        image_shape: (height, width, channels) of the frames, at the finest scale.
        length: Frames of the longest clips, the two given ones included.
        first_length: Frames of the first clips. All but the two given ones are doubled after
            `growth_steps`, and again, until `length`.
        growth_steps: Steps of each length. The rates fall over the second half of all.
        chunk: Frames of one move; a step makes as many moves as its clips have chunks.
        num_labels: Number of classes in the label maps.
        unlabeled: If true, pixels may have no class; they are one more channel.
        edges: If true, the borders between classes are one more channel.
        legend: Name and color of each class, [[name, [r, g, b]], ...]; None for colors of our own.
        width: Channels of the coarsest generator at its full size; half as many at each finer one.
        blocks: Residual blocks of the coarsest generator.
        downs: Halvings of the coarsest generator.
        scales: Scales of the generator. Each finer one is trained alone for `growth_steps`, and
            then with the coarser ones.
        foreground: Classes that a network of its own paints from label maps alone, if there are.
        d_width: Channels of the discriminators' first stage.
        halvings: Stages of a discriminator that halve the image.
        norm: "batch", or "instance" for normalization of each image, without scale and shift.
        judged_scales: Scales that are judged, each half as large as the one before.
        time_scales: Distances in time at which films are judged: 1, 3, 9 frames.
        own_first: Learn to make the first frame too: outputs before it count as 0, and it is
            painted without a warp.
        matching_weight: Weight of feature matching.
        perceptual_weight: Weight of the distance in VGG19; 0 leaves it out.
        flow_weight: Weight of the distance to the true flow, and of that of frames moved by G's.
        smooth_weight: Weight of the distance of outputs to moved ones before; 0 leaves it out.
        rate: Learning rate at the coarsest scale; half as high at each finer one.
        vgg: Path of VGG19's weights, of Keras or torchvision; "" for the stand-in.
    """

    data_kind = "video"
    parts_of_clips = ("map", "flow")

    def __init__(
        self,
        image_shape=(512, 1024, 3),
        length=98,
        first_length=14,
        growth_steps=14_875,
        chunk=6,
        num_labels=35,
        unlabeled=False,
        edges=True,
        legend=None,
        width=128,
        blocks=9,
        downs=3,
        scales=2,
        foreground=None,
        d_width=64,
        halvings=3,
        norm="batch",
        judged_scales=2,
        time_scales=2,
        own_first=False,
        matching_weight=10.0,
        perceptual_weight=10.0,
        flow_weight=10.0,
        smooth_weight=10.0,
        rate=2e-4,
        vgg="",
        **kwargs,
    ):
        super().__init__(**kwargs)
        # Raises BadInput where that is not possible.
        halved(image_shape, downs + scales - 1, least=2)
        self.image_shape, self.length, self.first_length = image_shape, length, first_length
        self.growth_steps, self.chunk, self.num_labels = growth_steps, chunk, num_labels
        self.unlabeled, self.edges, self.legend = unlabeled, edges, legend
        self.width, self.blocks, self.downs, self.scales = width, blocks, downs, scales
        self.foreground, self.d_width, self.halvings = foreground, d_width, halvings
        self.judged_scales, self.time_scales, self.own_first = judged_scales, time_scales, own_first
        self.matching_weight, self.perceptual_weight = matching_weight, perceptual_weight
        self.flow_weight, self.smooth_weight = flow_weight, smooth_weight
        self.norm, self.rate, self.vgg = norm, rate, vgg
        self.check()
        self.classes = num_labels + unlabeled
        self.lengths = [first_length]
        while self.lengths[-1] < length:
            self.lengths.append(min(PAST + 2 * (self.lengths[-1] - PAST), length))
        # Scale, frames of a clip, and if the finest network moves alone, of each stage.
        self.plan = []
        for scale in range(scales):
            self.plan += [(scale, first_length, True)] if scale else []
            self.plan += [(scale, frames, False) for frames in self.lengths]
        self.stage_steps = (growth_steps,) * (len(self.plan) - 1)
        seen, colors = self.classes + edges, image_shape[2]
        layer = NORMS[norm]
        self.generators, self.foregrounds = [], []  # the coarsest scale first
        for scale in range(scales):
            size = halved(image_shape, scales - 1 - scale)
            way = (FINER, 1, scale, layer) if scale else (blocks, downs, 0, layer)
            self.generators.append(build_generator(size, seen, colors, width >> scale, *way))
            if foreground:
                front = build_foreground(size, seen, colors, width >> scale + 1, *way)
                self.foregrounds.append(front)

        def judges(channels, word):
            return [  # the finest scale first
                build_discriminator(
                    (None, None, channels), d_width, halvings, norm=layer, name=f"{word}_{k}"
                )
                for k in range(judged_scales)
            ]

        self.of_images = judges(seen + colors, "of_images")
        self.of_films = [
            judges(SPAN * colors + 2 * (SPAN - 1), f"of_films_{scale}")
            for scale in range(time_scales)
        ]
        if perceptual_weight:
            self.look = self.frozen(*perceptual.network(vgg, prepare=False))

    def check(self):
        """Raises BadInput."""
        if self.norm not in NORMS:
            raise BadInput(nearest("normalization of vid2vid", str(self.norm), NORMS))
        length, least = self.length, PAST + 1 + 2 * SPAN**self.time_scales // SPAN
        if not PAST < self.first_length <= length:
            raise BadInput(
                f"model.first_length is {PAST + 1} to model.length ({length}), the two given ones "
                f"included, not {self.first_length}."
            )
        if length < least:
            scales = f"{self.time_scales} scales of time"
            raise BadInput(f"{scales} need model.length {least} or more, not {length}.")
        if wrong := [k for k in self.foreground or () if not 0 <= k < self.num_labels]:
            raise BadInput(
                f"Classes of model.foreground are numbers below {self.num_labels}, not {wrong}."
            )

    # Stages, players and rates.

    def stage_length(self, stage):
        return self.plan[stage][1]

    def chunks(self, length):
        """The first and the last frame, exclusively, of each move on a clip of a `length`."""
        return [(t, min(t + self.chunk, length)) for t in range(PAST, length, self.chunk)]

    def networks(self, scale):
        return [self.generators[scale], *self.foregrounds[scale : scale + 1]]

    def players(self):
        found = {"discriminators": self.of_images, "generator": self.networks(0)}
        for scale, networks in enumerate(self.of_films):
            found[f"discriminators_of_films_{scale}"] = networks
        for scale in range(1, self.scales):
            found[f"finer_{scale}"] = self.networks(scale)
            found[f"joint_{scale}"] = [x for k in range(scale + 1) for x in self.networks(k)]
        return found

    def default_optimizers(self):
        def falling(scale, apart=None, alone=0):
            """The rate of a training at one scale, and the number of its moves.

            With `apart`, moves in which there are frames of that distance.
            """
            clips = [self.chunks(length) for length in self.lengths]
            moves = [sum(apart is None or bool(triples(*x, apart)) for x in clip) for clip in clips]
            counts = [self.growth_steps * count for count in moves]
            shares = [min(max(len(counts) / 2 - k, 0), 1) for k in range(len(counts))]
            held = round(np.dot(counts, shares))
            first, total = alone * counts[0], sum(counts)
            return HoldThenDecay(self.rate / 2**scale, first + held, total - held), first + total

        def in_turn(apart=None):
            """The rate of a player that moves at all scales."""
            rate, count = falling(0, apart)
            for scale in range(1, self.scales):
                later, more = falling(scale, apart, alone=1)
                rate, count = InTurn(rate, count, later), count + more
            return rate

        rates = {"discriminators": in_turn(), "generator": falling(0)[0]}
        for scale in range(self.time_scales):
            rates[f"discriminators_of_films_{scale}"] = in_turn(scale)
        for scale in range(1, self.scales):
            rates[f"finer_{scale}"] = self.rate / 2**scale
            rates[f"joint_{scale}"] = falling(scale)[0]
        return {player: Adam(rate, beta_1=0.5) for player, rate in rates.items()}

    @property
    def scale(self):
        """The finest scale that is trained by now."""
        return self.plan[self.stage][0]

    @property
    def times(self):
        """Halvings from the full size to that of this stage."""
        return self.scales - 1 - self.scale

    @property
    def mover(self):
        """The player that moves in this stage, beside the discriminators."""
        scale, _, alone = self.plan[self.stage]
        return f"finer_{scale}" if alone else f"joint_{scale}" if scale else "generator"

    # The networks.

    def semantics(self, labels):
        """Label maps, int32 [N, H, W], as the networks of this stage see them."""
        found = semantics(labels, labels if self.edges else None, self.classes)
        return pooled(found, self.times)

    def features(self, labels, past, scale, training):
        # The findings of the networks up to a scale: those of the generator, of the foreground.
        inputs, features = [labels, past], []
        if scale:
            coarse, front = self.features(mean_pool(labels), mean_pool(past), scale - 1, training)
            inputs += [coarse["painted"], coarse["moved"]]
            features = [front["features"]] if self.foreground else []
        found = self.generators[scale](inputs, training=training)
        if not self.foreground:
            return found, None
        return found, self.foregrounds[scale]([labels, *features], training=training)

    def frame(self, seen, past, painted_alone=False, training=False):
        """The blended frame "image", the painted one "raw", their "flow" and "weight".

        Args:
            seen: Semantics of the frame and the two before it, the oldest first, [N, H, W, ...].
            past: The last two outputs, [N, H, W, C] in [-1, 1]; no gradient reaches them.
            painted_alone: The first frame of all: the blend is the painted one.
            training: True in training.
        """
        past = [tf.stop_gradient(x) for x in past]
        inputs = tf.concat(seen, axis=-1), tf.concat(past, axis=-1)
        found, front = self.features(*inputs, self.scale, training)
        raw, flow, weight = found["raw"], found["flow"], found["weight"]
        image = raw if painted_alone else blended(raw, weight, past[-1], flow)
        if self.foreground:
            mask = tf.reduce_sum(tf.gather(seen[-1], [*self.foreground], axis=-1), -1, True)
            image, raw = (mask * front["image"] + (1.0 - mask) * x for x in (image, raw))
        return {"image": image, "raw": raw, "flow": flow, "weight": weight}

    # The game.

    def losses(self, seen, real, flow, made, begin, end):
        """The terms of all players that move on new frames, and these frames.

        Args:
            seen: Semantics of each frame of the clip, [N, H, W, ...].
            real: Its frames, [N, H, W, C].
            flow: From each frame to the one before, [N, H, W, 2].
            made: The outputs so far, those before the first one included.
            begin: Number of the first new frame.
            end: Number of the frame after the new ones.
        """
        made, frames = list(made), []
        for t in range(begin, end):
            first = t == PAST
            window = seen[t - PAST : t + 1]
            found = self.frame(window, made[-PAST:], first and self.own_first, training=True)
            found |= {"seen": seen[t], "real": real[t], "real_before": real[t - 1]}
            found |= {"made_before": real[t - 1] if first else made[-1], "true_flow": flow[t]}
            frames.append(found)
            made.append(found["image"])
        terms, g = self.image_terms(frames)
        for scale in range(self.time_scales):
            found = triples(begin, end, scale)
            if found:
                player = f"discriminators_of_films_{scale}"
                terms[player], more = self.film_terms(real, made, flow, found, scale)
                g |= {name: g.get(name, 0.0) + value for name, value in more.items()}
        return terms | {self.mover: g | self.flow_terms(frames)}, made[begin:]

    def compare(self, judges, seen, reals, fakes):
        # The terms of discriminators and of the generator; each fake counts against the real.
        real = judged(judges, seen, reals)
        d, g = {"real": 0.0, "fake": 0.0}, {"fake": 0.0, "features": 0.0}
        share = self.matching_weight * 4 / (self.halvings + 1) / len(judges)
        for fake in fakes:
            made = judged(judges, seen, fake)  # judged once for both players
            for ours, theirs in zip(made, real, strict=True):
                d["real"] += 0.5 * squared(theirs["score"], 1.0)
                d["fake"] += 0.5 * squared(ours["score"], 0.0)
                g["fake"] += squared(ours["score"], 1.0)
                g["features"] += share * feature_matching(ours, theirs)
        return d, g

    def image_terms(self, frames):
        """The terms of single frames: both the blended and the painted one are judged."""
        real, image, raw, seen = (over_frames(frames, x) for x in ("real", "image", "raw", "seen"))
        d, g = self.compare(self.of_images, seen, real, [image, raw])
        if self.perceptual_weight:
            distances = [perceptual.distance(self.look, x, real, VGG_WEIGHTS) for x in (image, raw)]
            g["perceptual"] = self.perceptual_weight * tf.add_n(distances)
        return {"discriminators": d}, g

    def film_terms(self, real, made, flow, found, scale):
        # The terms of three frames 3^scale apart, with the true flow between them.

        def beside(frames):
            whole = [tf.concat([frames[t] for t in triple], axis=-1) for triple in found]
            return tf.concat(whole, axis=0)

        flows = [
            tf.concat([chained(flow[a + 1 : b + 1]), chained(flow[b + 1 : c + 1])], axis=-1)
            for a, b, c in found
        ]
        flows = tf.concat(flows, axis=0) / UNIT
        d, g = self.compare(self.of_films[scale], flows, beside(real), [beside(made)])
        return d, {f"film_{name}": value for name, value in g.items()}

    def flow_terms(self, frames):
        """The terms of the flow, and of the blend, of `frames`."""
        real, before, true = (over_frames(frames, x) for x in ("real", "real_before", "true_flow"))
        sure = confidence(real, before, true)
        flow = over_frames(frames, "flow")
        terms = {
            "flow": self.flow_weight / 2**self.scale * masked_l1(sure, flow, true),
            "warp": self.flow_weight * masked_l1(sure, warp(before, flow), real),
        }
        if self.smooth_weight:
            moved = tf.stop_gradient(warp(over_frames(frames, "made_before"), true))
            distance = masked_l1(sure, over_frames(frames, "image"), moved)
            terms["smooth"] = self.smooth_weight * distance
        if self.own_first:
            terms["weight"] = masked_l1(sure, over_frames(frames, "weight"), 0.0)
        return terms

    def clip_of(self, data):
        """Semantics, frames and flow in `data`: lists of frames of the size of this stage."""
        length = self.stage_length(self.stage)  # unknown in the batches
        labels, video, flow = (
            tf.unstack(data[k], length, axis=1) for k in ("map", "video", "flow")
        )
        seen = [self.semantics(x) for x in labels]
        real = [pooled(x, self.times) for x in video]
        return seen, real, [pooled(x, self.times) / 2**self.times for x in flow]

    def train_step(self, data):
        seen, real, flow = self.clip_of(data)
        made = [tf.zeros_like(x) if self.own_first else x for x in real[:PAST]]
        every = {}
        for begin, end in self.chunks(len(real)):
            films = [
                f"discriminators_of_films_{scale}"
                for scale in range(self.time_scales)
                if triples(begin, end, scale)
            ]
            logs, new = self.update_together(
                self.losses, seen, real, flow, made, begin, end,
                players=["discriminators", *films, self.mover],
            )  # fmt: skip
            made += new
            for name, value in logs.items():
                every.setdefault(name, []).append(value)
        return {name: tf.add_n(values) / len(values) for name, values in every.items()}

    # Use.

    def start(self, labels, first):
        """The frames that begin a film, the given ones or a painted one, and those it goes on from.

        Args:
            labels: The first label map, int32 [N, H, W].
            first: See `generate`.
        """
        if first is not None:
            given = [pooled(x, self.times) for x in tf.unstack(first, PAST, axis=1)]
            return list(given), given
        seen = self.semantics(labels)
        blank = tf.zeros([*tf.unstack(tf.shape(seen)[:3]), self.image_shape[2]])
        blank = tf.ensure_shape(blank, [None, *seen.shape[1:3], None])
        painted = self.frame([seen] * (PAST + 1), [blank] * PAST, painted_alone=True)["image"]
        return [painted], [blank, painted]

    def frames_of(self, maps, first=None):
        """Yields the findings of `frame` of a film, of the first frames the "image" alone.

        Args:
            maps: Iterable of label maps, int32 [N, H, W] each, of which three are held.
            first: See `generate`.
        """
        seen = []
        for labels in maps:
            own = self.semantics(labels)
            if not seen:
                (begun, past), seen = self.start(labels, first), [own] * PAST
            seen = [*seen[-PAST:], own]
            if begun:
                yield {"image": begun.pop(0)}
            else:
                yield (found := self.frame(seen, past))
                past = [past[-1], found["image"]]

    def stream(self, maps, first=None):
        """Yields the frames [H, W, C] in [-1, 1] of one film of any length, as they are made.

        Args:
            maps: Iterable of label maps, int32 [H, W].
            first: See `generate`, with N = 1.
        """
        for found in self.frames_of((labels[np.newaxis] for labels in maps), first):
            yield enlarged(found["image"], self.times)[0].numpy()

    def generate(self, maps, first=None):
        """Films [N, T, H, W, C] in [-1, 1] of label maps, the first frames included.

        Args:
            maps: Class numbers, int32 [N, T, H, W]; unlabeled pixels have the number num_labels.
            first: The first two frames, [N, 2, H, W, C] in [-1, 1]; without them the model begins
                with one of its own, see `own_first`.
        """
        maps = tf.convert_to_tensor(maps)
        begun, past = self.start(maps[:, 0], first)
        length, beginning = tf.shape(maps)[1], tf.stack(begun, axis=1)
        count = tf.maximum(length - len(begun), 0)

        def step(k, film, *past):
            t = k + len(begun)
            seen = [self.semantics(maps[:, tf.maximum(t - j, 0)]) for j in (2, 1, 0)]
            image = self.frame(seen, list(past))["image"]
            return k + 1, film.write(k, image), past[-1], image

        film = tf.TensorArray("float32", count, element_shape=past[-1].shape)
        _, film, *_ = tf.while_loop(lambda k, *_: k < count, step, [0, film, *past])
        made = tf.ensure_shape(film.stack(), [None, *past[-1].shape])
        whole = tf.concat([beginning, tf.transpose(made, [1, 0, 2, 3, 4])], axis=1)[:, :length]
        return enlarged(whole, self.times)

    def call(self, *given):
        return self.generate(*given)

    def outputs(self, batch):
        """Films of the label maps of a batch, [N, T, H, W, C] in [-1, 1]."""
        maps, video = tf.convert_to_tensor(batch["map"]), tf.convert_to_tensor(batch["video"])
        return self.generate(maps, None if self.own_first else video[:, :PAST])

    def preview(self, batch):
        """For each film label maps, output, flow in colors, and target."""
        maps, video = (tf.convert_to_tensor(batch[key][:SHOWN]) for key in ("map", "video"))
        first = None if self.own_first else video[:, :PAST]
        found = list(self.frames_of(tf.unstack(maps, axis=1), first))
        still = tf.zeros([*found[0]["image"].shape[:3], 2])
        flow = tf.stack([frame.get("flow", still) for frame in found], axis=1)
        made = tf.stack([frame["image"] for frame in found], axis=1)
        flow, made = (enlarged(x, self.times) for x in (flow, made))
        shown = in_colors(maps, self.classes, self.legend)
        clips = np.stack([shown, made, images.of_flow(flow), video], axis=1)  # [n, 4, T, H, W, C]
        return Video(clips.reshape(-1, *clips.shape[2:]), rate=8)

    def endpoints(self):
        """`generate`: a film of label maps that goes on from its first two frames.

        `serving_default` is the same, or a film of label maps alone for a model that makes the
        first frame too.
        """

        def generate(*given):
            return {"video": self.generate(*given)}

        maps = tf.TensorSpec([None, None, *self.image_shape[:2]], "int32", name="map")
        both = [maps, tf.TensorSpec([None, PAST, *self.image_shape], name="first")]
        main = both[:1] if self.own_first else both
        return {"serving_default": (generate, main), "generate": (generate, both)}
