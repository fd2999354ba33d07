"""The recorded numbers against closed forms, most of them where the two packages surprise.

It uses NumPy alone. Each test states in a line or two what tensorflow-gan and tensorflow-addons
really compute, so a difference from a paper is seen before it is copied or "corrected".
"""

import json
from pathlib import Path

import numpy as np
import pytest

FILE = Path(__file__).parent / "tfgan_tfa.npz"


@pytest.fixture(scope="module")
def ref():
    """Keys below a prefix as a dict in float64: ref("losses")["real"]."""
    file = np.load(FILE)

    def group(prefix):
        arrays = {k[len(prefix) + 1 :]: file[k] for k in file.files if k.startswith(prefix + "/")}
        assert arrays, f"no key begins with {prefix}/"
        return {k: a.astype("float64") if a.dtype.kind == "f" else a for k, a in arrays.items()}

    return group


def close(actual, expected, tolerance=2e-6):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def softplus(t):
    return np.logaddexp(0, t)


def sigmoid(t):
    return 1 / (1 + np.exp(-t))


def log_softmax(logits):
    return logits - np.log(np.sum(np.exp(logits), axis=-1, keepdims=True))


def unit(vector):
    return vector / np.linalg.norm(vector)


def test_file_is_small_and_says_where_it_comes_from():
    assert FILE.stat().st_size < 300_000
    meta = json.loads(str(np.load(FILE)["meta"]))
    assert meta["tensorflow_gan"] == "2.1.0"
    assert meta["tensorflow_addons"] == "0.23.0"
    assert meta["tensorflow"] == "2.15.1"


# TF-GAN losses


@pytest.mark.parametrize("name", ["minimax", "modified"])
def test_discriminator_loss_smooths_the_real_label_to_0_875(ref, name):
    losses = ref("losses")
    real, fake = losses["real"], losses["fake"]
    exact = np.mean(softplus(-real)) + np.mean(softplus(fake))
    # smoothing s moves the label 1 to 1 - s / 2, not to 1 - s
    smooth = np.mean(softplus(real) - 0.875 * real) + np.mean(softplus(fake))
    close(losses[f"{name}_discriminator_loss/value"], smooth)
    close(losses[f"{name}_discriminator_loss_smoothing_0/value"], exact)
    assert smooth - exact > 0.05
    close(losses[f"{name}_discriminator_loss/grad_real"], (sigmoid(real) - 0.875) / real.size)
    close(losses[f"{name}_discriminator_loss/grad_fake"], sigmoid(fake) / fake.size)


def test_minimax_generator_loss_carries_a_constant(ref):
    losses = ref("losses")
    fake = losses["fake"]
    value = -np.mean(softplus(fake)) - softplus(-1)  # as if D said 1 of real samples
    close(losses["minimax_generator_loss/value"], value)
    close(losses["minimax_generator_loss/grad_fake"], -sigmoid(fake) / fake.size)
    # label smoothing changes only that constant
    close(losses["minimax_generator_loss_smoothing_0.25/value"], value - 0.125)
    close(
        losses["minimax_generator_loss_smoothing_0.25/grad_fake"],
        losses["minimax_generator_loss/grad_fake"],
    )


def test_modified_generator_loss_is_the_nonsaturating_one(ref):
    losses = ref("losses")
    fake = losses["fake"]
    close(losses["modified_generator_loss/value"], np.mean(softplus(-fake)))
    close(losses["modified_generator_loss/grad_fake"], -sigmoid(-fake) / fake.size)
    close(
        losses["modified_generator_loss_smoothing_0.25/value"],
        np.mean(softplus(fake) - 0.875 * fake),
    )


def test_least_squares_has_the_half(ref):
    losses = ref("losses")
    real, fake = losses["real"], losses["fake"]

    def half_square(t):
        return 0.5 * np.mean(t**2)

    close(
        losses["least_squares_discriminator_loss/value"], half_square(real - 1) + half_square(fake)
    )
    close(losses["least_squares_generator_loss/value"], half_square(fake - 1))
    close(
        losses["least_squares_discriminator_loss_labels_0.9_-1/value"],
        half_square(real - 0.9) + half_square(fake + 1),
    )
    close(losses["least_squares_generator_loss_label_0/value"], half_square(fake))


