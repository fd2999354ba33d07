"""Writes tfgan_tfa.npz: numbers of the real tensorflow-gan and tensorflow-addons.

Both packages have ended and cannot be imported beside Keras 3, so this script runs in an
environment of its own (Python 3.9 to 3.11), never in that of tfgans:

    make reference                                 compares what they give with the committed file
    .venv-reference/bin/python tests/reference/make.py                         writes it once more

Every function below feeds small seeded inputs to one part of the two packages and returns the
inputs and the results. README.md beside this file says what each key means.
"""

import inspect
import json
import platform
import sys
from collections import namedtuple
from pathlib import Path
from unittest import mock

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa
import tensorflow_gan as tfgan
import tensorflow_probability as tfp

v1 = tf.compat.v1
wargs = tfgan.losses.wargs

# gan_loss asks for inspect.getargspec, which Python 3.11 no longer has.
Arguments = namedtuple("Arguments", "args keywords")


def getargspec(function):
    spec = inspect.getfullargspec(function)
    return Arguments(spec.args, spec.varkw)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def value_and_gradients(function, **inputs):
    """function(**inputs) and the gradient of its sum for each input."""
    inputs = {name: tf.constant(array) for name, array in inputs.items()}
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = function(**inputs)
    gradients = tape.gradient(value, inputs, unconnected_gradients="zero")
    return {"value": value, **{f"grad_{name}": grad for name, grad in gradients.items()}}


def run_graph(build, runs=1, start=None):
    """Fetches the dict build() returns, `runs` times in a row; lists of dicts if runs > 1.

    `start` maps the end of a variable's name to its first value.
    """
    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(0)
        fetches = build()
        session.run(v1.global_variables_initializer())
        for name, array in (start or {}).items():
            (variable,) = [v for v in v1.global_variables() if v.op.name.endswith(name)]
            variable.load(array, session)
        results = [session.run(fetches) for _ in range(runs)]
    return results if runs > 1 else results[0]


