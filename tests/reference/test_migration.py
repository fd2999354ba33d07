"""Runs all examples of docs/migration.md, and compares those that say so with the old packages."""

import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgans

HERE = pathlib.Path(__file__).parent
REF = np.load(HERE / "tfgan_tfa.npz")
TEXT = (HERE.parent.parent / "docs" / "migration.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def checked(example):
    """The key of the numbers that an example is compared with, or None."""
    found = re.search(r"^# checked: (.*)$", example, re.MULTILINE)
    return found and found.group(1)


def inputs(example):
    """The names that an example may use: the packages, its inputs, and values of each kind."""
    image = keras.Input([1])
    draw = np.random.default_rng(0).uniform(-1, 1, [2, 4, 8, 8, 1]).astype("float32")
    given = {
        "keras": keras,
        "np": np,
        "tf": tf,
        "tfgans": tfgans,
        "real_images": tf.constant(draw[0]),
        "fake_images": tf.constant(draw[1]),
        "images_uint8": np.zeros([2, 8, 8, 1], "uint8"),
        "dataset": tf.data.Dataset.from_tensor_slices({"image": draw[0]}).batch(4, True).repeat(),
        "model": tfgans.models.get("lsgan")(image_shape=(8, 8, 1), latent_dim=4, width=4),
        "network": keras.Model(image, keras.layers.Dense(2)(image)),
        "tensor": np.ones([3, 5], "float32"),
        "tiles": REF["evaluation/tiles"],
    }
    key = checked(example)
    kinds = {
        "tfa.layers": "tfa_layers/",
        "tfa.activations": "tfa_layers/",
        "tfa.image": "tfa_image/",
    }
    kinds |= {"tfgan.features": "features/"}
    group = next((group for kind, group in kinds.items() if f"# {kind}" in example), "")
    group = key.split("/")[0] + "/" if key else group
    names = [name for name in REF.files if group and name.startswith(group)]
    given |= {n.removeprefix(group): REF[n] for n in names if n.count("/") == 1}
    before = REF["features/clip_variables/before"] - 0.5 * REF["features/clip_variables/gradient"]
    return given | {"variables": [keras.Variable(before)]}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.splitlines()[0])
def test_example(example):
    space = inputs(example)
    exec(compile(example, "docs/migration.md", "exec"), space)
    if key := checked(example):
        expected = REF[key]
        scale = np.abs(expected).max()
        np.testing.assert_allclose(space["result"], expected, rtol=1e-5, atol=1e-5 * scale)


def test_what_the_examples_cover():
    """Most are compared; each old name that GAN code uses is in the text."""
    assert sum(checked(example) is not None for example in EXAMPLES) >= 33
    for name in USED:
        assert name in TEXT, name


# Names of both packages that their own examples, compare_gan and public GAN code use.
USED = """
gan_model infogan_model cyclegan_model acgan_model stargan_model GANModel gan_loss cyclegan_loss
stargan_loss gan_train_ops gan_train GANTrainSteps get_joint_train_hooks
get_sequential_train_hooks GANEstimator TPUGANEstimator RunTrainOpsHook minimax_discriminator_loss
modified_generator_loss least_squares_generator_loss wasserstein_generator_loss
wasserstein_hinge_discriminator_loss relativistic_generator_loss acgan_generator_loss
wasserstein_gradient_penalty mutual_information_penalty cycle_consistency_loss
combine_adversarial_loss tensor_pool instance_norm group_norm VBN spectral_normalize
compute_spectral_norm clip_variables clip_discriminator_weights VariableClippingOptimizer
condition_tensor_from_onehot condition_tensor tpu.batch_norm standardize_batch run_inception
run_classifier_fn classifier_fn_from_tfhub inception_score classifier_score frechet_ kernel_
sliced_wasserstein_distance _streaming image_grid python_image_grid image_reshaper add_*_summaries
InstanceNormalization GroupNormalization SpectralNormalization WeightNormalization Maxout
FilterResponseNormalization TLU AdaptiveAveragePooling2D gelu MovingAverage AverageModelCheckpoint
AdamW SGDW LAMB Lookahead MultiOptimizer CyclicalLearningRate RectifiedAdam AdaBelief Yogi SWA
rotate translate transform cutout random_cutout gaussian_filter2d dense_image_warp
interpolate_bilinear resampler sharpness equalize adjust_hsv_in_yiq blend shear_x median_filter2d
sparse_image_warp TQDMProgressBar TimeStopping MultiHeadAttention
""".split()
