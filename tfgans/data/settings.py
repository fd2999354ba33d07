"""The section `data` of a configuration."""

import dataclasses


@dataclasses.dataclass
class Data:
    """Settings of the training data.

    Args:
        path: A folder, zip, TFRecord, IDX, CIFAR or NumPy path, a set by name as "tfds:cifar10" or
            "hf:user/faces@train", or "synthetic".
        batch_size: Images per update, over all replicas together.
        labels: If true, labels are read too, and the model is conditional on them.
        attributes: Names of the attributes that make up the label vectors, of CelebA's table, of
            synthetic shapes (red, filled, dark) or layers (triangle, square, hexagon); implies
            `labels`.
        polygons: Kinds of synthetic polygons for a model without classes: triangles, then one
            corner more each.
        drawn: Synthetic images of two domains: "scenes", drawings and pictures; "turned", bars and
            spindles in random directions; or "cartoons", photographs and cartoons. Synthetic films:
            "scenes", textured squares; "noisy", the same over a ground at rest, with noise; or
            "digits".
        every_nth: Distance of the frames of a clip in their film, where that is long enough.
        flip: If true, images are mirrored with probability 1/2, both images of a pair alike.
        jitter: Number of pixels. Images are resized to this much more than the model's height and
            width, and cropped at random, both images of a pair alike.
        direction: "a_to_b" or "b_to_a": from the input image of a pair to the target, or from the
            labeled domain to the other one.
        degrade: Damage that makes the input of each image: "gray", "grain", "lightness", "jpeg",
            "bicubic4", "noise", "hole" or "blobs" (see `degraded.py`); "auto" is the one that the
            model undoes.
        labeled_per_class: Number of images of each class whose label is used, where only few are;
            0 for all.
        labeled_seed: Seed of the choice of these images.
        broken: Action for an unreadable image: "skip" reports it and takes the next one, "fail"
            stops the run.
        value_range: [lowest, highest] value of the stored pixels, needed for float arrays only.
    """

    path: str | None = None
    batch_size: int = 64
    labels: bool = False
    attributes: list | None = None
    polygons: int = 1
    drawn: str = "scenes"
    every_nth: int = 1
    flip: bool = False
    jitter: int = 0
    direction: str = "a_to_b"
    degrade: str = "auto"
    labeled_per_class: int = 0
    labeled_seed: int = 0
    broken: str = "skip"
    value_range: list | None = None