def test_hinge_and_wasserstein(ref):
    losses = ref("losses")
    real, fake = losses["real"], losses["fake"]
    close(losses["wasserstein_discriminator_loss/value"], fake.mean() - real.mean())
    close(losses["wasserstein_generator_loss/value"], -fake.mean())
    close(
        losses["wasserstein_hinge_discriminator_loss/value"],
        np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean(),
    )
    # one function under two names
    for key in ("value", "grad_fake"):
        assert np.array_equal(
            losses[f"wasserstein_hinge_generator_loss/{key}"],
            losses[f"wasserstein_generator_loss/{key}"],
        )


def test_weighted_losses_divide_by_the_number_of_nonzero_weights(ref):
    losses = ref("losses")
    fake, weights = losses["fake"], losses["weights"]
    count = np.count_nonzero(weights)
    assert count not in (weights.size, weights.sum())
    close(losses["wasserstein_generator_loss_weights/value"], -np.sum(weights * fake) / count)
    close(
        losses["modified_generator_loss_weights/value"],
        np.sum(weights * softplus(-fake)) / count,
    )


def test_relativistic_losses_are_the_average_form_without_a_half(ref):
    losses = ref("losses")
    real, fake = losses["real"], losses["fake"]
    real_above, fake_above = real - fake.mean(), fake - real.mean()
    close(
        losses["relativistic_discriminator_loss/value"],
        softplus(-real_above).mean() + softplus(fake_above).mean(),
    )
    close(
        losses["relativistic_generator_loss/value"],
        softplus(real_above).mean() + softplus(-fake_above).mean(),
    )
    # the generator's loss depends on the real scores, also through their mean
    slope = sigmoid(real_above) / real.size + np.mean(sigmoid(-fake_above)) / real.size
    close(losses["relativistic_generator_loss/grad_real"], slope)


def test_acgan_loss_smooths_only_the_real_side(ref):
    losses = ref("losses")
    one_hot = losses["one_hot"]

    def cross_entropy(target, logits):
        return -np.mean(np.sum(target * log_softmax(logits), axis=1))

    on_real = cross_entropy(one_hot, losses["real_logits"])
    on_fake = cross_entropy(one_hot, losses["fake_logits"])
    smooth = cross_entropy(0.8 * one_hot + 0.2 / 4, losses["real_logits"])
    close(losses["acgan_generator_loss/value"], on_fake)
    close(losses["acgan_discriminator_loss/value"], on_real + on_fake)
    close(losses["acgan_discriminator_loss_smoothing_0.2/value"], smooth + on_fake)


def test_mutual_information_penalty_is_a_mean_over_codes_and_their_elements(ref):
    losses = ref("losses")
    category = losses["category"]
    log_category = log_softmax(losses["q_logits"])[np.arange(len(category)), category]
    deviation = losses["q_deviation"]
    z = (losses["code"] - losses["q_mean"]) / deviation
    log_code = -0.5 * z**2 - np.log(deviation) - 0.5 * np.log(2 * np.pi)  # [N, 2]
    close(
        losses["mutual_information_penalty/value"],
        -(log_category.mean() + log_code.mean()) / 2,
    )
    # InfoGAN's likelihood is a sum: log q(c|x) of one sample adds its codes and their elements
    whole = -np.mean(log_category + log_code.sum(axis=1))
    assert abs(whole - losses["mutual_information_penalty/value"]) > 1


def test_cycle_consistency_loss_is_half_the_sum(ref):
    losses = ref("losses")
    both = np.abs(losses["x"] - losses["x_back"]).mean()
    both += np.abs(losses["y"] - losses["y_back"]).mean()
    close(losses["cycle_consistency_loss/value"], both / 2)
    size = losses["x"].size
    close(
        losses["cycle_consistency_loss/grad_x_back"],
        np.sign(losses["x_back"] - losses["x"]) / (2 * size),
    )


# Gradient penalty and whole losses


def critic(x, w):
    return np.tanh(x.reshape(len(x), -1) @ w).sum(axis=1)


def slopes(group, epsilon=1e-10):
    """Gradient norm of critic at x + alpha (fake - x), one per sample."""
    x = group["real"] + group["alpha"] * (group["fake"] - group["real"])
    units = np.tanh(x.reshape(len(x), -1) @ group["w"])  # [N, 5]
    gradient = (1 - units**2) @ group["w"].T  # [N, 6]
    return np.sqrt(np.sum(gradient**2, axis=1) + epsilon)