def prefixed(prefix, arrays):
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def losses():
    real, fake = normal(1, 5, 2) + 0.5, normal(2, 5, 2) - 0.5
    weights = np.array([[0, 2], [1, 0], [0.5, 1], [3, 1], [0, 1]], "float32")
    real_logits, fake_logits = normal(3, 5, 4), normal(4, 5, 4)
    one_hot = np.eye(4, dtype="float32")[[0, 3, 1, 1, 2]]
    category, code = np.array([0, 2, 1, 1, 0]), normal(5, 5, 2)
    q_logits, q_mean, q_deviation = normal(6, 5, 3), normal(7, 5, 2), 0.5 + normal(8, 5, 2) ** 2
    x, x_back, y, y_back = (normal(seed, 2, 3, 3, 1) for seed in (9, 10, 11, 12))
    out = {
        "real": real,
        "fake": fake,
        "weights": weights,
        "real_logits": real_logits,
        "fake_logits": fake_logits,
        "one_hot": one_hot,
        "category": category,
        "code": code,
        "q_logits": q_logits,
        "q_mean": q_mean,
        "q_deviation": q_deviation,
        "x": x,
        "x_back": x_back,
        "y": y,
        "y_back": y_back,
    }

    def discriminator(name, case="", **options):
        loss = getattr(wargs, name)
        arrays = value_and_gradients(
            lambda real, fake: loss(real, fake, **options), real=real, fake=fake
        )
        out.update(prefixed(name + case, arrays))

    def generator(name, case="", **options):
        loss = getattr(wargs, name)
        arrays = value_and_gradients(lambda fake: loss(fake, **options), fake=fake)
        out.update(prefixed(name + case, arrays))

    for name in ("minimax", "modified"):
        discriminator(f"{name}_discriminator_loss")
        discriminator(f"{name}_discriminator_loss", "_smoothing_0", label_smoothing=0.0)
        generator(f"{name}_generator_loss")
        generator(f"{name}_generator_loss", "_smoothing_0.25", label_smoothing=0.25)
    for name in ("least_squares", "wasserstein", "wasserstein_hinge"):
        discriminator(f"{name}_discriminator_loss")
        generator(f"{name}_generator_loss")
    discriminator(
        "least_squares_discriminator_loss", "_labels_0.9_-1", real_label=0.9, fake_label=-1.0
    )
    generator("least_squares_generator_loss", "_label_0", real_label=0.0)
    discriminator("relativistic_discriminator_loss")
    discriminator("relativistic_generator_loss")  # it sees the real scores too
    generator("wasserstein_generator_loss", "_weights", weights=weights)
    generator("modified_generator_loss", "_weights", weights=weights)

    for case, smoothing in (("", 0.0), ("_smoothing_0.2", 0.2)):
        arrays = value_and_gradients(
            lambda real_logits, fake_logits, smoothing=smoothing: wargs.acgan_discriminator_loss(
                real_logits, fake_logits, tf.constant(one_hot), label_smoothing=smoothing
            ),
            real_logits=real_logits,
            fake_logits=fake_logits,
        )
        out.update(prefixed("acgan_discriminator_loss" + case, arrays))
    arrays = value_and_gradients(
        lambda fake_logits: wargs.acgan_generator_loss(fake_logits, tf.constant(one_hot)),
        fake_logits=fake_logits,
    )
    out.update(prefixed("acgan_generator_loss", arrays))

    def mutual_information(q_logits, q_mean, q_deviation):
        guesses = [
            tfp.distributions.Categorical(logits=q_logits),
            tfp.distributions.Normal(q_mean, q_deviation),
        ]
        return wargs.mutual_information_penalty([category, code], guesses)

    arrays = value_and_gradients(
        mutual_information, q_logits=q_logits, q_mean=q_mean, q_deviation=q_deviation
    )
    out.update(prefixed("mutual_information_penalty", arrays))

    arrays = value_and_gradients(
        lambda x_back, y_back: wargs.cycle_consistency_loss(x, x_back, y, y_back),
        x_back=x_back,
        y_back=y_back,
    )
    out.update(prefixed("cycle_consistency_loss", arrays))
    return out


def critic(x, w):
    """D(x) = sum over units of tanh(flatten(x) w), one score per sample."""
    return tf.reduce_sum(tf.tanh(tf.reshape(x, [-1, w.shape[0]]) @ w), axis=1)


def penalty():
    spread = np.array([0.3, 1, 3, 6], "float32").reshape(4, 1, 1)  # tanh saturates at large x,
    real, fake = spread * normal(20, 4, 3, 2), spread * normal(21, 4, 3, 2)
    w = 0.35 * normal(22, 6, 5)  # so that the gradient norms lie on both sides of 1
    alpha = np.array([0.1, 0.35, 0.6, 0.9], "float32").reshape(4, 1, 1)
    out = {"real": real, "fake": fake, "w": w, "alpha": alpha}
    cases = {
        "default": {},
        "target_2": {"target": 2.0},
        "one_sided": {"one_sided": True},
        "one_sided_target_0.5": {"one_sided": True, "target": 0.5},
        "epsilon_1": {"epsilon": 1.0},
    }
    for case, options in cases.items():

        def build(options=options):
            weights = tf.constant(w)
            with mock.patch.object(tf.random, "uniform", lambda shape: tf.constant(alpha)):
                value = wargs.wasserstein_gradient_penalty(
                    real, fake, None, lambda x, _: critic(x, weights), "critic", **options
                )
            return {"value": value, "grad_w": tf.gradients(value, weights)[0]}

        out.update(prefixed(case, run_graph(build)))
    return out