def test_penalty_is_a_ratio_not_a_difference(ref):
    penalty = ref("penalty")
    norm = slopes(penalty)
    assert norm.min() < 1 < norm.max()
    close(penalty["default/value"], np.mean((norm - 1) ** 2))
    close(penalty["target_2/value"], np.mean((norm / 2 - 1) ** 2))
    # (norm - target)^2 would be target^2 times larger
    close(penalty["target_2/value"] * 4, np.mean((norm - 2) ** 2))


def test_one_sided_penalty_spares_small_slopes(ref):
    penalty = ref("penalty")
    norm = slopes(penalty)
    close(penalty["one_sided/value"], np.mean(np.maximum(0, norm - 1) ** 2))
    close(penalty["one_sided_target_0.5/value"], np.mean(np.maximum(0, 2 * norm - 1) ** 2))
    assert penalty["default/value"] - penalty["one_sided/value"] > 0.01


def test_penalty_epsilon_stands_under_the_root(ref):
    penalty = ref("penalty")
    close(penalty["epsilon_1/value"], np.mean((slopes(penalty, epsilon=1) - 1) ** 2))


def test_penalty_gradient_is_of_second_order(ref):
    penalty = ref("penalty")
    numeric = np.zeros_like(penalty["w"])
    for index in np.ndindex(numeric.shape):
        values = []
        for step in (1e-5, -1e-5):
            w = penalty["w"].copy()
            w[index] += step
            values.append(np.mean((slopes(penalty | {"w": w}) - 1) ** 2))
        numeric[index] = (values[0] - values[1]) / 2e-5
    assert np.abs(numeric).max() > 0.1
    close(penalty["default/grad_w"], numeric, 1e-5)


def test_gan_loss_is_wasserstein_by_default(ref):
    totals = ref("totals")
    real, fake = critic(totals["x"], totals["w"]), critic(totals["fake_x"], totals["w"])
    d_loss, g_loss = fake.mean() - real.mean(), -fake.mean()
    close(totals["gan_loss/discriminator_loss"], d_loss)
    close(totals["gan_loss/generator_loss"], g_loss)
    norm = slopes(totals | {"real": totals["x"], "fake": totals["fake_x"]})
    close(totals["gan_loss_penalty_10/discriminator_loss"], d_loss + 10 * np.mean((norm - 1) ** 2))
    close(totals["gan_loss_penalty_10/generator_loss"], g_loss)


def test_cyclegan_loss_gives_both_generators_5_times_the_cycle(ref):
    totals = ref("totals")
    cycle = np.abs(totals["x"] - totals["x_back"]).mean()
    cycle += np.abs(totals["y"] - totals["y_back"]).mean()
    for way, domain in (("x2y", "y"), ("y2x", "x")):
        real = critic(totals[domain], totals["w"])
        fake = critic(totals[f"fake_{domain}"], totals["w"])
        fool = 0.5 * np.mean((fake - 1) ** 2)
        close(totals[f"cyclegan_loss/{way}/generator_loss"], fool + 5 * cycle)
        judge = 0.5 * np.mean((real - 1) ** 2) + 0.5 * np.mean(fake**2)
        close(totals[f"cyclegan_loss/{way}/discriminator_loss"], judge)


def test_stargan_loss_adds_up(ref):
    totals = ref("totals")
    real, fake = critic(totals["x"], totals["w"]), critic(totals["fake_x"], totals["w"])
    norm = slopes(totals | {"real": totals["x"], "fake": totals["fake_x"]})

    def cross_entropy(domain, logits):
        return -np.mean(np.sum(domain * log_softmax(logits), axis=1))

    close(
        totals["stargan_loss/generator_loss"],
        -fake.mean()
        + 10 * np.abs(totals["x"] - totals["x_back"]).mean()
        + cross_entropy(totals["fake_domain"], totals["fake_logits"]),
    )
    close(
        totals["stargan_loss/discriminator_loss"],
        fake.mean()
        - real.mean()
        + 10 * np.mean((norm - 1) ** 2)
        + cross_entropy(totals["real_domain"], totals["real_logits"]),
    )


# Evaluation


def moments(activations, ddof):
    return activations.mean(axis=0), np.cov(activations, rowvar=False, ddof=ddof)


def frechet(a, b, ddof):
    mean_a, cov_a = moments(a, ddof)
    mean_b, cov_b = moments(b, ddof)
    values, vectors = np.linalg.eigh(cov_a)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_b @ root), 0)).sum()
    return np.sum((mean_a - mean_b) ** 2) + np.trace(cov_a + cov_b) - 2 * cross