def totals():
    """Whole losses of a model: what gan_loss, cyclegan_loss and stargan_loss add up."""
    x, fake_x, x_back = normal(30, 4, 6), normal(31, 4, 6), normal(32, 4, 6)
    y, fake_y, y_back = normal(33, 4, 6), normal(34, 4, 6), normal(35, 4, 6)
    w = normal(36, 6, 5)
    alpha = np.array([0.2, 0.4, 0.6, 0.8], "float32").reshape(4, 1)
    real_logits, fake_logits = normal(37, 4, 3), normal(38, 4, 3)
    real_domain, fake_domain = np.eye(3, dtype="float32")[[[0, 1, 2, 0], [1, 2, 0, 0]]]
    out = {
        "x": x,
        "fake_x": fake_x,
        "x_back": x_back,
        "y": y,
        "fake_y": fake_y,
        "y_back": y_back,
        "w": w,
        "alpha": alpha,
        "real_logits": real_logits,
        "fake_logits": fake_logits,
        "real_domain": real_domain,
        "fake_domain": fake_domain,
    }

    def model(inputs, fake, real):
        """fake and real are judged by the critic above; what the losses do not read is None."""
        fields = dict.fromkeys(tfgan.GANModel._fields)
        with v1.variable_scope("critic") as scope:  # empty: w is no variable
            pass
        return tfgan.GANModel(**fields)._replace(
            generator_inputs=tf.constant(inputs),
            real_data=tf.constant(real),
            generated_data=tf.constant(fake),
            discriminator_real_outputs=critic(tf.constant(real), w),
            discriminator_gen_outputs=critic(tf.constant(fake), w),
            discriminator_scope=scope,
            discriminator_fn=lambda x, _: critic(x, w),
        )

    def star_model():
        fields = dict.fromkeys(tfgan.StarGANModel._fields)
        return tfgan.StarGANModel(**fields)._replace(
            input_data=tf.constant(x),
            input_data_domain_label=tf.constant(real_domain),
            generated_data=tf.constant(fake_x),
            generated_data_domain_target=tf.constant(fake_domain),
            reconstructed_data=tf.constant(x_back),
            discriminator_input_data_source_predication=critic(tf.constant(x), w),
            discriminator_generated_data_source_predication=critic(tf.constant(fake_x), w),
            discriminator_input_data_domain_predication=tf.constant(real_logits),
            discriminator_generated_data_domain_predication=tf.constant(fake_logits),
            discriminator_scope="critic",
            discriminator_fn=lambda x, _: (critic(x, w), None),
        )

    def cyclegan():
        cycle = tfgan.CycleGANModel(
            model(x, fake_y, y), model(y, fake_x, x), tf.constant(x_back), tf.constant(y_back)
        )
        loss = tfgan.cyclegan_loss(cycle, add_summaries=False)
        return prefixed("x2y", loss.loss_x2y._asdict()) | prefixed("y2x", loss.loss_y2x._asdict())

    cases = {
        "gan_loss": lambda: tfgan.gan_loss(model(y, fake_x, x), add_summaries=False)._asdict(),
        "gan_loss_penalty_10": lambda: tfgan.gan_loss(
            model(y, fake_x, x), gradient_penalty_weight=10.0, add_summaries=False
        )._asdict(),
        "cyclegan_loss": cyclegan,
        "stargan_loss": lambda: tfgan.stargan_loss(star_model(), add_summaries=False)._asdict(),
    }
    with (
        mock.patch.object(inspect, "getargspec", getargspec, create=True),
        mock.patch.object(tf.random, "uniform", lambda shape: tf.constant(alpha)),
    ):
        for case, build in cases.items():
            out.update(prefixed(case, run_graph(build)))
    return out