def test_frechet_distance_divides_by_n_minus_1(ref):
    evaluation = ref("evaluation")
    a, b = evaluation["a"], evaluation["b"]
    close(evaluation["frechet"], frechet(a, b, ddof=1), 1e-6)
    assert abs(evaluation["frechet"] - frechet(a, b, ddof=0)) > 0.04
    close(evaluation["frechet_mean_only"], np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2))


def test_frechet_distance_of_fewer_samples_than_dimensions(ref):
    evaluation = ref("evaluation")
    close(evaluation["frechet_few"], frechet(evaluation["a"][:4], evaluation["b"][:4], 1), 1e-4)


def test_diagonal_frechet_distance_divides_by_n(ref):
    evaluation = ref("evaluation")
    a, b = evaluation["a"], evaluation["b"]
    values = [
        np.sum((a.mean(0) - b.mean(0)) ** 2 + (a.std(0, ddof=ddof) - b.std(0, ddof=ddof)) ** 2)
        for ddof in (0, 1)
    ]
    close(evaluation["frechet_diagonal_only"], values[0])
    assert abs(evaluation["frechet_diagonal_only"] - values[1]) > 1e-3


def test_classifier_score_has_no_splits(ref):
    evaluation = ref("evaluation")

    def score(logits):
        log_p = log_softmax(logits)
        p = np.exp(log_p)
        return np.exp(np.mean(np.sum(p * (log_p - np.log(p.mean(axis=0))), axis=1)))

    logits = 3 * evaluation["a"]
    close(evaluation["classifier_score"], score(logits))
    in_splits = np.mean([score(part) for part in np.split(logits, 10)])
    assert evaluation["classifier_score"] - in_splits > 0.1


def kernel_distance(x, y):
    def kernel(p, q):
        return (p @ q.T / p.shape[1] + 1) ** 3

    def mean_off_diagonal(k):
        return (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))

    return (
        mean_off_diagonal(kernel(x, x)) + mean_off_diagonal(kernel(y, y)) - 2 * kernel(x, y).mean()
    )


def test_kernel_distance_is_a_mean_over_consecutive_blocks(ref):
    evaluation = ref("evaluation")
    a, b = evaluation["a"], evaluation["b"]
    close(evaluation["kernel"], kernel_distance(a, b), 1e-5)
    assert np.isnan(evaluation["kernel_std"])  # one block: no spread
    # 40 samples in blocks of at most 16: 13, 13, 14, the larger ones last
    estimates = [kernel_distance(a[i:j], b[i:j]) for i, j in ((0, 13), (13, 26), (26, 40))]
    close(evaluation["kernel_blocks_16"], np.mean(estimates), 1e-5)
    close(evaluation["kernel_blocks_16_std"], np.std(estimates, ddof=1) / np.sqrt(3), 1e-5)


def test_image_grids(ref):
    evaluation = ref("evaluation")
    tiles = evaluation["tiles"]
    rows = [np.concatenate(list(tiles[i : i + 3]), axis=1) for i in (0, 3)]
    close(evaluation["image_grid"][0], np.concatenate(rows, axis=0))
    # five images in a nearly square grid of 2 x 3: the missing one is black
    last = [*tiles[3:5], np.zeros_like(tiles[0])]
    rows[1] = np.concatenate(last, axis=1)
    close(evaluation["image_reshaper"][0], np.concatenate(rows, axis=0))


def laplacian_levels(images):
    """The detail of [N, 32, 32, C] images and what is left of them at 16 x 16."""
    taps = np.array([1, 4, 6, 4, 1]) / 16

    def blur(x):
        padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
        columns = sum(t * padded[:, i : i + x.shape[1]] for i, t in enumerate(taps))
        return sum(t * columns[:, :, i : i + x.shape[2]] for i, t in enumerate(taps))

    low = blur(images)[:, ::2, ::2]
    spread = np.zeros_like(images)
    spread[:, ::2, ::2] = low
    return {"32": images - 4 * blur(spread), "16": low}


def test_sliced_wasserstein_normalizes_each_patch_by_itself(ref):
    sliced = ref("sliced_wasserstein")
    real, fake = (laplacian_levels(sliced[name] / 127.5 - 1) for name in ("real", "fake"))

    def patches(level, centers):
        cut = [
            level[i // 4, y - 3 : y + 4, x - 3 : x + 4].ravel()  # 4 patches of each image
            for i, (y, x) in enumerate(centers.T)
        ]
        return np.stack([(p - p.mean()) / p.std() for p in cut])

    for row, size in enumerate(("32", "16")):
        drawn = {
            role: patches(levels[size], sliced[f"centers/{role}_{size}"])
            for role, levels in (("real", real), ("again", real), ("fake", fake))
        }
        for column, other in enumerate(("again", "fake")):
            projection = sliced[f"projection/real_{other}_{size}"]
            projection = projection / np.linalg.norm(projection, axis=0)
            a, b = (np.sort(drawn[role] @ projection, axis=0) for role in ("real", other))
            # neither times 1000 nor normalized over the whole set as in ProGAN
            close(sliced["scores"][row, column], np.abs(a - b).mean(), 1e-5)


# TF-GAN features


def test_virtual_batch_norm_counts_each_sample_as_one_more_of_the_reference(ref):
    features = ref("features")
    x, reference = features["x"], features["reference"]
    gamma, beta = features["gamma"], features["beta"]
    sample_weight = 1 / (len(reference) + 1)

    def blend(function):
        of_sample = function(x).mean(axis=(1, 2), keepdims=True)
        of_reference = function(reference).mean(axis=(0, 1, 2))
        return sample_weight * of_sample + (1 - sample_weight) * of_reference

    mean, square = blend(lambda t: t), blend(np.square)
    close(
        features["virtual_batch_norm"],
        gamma * (x - mean) / np.sqrt(square - mean**2 + 1e-3) + beta,
        1e-5,
    )
    # the reference batch itself is normalized as by batch norm
    mean, variance = reference.mean(axis=(0, 1, 2)), reference.var(axis=(0, 1, 2))
    close(
        features["virtual_batch_norm_of_reference"],
        gamma * (reference - mean) / np.sqrt(variance + 1e-3) + beta,
        1e-5,
    )


def normalize(x, axes, epsilon):
    mean, variance = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon)


def in_groups(x, groups, epsilon):
    grouped = x.reshape(*x.shape[:-1], groups, -1)
    return normalize(grouped, (1, 2, 4), epsilon).reshape(x.shape)


def test_instance_norm_epsilon_is_1e_6_in_tfgan_and_1e_3_in_tfa(ref):
    features, layers = ref("features"), ref("tfa_layers")
    for group, keys, epsilon, other in (
        (features, ("instance_norm", "group_norm"), 1e-6, 1e-3),
        (layers, ("instance_normalization/y", "group_normalization_2/y"), 1e-3, 1e-6),
    ):
        x, gamma, beta = group["x"], group["gamma"], group["beta"]
        for key, function in zip(
            keys,
            (lambda x, e: normalize(x, (1, 2), e), lambda x, e: in_groups(x, 2, e)),
            strict=True,
        ):
            close(group[key], gamma * function(x, epsilon) + beta, 1e-5)
            assert np.abs(group[key] - gamma * function(x, other) - beta).max() > 1e-4


def test_conditional_batch_norm_picks_scale_and_offset_by_label(ref):
    features = ref("features")
    label = features["one_hot"].argmax(axis=1)
    gamma, beta = features["class_gamma"][label], features["class_beta"][label]  # [N, 1, 1, C]
    expected = gamma * normalize(features["x"], (0, 1, 2), 1e-3) + beta
    close(features["conditional_batch_norm"], expected, 1e-5)


def test_clip_variables_clips_each_weight_after_the_step(ref):
    clip = ref("features/clip_variables")
    moved = clip["before"] - 0.5 * clip["gradient"]
    assert np.abs(moved).min() < 0.3 < np.abs(moved).max()
    close(clip["after"], np.clip(moved, -0.3, 0.3))


def test_tensor_pool_stores_every_input_and_returns_some_twice(ref):
    pool = ref("tensor_pool")
    assert list(pool["size_1_always"]) == [0, 0, 1, 2, 3, 4, 5, 6]  # one step late
    returned = pool["size_3"]
    assert list(returned[:3]) == [0, 1, 2]  # as long as the pool is not full
    old = returned[3:] < np.arange(3, len(returned))
    assert 0.4 < old.mean() < 0.6
    # an old one leaves the pool when it is returned
    stored = returned[3:][old]
    assert len(set(stored)) == len(stored)
    # but an input returned at once was stored all the same; CycleGAN's pool drops it
    fresh = returned[3:][~old]
    assert len(set(fresh) & set(stored)) > 10