def evaluation():
    i, j = np.ogrid[0:40, 0:6]
    a = np.sin(0.7 * i * (j + 1) + j).astype("float32")
    b = (1.3 * np.cos(0.9 * i * (j + 1) + 0.5 * j) + 0.2).astype("float32")
    few = 4  # fewer samples than dimensions
    mean, deviation = tfgan.eval.kernel_classifier_distance_and_std_from_activations(
        tf.constant(a), tf.constant(b)
    )
    block_mean, block_deviation = tfgan.eval.kernel_classifier_distance_and_std_from_activations(
        tf.constant(a), tf.constant(b), max_block_size=16
    )
    tiles = np.arange(24, dtype="float32").reshape(6, 2, 2, 1)
    return {
        "a": a,
        "b": b,
        "classifier_score": tfgan.eval.classifier_score_from_logits(tf.constant(3 * a)),
        "frechet": tfgan.eval.frechet_classifier_distance_from_activations(a, b),
        "frechet_few": tfgan.eval.frechet_classifier_distance_from_activations(a[:few], b[:few]),
        "frechet_mean_only": (
            tfgan.eval.mean_only_frechet_classifier_distance_from_activations(
                tf.constant(a), tf.constant(b)
            )
        ),
        "frechet_diagonal_only": (
            tfgan.eval.diagonal_only_frechet_classifier_distance_from_activations(
                tf.constant(a), tf.constant(b)
            )
        ),
        "kernel": mean,
        "kernel_std": deviation,
        "kernel_blocks_16": block_mean,
        "kernel_blocks_16_std": block_deviation,
        "tiles": tiles,
        "image_grid": tfgan.eval.image_grid(tf.constant(tiles), (2, 3), (2, 2), 1),
        "image_reshaper": tfgan.eval.image_reshaper(tf.constant(tiles[:5])),
    }


def sliced_wasserstein():
    """Two levels (32 and 16 pixels); each random draw is recorded in the order it is made."""
    generator = np.random.default_rng(40)
    real = generator.integers(0, 256, (3, 32, 32, 3), "uint8")
    fake = generator.integers(0, 200, (3, 32, 32, 3), "uint8")
    draws = {"positions": [], "projections": []}
    tf_normal, np_randint = tf.random.normal, np.random.randint

    def record_projection(shape):
        draws["projections"].append(tf_normal(shape))
        return draws["projections"][-1]

    def record_position(low, high, size):
        draws["positions"].append(np_randint(low, high, size))
        return draws["positions"][-1]

    tf.random.set_seed(0)
    np.random.seed(0)
    with (
        mock.patch.object(tf.random, "normal", record_projection),
        mock.patch.object(np.random, "randint", record_position),
    ):
        scores = tfgan.eval.sliced_wasserstein_distance(
            tf.constant(real / 127.5 - 1, tf.float32),
            tf.constant(fake / 127.5 - 1, tf.float32),
            patches_per_image=4,
            random_projection_dim=8,
        )
    # positions come as y, x for: real 32, again 32, real 16, again 16, fake 32, fake 16
    positions = np.stack([p.ravel() for p in draws["positions"]]).reshape(6, 2, 12)
    roles = ("real_32", "again_32", "real_16", "again_16", "fake_32", "fake_16")
    out = {"real": real, "fake": fake, "scores": np.array(scores)}
    for role, centers in zip(roles, positions, strict=True):
        out[f"centers/{role}"] = centers.astype("uint8")
    pairs = ("real_again_32", "real_fake_32", "real_again_16", "real_fake_16")
    for pair, projection in zip(pairs, draws["projections"], strict=True):
        out[f"projection/{pair}"] = projection
    return out


def features():
    x, reference, one_hot = normal(50, 3, 4, 4, 4), normal(51, 5, 4, 4, 4), np.eye(2)[[0, 1, 1]]
    gamma, beta = 1 + 0.3 * normal(52, 4), normal(53, 4)
    class_gamma, class_beta = 1 + 0.3 * normal(54, 2, 1, 1, 4), normal(55, 2, 1, 1, 4)
    out = {
        "x": x,
        "reference": reference,
        "one_hot": one_hot.astype("float32"),
        "gamma": gamma,
        "beta": beta,
        "class_gamma": class_gamma,
        "class_beta": class_beta,
    }
    constant = v1.constant_initializer

    def norms():
        initializers = {"gamma": constant(gamma), "beta": constant(beta)}
        vbn = tfgan.features.VBN(
            tf.constant(reference),
            gamma_initializer=constant(gamma),
            beta_initializer=constant(beta),
        )
        return {
            "virtual_batch_norm": vbn(tf.constant(x)),
            "virtual_batch_norm_of_reference": vbn.reference_batch_normalization(),
            "instance_norm": tfgan.features.instance_norm(x, param_initializers=initializers),
            "group_norm": tfgan.features.group_norm(x, groups=2, param_initializers=initializers),
            "conditional_batch_norm": tfgan.tpu.batch_norm(
                tf.constant(x),
                is_training=True,
                conditional_class_labels=tf.constant(one_hot),
                gamma_initializer=constant(class_gamma),
                beta_initializer=constant(class_beta),
            ),
        }

    out.update(run_graph(norms))

    weights, gradient = normal(56, 3, 3), normal(57, 3, 3)

    def clip():
        variable = v1.get_variable("weights", initializer=weights)
        optimizer = tfgan.features.clip_variables(
            v1.train.GradientDescentOptimizer(0.5), [variable], 0.3
        )
        with tf.control_dependencies(
            [optimizer.apply_gradients([(tf.constant(gradient), variable)])]
        ):
            return {"after": variable.read_value()}

    arrays = run_graph(clip) | {"before": weights, "gradient": gradient}
    out.update(prefixed("clip_variables", arrays))
    return out