# Spectral normalization, both packages


def test_tfgan_spectral_norm_iterates_u_on_the_input_side(ref):
    spectral = ref("spectral_norm")
    w, probe = spectral["w"].reshape(-1, 4), spectral["probe"].reshape(-1, 4)  # [18, 4]
    for case, rounds, runs in (("one_round", 1, 3), ("five_rounds", 5, 2)):
        u = spectral["u"]  # [18, 1]
        for run in range(1, runs + 1):
            for _ in range(rounds):
                v = unit(w.T @ u)
                u = unit(w @ v)
            sigma = (u.T @ w @ v).item()
            close(spectral[f"{case}/{run}/sigma"], sigma)
            close(spectral[f"{case}/{run}/u"], u)
            close(spectral[f"{case}/{run}/normalized"].reshape(w.shape), w / sigma)
            gradient = (probe - np.sum(probe * w) / sigma * u @ v.T) / sigma
            close(spectral[f"{case}/{run}/grad_w"].reshape(w.shape), gradient)


def test_tfgan_spectral_norm_gradient_is_orthogonal_to_the_weight(ref):
    spectral = ref("spectral_norm")
    for run in (1, 2, 3):
        gradient = spectral[f"one_round/{run}/grad_w"]
        assert abs(np.sum(gradient * spectral["w"])) < 1e-5 < np.abs(gradient).max()


def test_tfgan_spectral_norm_out_of_training_still_iterates_but_does_not_store(ref):
    spectral = ref("spectral_norm")
    for run in (1, 2):
        assert np.array_equal(spectral[f"not_training/{run}/u"], spectral["u"])
        assert spectral[f"not_training/{run}/sigma"] == spectral["one_round/1/sigma"]


def test_tfgan_spectral_norm_of_at_most_1_leaves_small_weights(ref):
    spectral = ref("spectral_norm")
    close(spectral["at_most_1_small_w/normalized"], 0.01 * spectral["w"])
    close(spectral["at_most_1_small_w/grad_w"], spectral["probe"])


@pytest.mark.parametrize("case", ["dense", "conv"])
def test_tfa_spectral_normalization_overwrites_the_kernel(ref, case):
    arrays = ref(f"tfa_spectral_normalization/{case}")
    first = kernel = arrays["kernel"].reshape(-1, 3)  # [in, out]
    u = arrays["u"]  # [1, out]: on the output side
    for forward in (1, 2, 3):
        v = unit(u @ kernel.T)
        u = unit(v @ kernel)
        kernel = kernel / (v @ kernel @ u.T)
        close(arrays[f"forward_{forward}/u"], u)
        close(arrays[f"forward_{forward}/kernel"].reshape(-1, 3), kernel)
    assert np.linalg.norm(first, 2) > 2  # the scale of the kernel is lost for good
    close(np.linalg.norm(kernel, 2), 1, 0.02)
    assert np.array_equal(arrays["inference/kernel"], arrays["forward_3/kernel"])
    assert np.array_equal(arrays["inference/y"], arrays["forward_3/y"])


def test_tfa_spectral_normalization_gradient_ignores_sigma(ref):
    arrays = ref("tfa_spectral_normalization/dense")
    x, probe = arrays["x"], arrays["probe"]
    for forward in (1, 2, 3):
        kernel = arrays[f"forward_{forward}/kernel"]
        close(arrays[f"forward_{forward}/y"], x @ kernel + arrays["bias"])
        gradient = arrays[f"forward_{forward}/grad_kernel"]
        close(gradient, x.T @ probe)  # as if the normalized kernel were the weight
        assert abs(np.sum(gradient * kernel)) > 0.1  # Miyato's is orthogonal to the weight


# tensorflow-addons layers


def test_maxout_takes_every_other_feature_not_neighbors(ref):
    layers = ref("tfa_layers")
    x = layers["x"]  # 6 features into 2 units of 3 pieces
    close(layers["maxout_2/y"], np.stack([x[..., 0::2].max(-1), x[..., 1::2].max(-1)], axis=-1))
    neighbors = np.stack([x[..., :3].max(-1), x[..., 3:].max(-1)], axis=-1)
    assert np.abs(layers["maxout_2/y"] - neighbors).max() > 0.1