def tensor_pool():
    """Feeds 0, 1, 2, ... and records what comes back."""
    cases = {
        "size_3": ({"pool_size": 3}, 300),
        "size_1_always": ({"pool_size": 1, "pooling_probability": 1.0}, 8),
    }
    out = {}
    for case, (options, runs) in cases.items():

        def build(options=options):
            counter = v1.get_variable("counter", initializer=-1)
            value = tfgan.features.tensor_pool(v1.assign_add(counter, 1), **options)
            return {"returned": value}

        out[case] = np.array([run["returned"] for run in run_graph(build, runs)], "int32")
    return out


def spectral_norm():
    """TF-GAN: u lies on the input side of the flattened kernel [kh * kw * in, out]."""
    w, u, probe = normal(60, 3, 3, 2, 4), normal(61, 18, 1), normal(62, 3, 3, 2, 4)
    out = {"w": w, "u": u, "probe": probe}

    def sigma(**options):
        def build():
            value = tfgan.features.compute_spectral_norm(
                v1.get_variable("w", initializer=w), **options
            )
            (u_variable,) = [v for v in v1.global_variables() if v.op.name.endswith("norm_u")]
            with tf.control_dependencies([value]):
                return {"sigma": value, "u": u_variable.read_value()}

        return build

    def normalized(scale=1.0, **options):
        def build():
            kernel = v1.get_variable("w", initializer=scale * w)
            value = tfgan.features.spectral_normalize(kernel, **options)
            gradient = tf.gradients(tf.reduce_sum(probe * value), kernel)[0]
            return {"normalized": value, "grad_w": gradient}

        return build

    start = {"spectral_norm_u": u}
    cases = {
        "one_round": (sigma(), normalized(), 3),
        "five_rounds": (
            sigma(power_iteration_rounds=5),
            normalized(power_iteration_rounds=5),
            2,
        ),
        "not_training": (sigma(training=False), normalized(training=False), 2),
    }
    for case, (of_sigma, of_weight, runs) in cases.items():
        norms, weights = run_graph(of_sigma, runs, start), run_graph(of_weight, runs, start)
        for run in range(runs):
            out.update(prefixed(f"{case}/{run + 1}", norms[run] | weights[run]))
    arrays = run_graph(normalized(scale=0.01, equality_constrained=False), start=start)
    out.update(prefixed("at_most_1_small_w", arrays))
    return out