def test_filter_response_normalization_subtracts_no_mean(ref):
    layers = ref("tfa_layers")
    x, gamma, beta = layers["x"], layers["gamma"], layers["beta"]
    square = np.mean(x**2, axis=(1, 2), keepdims=True)
    close(
        layers["filter_response_normalization/y"],
        gamma * x / np.sqrt(square + 1e-6) + beta,
        1e-5,
    )
    # the learned epsilon starts at 1e-4 and is added to the fixed one
    close(
        layers["filter_response_normalization_learned_epsilon/y"],
        gamma * x / np.sqrt(square + 1e-6 + 1e-4) + beta,
        1e-5,
    )


def test_tlu_has_a_threshold_for_each_position(ref):
    layers = ref("tfa_layers")
    x, tau, alpha = layers["x"], layers["tau"], layers["alpha"]
    assert tau.shape == x.shape[1:]  # the paper's tau has one number per channel
    close(layers["tlu/y"], np.maximum(x, tau))
    close(layers["tlu_affine/y"], np.maximum(x, alpha * x + tau))


def test_weight_normalization_starts_from_the_norm_without_data_init(ref):
    arrays = ref("tfa_weight_normalization")
    close(arrays["norm_init/g_after"], np.linalg.norm(arrays["v"], axis=0))
    close(arrays["norm_init/y"], arrays["x"] @ arrays["v"] + arrays["bias"])


def test_weight_normalization_data_init_misses_unit_variance(ref):
    arrays = ref("tfa_weight_normalization")
    x, v = arrays["x"], arrays["v"]
    # scale and mean are measured with the kernel v and its bias, not with v / |v|
    before = x @ v + arrays["bias"]
    scale, norm = 1 / before.std(axis=0), np.linalg.norm(v, axis=0)
    bias = -before.mean(axis=0) * scale
    close(arrays["data_init/g_after"], scale)
    close(arrays["data_init/bias_after"], bias, 1e-5)
    y = arrays["data_init/y"]
    close(y, x @ (v / norm) * scale + bias, 1e-5)
    close(y.std(axis=0), 1 / norm, 1e-5)  # the paper's is 1, with mean 0
    assert np.abs(y.mean(axis=0)).min() > 0.1


# tensorflow-addons optimizers


def sgd_path(arrays):
    w = arrays["w"]
    for _ in range(4):
        w = w - 0.1 * arrays["scale"] * (w - arrays["target"])
        yield w


@pytest.mark.parametrize(
    "case, decays",
    [
        ("moving_average", [0.9, 0.9, 0.9, 0.9]),
        ("moving_average_start_2", [0, 0, 0.9, 0.9]),
        ("moving_average_dynamic", [1 / 10, 2 / 11, 3 / 12, 4 / 13]),
    ],
)
def test_moving_average_starts_at_the_first_weights(ref, case, decays):
    arrays = ref("tfa_optimizers")
    average = arrays["w"]  # before any step, so the first step already averages
    for step, (w, decay) in enumerate(zip(sgd_path(arrays), decays, strict=True)):
        average = decay * average + (1 - decay) * w
        close(arrays[f"{case}/w"][step], w)
        close(arrays[f"{case}/average"][step], average)


def test_lookahead_steps_back_every_second_step(ref):
    arrays = ref("tfa_optimizers")
    w = slow = arrays["w"]
    for step in range(4):
        w = w - 0.1 * arrays["scale"] * (w - arrays["target"])
        if step % 2 == 1:
            w = slow = slow + 0.25 * (w - slow)
        close(arrays["lookahead/w"][step], w)
        close(arrays["lookahead/slow"][step], slow)


def test_adamw_decay_is_not_scaled_by_the_learning_rate(ref):
    arrays = ref("tfa_optimizers")
    w, mean, square = arrays["w"], 0, 0
    for step in range(1, 5):
        gradient = arrays["scale"] * (w - arrays["target"])
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        rate = 0.1 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        w = w - 0.02 * w - rate * mean / (np.sqrt(square) + 1e-7)  # Keras: 0.1 * 0.02 * w
        close(arrays["adamw/w"][step - 1], w, 1e-5)
        close(arrays["adamw/v"][step - 1], square, 1e-5)


# tensorflow-addons images


def gaussian(size, sigma):
    taps = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * sigma**2))
    return taps / taps.sum()