def layer_outputs(layer, x, probe=None, **options):
    """The output for x and the gradients of sum(probe * output)."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, **options)
        value = tf.reduce_sum(y if probe is None else y * probe)
    grad_x, grad_weights = tape.gradient(value, [x, layer.trainable_weights])
    names = [w.name.split("/")[-1].removesuffix(":0") for w in layer.trainable_weights]
    gradients = dict(zip((f"grad_{name}" for name in names), grad_weights, strict=True))
    return {"y": y, "grad_x": grad_x, **gradients}


def tfa_layers():
    x, probe = normal(70, 3, 4, 4, 6), normal(71, 3, 4, 4, 6)
    gamma, beta = 1 + 0.3 * normal(72, 6), normal(73, 6)
    tau, alpha = 0.3 * normal(74, 4, 4, 6), 0.5 * normal(75, 4, 4, 6)
    out = {
        "x": x,
        "probe": probe,
        "gamma": gamma,
        "beta": beta,
        "tau": tau,
        "alpha": alpha,
    }
    constant = tf.constant_initializer
    affine = {"gamma_initializer": constant(gamma), "beta_initializer": constant(beta)}
    layers = {
        "instance_normalization": tfa.layers.InstanceNormalization(**affine),
        "group_normalization_2": tfa.layers.GroupNormalization(groups=2, **affine),
        "filter_response_normalization": tfa.layers.FilterResponseNormalization(**affine),
        "filter_response_normalization_learned_epsilon": (
            tfa.layers.FilterResponseNormalization(learned_epsilon=True, **affine)
        ),
        "tlu": tfa.layers.TLU(tau_initializer=constant(tau)),
        "tlu_affine": tfa.layers.TLU(
            affine=True, tau_initializer=constant(tau), alpha_initializer=constant(alpha)
        ),
    }
    for name, layer in layers.items():
        out.update(prefixed(name, layer_outputs(layer, x, probe)))
    out["maxout_2/y"] = tfa.layers.Maxout(2)(x)
    out["maxout_2/grad_x"] = value_and_gradients(tfa.layers.Maxout(2), inputs=x)["grad_inputs"]
    return out


def tfa_spectral_normalization():
    cases = {
        "dense": (tf.keras.layers.Dense(3), normal(80, 5, 4), (5, 3)),
        "conv": (tf.keras.layers.Conv2D(3, 3), normal(81, 2, 5, 5, 2), (2, 3, 3, 3)),
    }
    out = {}
    for case, (inner, x, output_shape) in cases.items():
        layer = tfa.layers.SpectralNormalization(inner)
        layer.build(x.shape)
        inner.kernel.assign(normal(82, *inner.kernel.shape))
        inner.bias.assign([0.1, -0.2, 0.3])
        layer.u.assign(normal(83, 1, 3))
        probe = normal(84, *output_shape)
        arrays = {
            "x": x,
            "probe": probe,
            "kernel": inner.kernel.numpy(),
            "bias": inner.bias.numpy(),
            "u": layer.u.numpy(),
        }
        for forward in range(3):
            step = layer_outputs(layer, x, probe, training=True)
            step |= {"kernel": inner.kernel.numpy(), "u": layer.u.numpy()}
            arrays.update(prefixed(f"forward_{forward + 1}", step))
        arrays["inference/y"] = layer(x, training=False)
        arrays["inference/kernel"] = inner.kernel.numpy()
        out.update(prefixed(case, arrays))
    return out


def tfa_weight_normalization():
    x, v, probe = 2 + normal(90, 6, 4), normal(91, 4, 3), normal(92, 6, 3)
    bias = np.array([0.5, -1.0, 2.0], "float32")
    out = {"x": x, "v": v, "bias": bias, "probe": probe}
    for case, data_init in (("data_init", True), ("norm_init", False)):
        inner = tf.keras.layers.Dense(
            3,
            kernel_initializer=tf.constant_initializer(v),
            bias_initializer=tf.constant_initializer(bias),
        )
        layer = tfa.layers.WeightNormalization(inner, data_init=data_init)
        arrays = layer_outputs(layer, x, probe)
        arrays |= {"g_after": layer.g, "bias_after": inner.bias, "v_after": layer.v}
        out.update(prefixed(case, arrays))
    return out


def tfa_optimizers():
    """Four steps down f(w) = sum(scale * (w - target)^2) / 2, rate 0.1."""
    w, target = normal(100, 4), normal(101, 4)
    scale = np.array([1, 2, 4, 8], "float32")
    out = {"w": w, "target": target, "scale": scale}

    def average(**options):
        sgd = tf.keras.optimizers.legacy.SGD(0.1)
        return tfa.optimizers.MovingAverage(sgd, average_decay=0.9, **options)

    lookahead = tfa.optimizers.Lookahead(
        tf.keras.optimizers.legacy.SGD(0.1), sync_period=2, slow_step_size=0.25
    )
    optimizers = {
        "moving_average": (average(), "average"),
        "moving_average_start_2": (average(start_step=2), "average"),
        "moving_average_dynamic": (average(dynamic_decay=True), "average"),
        "lookahead": (lookahead, "slow"),
        "adamw": (tfa.optimizers.AdamW(weight_decay=0.02, learning_rate=0.1), "v"),
    }
    for case, (optimizer, slot) in optimizers.items():
        variable = tf.Variable(w)
        weights, slots = [], []
        for _ in range(4):
            optimizer.apply_gradients([(scale * (variable - target), variable)])
            weights.append(variable.numpy())
            slots.append(optimizer.get_slot(variable, slot).numpy())
        out.update(prefixed(case, {"w": np.stack(weights), slot: np.stack(slots)}))
    return out


def tfa_image():
    images, flow = normal(110, 2, 6, 8, 2), 1.5 * normal(111, 2, 6, 8, 2)
    points = np.random.default_rng(112).uniform(-1, 8, (2, 5, 2)).astype("float32")
    angles = np.array([0.5, -1.2], "float32")
    shifts = np.array([[2, -1], [-0.5, 1.25]], "float32")  # dx, dy
    matrix = np.array([0.9, 0.2, 0.5, -0.1, 1.1, 0.3, 0.01, 0.02], "float32")
    offset = np.array([[1, 2], [5, 7]], "int32")  # row, column of the hole's center
    out = {
        "images": images,
        "flow": flow,
        "points": points,
        "angles": angles,
        "shifts": shifts,
        "matrix": matrix,
        "offset": offset,
        "gaussian_filter2d": tfa.image.gaussian_filter2d(images),
        "gaussian_filter2d_3x5": tfa.image.gaussian_filter2d(
            images, filter_shape=(3, 5), sigma=(0.5, 2.0), padding="CONSTANT"
        ),
        "interpolate_bilinear_ij": tfa.image.interpolate_bilinear(images, points),
        "interpolate_bilinear_xy": tfa.image.interpolate_bilinear(images, points, indexing="xy"),
        "translate_nearest": tfa.image.translate(images, shifts),
        "translate_bilinear": tfa.image.translate(images, shifts, "bilinear"),
        "translate_reflect": tfa.image.translate(images, shifts, "bilinear", "reflect"),
        "rotate_nearest": tfa.image.rotate(images, angles),
        "rotate_bilinear": tfa.image.rotate(images, angles, "bilinear"),
        "rotate_quarter": tfa.image.rotate(images[:, :, :6], np.pi / 2, "bilinear"),
        "transform_bilinear": tfa.image.transform(images, matrix, "bilinear"),
        "cutout": tfa.image.cutout(images, (2, 4), offset, constant_values=9),
    }
    warp = value_and_gradients(tfa.image.dense_image_warp, image=images, flow=flow)
    return out | prefixed("dense_image_warp", warp)


def main():
    tf.config.experimental.enable_op_determinism()
    tf.random.set_seed(0)
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    for package in (tf, tfa, tfgan, tfp):
        versions[package.__name__] = package.__version__
    arrays = {"meta": np.array(json.dumps(versions))}
    for group in (
        losses,
        penalty,
        totals,
        evaluation,
        sliced_wasserstein,
        features,
        tensor_pool,
        spectral_norm,
        tfa_layers,
        tfa_spectral_normalization,
        tfa_weight_normalization,
        tfa_optimizers,
        tfa_image,
    ):
        arrays.update(prefixed(group.__name__, group()))
    path = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent / "tfgan_tfa.npz"
    np.savez_compressed(path, **{name: np.asarray(array) for name, array in arrays.items()})
    print(f"{path.name}: {len(arrays)} arrays, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