def blur(images, rows, columns, mode):
    half = len(rows) // 2, len(columns) // 2
    padded = np.pad(images, ((0, 0), (half[0],) * 2, (half[1],) * 2, (0, 0)), mode=mode)
    padded = sum(t * padded[:, i : i + images.shape[1]] for i, t in enumerate(rows))
    return sum(t * padded[:, :, i : i + images.shape[2]] for i, t in enumerate(columns))


def test_gaussian_filter_mirrors_and_orders_sigma_as_rows_then_columns(ref):
    image = ref("tfa_image")
    close(
        image["gaussian_filter2d"],
        blur(image["images"], gaussian(3, 1), gaussian(3, 1), "reflect"),
    )
    # its documentation says x, y
    close(
        image["gaussian_filter2d_3x5"],
        blur(image["images"], gaussian(3, 0.5), gaussian(5, 2), "constant"),
    )


def sample(image, rows, columns):
    """Bilinear samples of [H, W, C]; points outside take the value at the border."""
    height, width = image.shape[:2]
    rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    top, left = np.minimum(rows.astype(int), height - 2), np.minimum(columns.astype(int), width - 2)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    upper = (1 - right) * image[top, left] + right * image[top, left + 1]
    lower = (1 - right) * image[top + 1, left] + right * image[top + 1, left + 1]
    return (1 - down) * upper + down * lower


def test_interpolate_bilinear_holds_the_border(ref):
    image = ref("tfa_image")
    points = image["points"]
    assert points.min() < 0 and points[..., 0].max() > 5
    for n in range(2):
        first, second = points[n].T
        close(image["interpolate_bilinear_ij"][n], sample(image["images"][n], first, second), 1e-5)
        close(image["interpolate_bilinear_xy"][n], sample(image["images"][n], second, first), 1e-5)


def test_dense_image_warp_subtracts_the_flow(ref):
    image = ref("tfa_image")
    rows, columns = np.mgrid[0:6, 0:8]
    for n in range(2):
        flow = image["flow"][n]
        expected = sample(image["images"][n], rows - flow[..., 0], columns - flow[..., 1])
        close(image["dense_image_warp/value"][n], expected, 1e-5)
    # the flow has no gradient where its point lies outside
    outside = rows - image["flow"][..., 0] < 0
    assert outside.any()
    assert not image["dense_image_warp/grad_flow"][..., 0][outside].any()


def test_translate_moves_right_and_down_and_fills_with_zeros(ref):
    image = ref("tfa_image")
    first = image["images"][0]  # moved by dx = 2, dy = -1
    expected = np.zeros_like(first)
    expected[:-1, 2:] = first[1:, :-2]
    for key in ("translate_nearest", "translate_bilinear"):
        close(image[key][0], expected)
    assert np.abs(image["translate_nearest"] - image["translate_bilinear"])[1].max() > 0.1


def test_rotate_is_counterclockwise_and_nearest_by_default(ref):
    image = ref("tfa_image")
    square = image["images"][:, :, :6]
    close(image["rotate_quarter"], np.rot90(square, axes=(1, 2)), 1e-5)
    # nearest neighbor makes no new values
    assert np.isin(image["rotate_nearest"], np.append(image["images"], 0)).all()
    assert not np.isin(image["rotate_bilinear"], np.append(image["images"], 0)).all()


def test_transform_maps_output_points_to_input_points(ref):
    image = ref("tfa_image")
    y, x = np.mgrid[0:6, 0:8]
    a0, a1, a2, b0, b1, b2, c0, c1 = image["matrix"]
    k = c0 * x + c1 * y + 1
    columns, rows = (a0 * x + a1 * y + a2) / k, (b0 * x + b1 * y + b2) / k
    inside = (rows >= 0) & (rows <= 5) & (columns >= 0) & (columns <= 7)
    assert 10 < inside.sum() < inside.size
    for n in range(2):
        expected = sample(image["images"][n], rows, columns)
        close(image["transform_bilinear"][n][inside], expected[inside], 1e-4)


def test_cutout_offset_is_the_center_of_the_hole(ref):
    image = ref("tfa_image")
    expected = image["images"].copy()
    for n, (row, column) in enumerate(image["offset"]):
        # 2 high, 4 wide; what lies outside the image is lost
        expected[n, max(row - 1, 0) : row + 1, max(column - 2, 0) : column + 2] = 9
    close(image["cutout"], expected)
