"""All that is to be measured on a GPU, in a quarter of an hour: `python benchmarks/gpu.py`.

python benchmarks/gpu.py [--minutes 14] [--json FILE] [--only WORDS] [--beside N] [--tiny]
                         [--official CHECKOUT [--torch PYTHON]]

The items run in the order of `ITEMS`, the most important ones first, each in a process of its own
with a limit of time, so that a failure ends one item. Before `--minutes` are over the last ones are
stopped. FILE gets a line of JSON for each figure as it is found; a table ends the run.

N items (default: a fourth of the cores) warm up side by side, because tracing and compiling take
most of the time; then each waits for its turn, and is timed while the others stand still. So N
items share the memory of the GPU.

--official times NVIDIA's code too, from a checkout of its stylegan3 repository, which holds
StyleGAN2 (its license is non-commercial), with the PyTorch of `--torch` (default python3). On a
current PyTorch that code needs a module `pkg_resources` with `parse_version`, and its
`custom_ops.py` must keep the module that `torch.utils.cpp_extension.load` returns.
--tiny is for trying this script on a CPU: the same items, small.
"""

import argparse
import fcntl
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # processes share the GPU

HERE = pathlib.Path(__file__).resolve().parent
REFERENCE = HERE.parent / "tests" / "models" / "test_stylegan2_reference.py"
REPEATS = 10
CLUSTERS = "--tf_xla_auto_jit=2"  # TensorFlow itself finds what XLA is to compile
UNTUNED = "--xla_gpu_autotune_level=0"  # XLA times no algorithms: it is ready earlier
# Compiled code and chosen algorithms of this run.
KEPT = pathlib.Path(tempfile.gettempdir(), f"tfgans-{os.getpid()}")
XLA = {
    "TFGANS_MACHINE": "xla",
    "TF_XLA_FLAGS": f"--tf_xla_persistent_cache_directory={KEPT}/compiled",
    "XLA_FLAGS": f"--xla_gpu_per_fusion_autotune_cache_dir={KEPT}/chosen",
}
MODELS = ("pix2pix", "cyclegan", "sngan", "progan", "wgan_gp")
PATTERNS = {"both": 0, "plain": 1, "path": 4}  # a step's number decides what is due
HALF = "mixed_float16"
LEVELS = [(32, 256, 64), (32, 128, 128), (32, 64, 256), (32, 32, 512)]  # images, side, channels


# Each measurement prints its figures by `say`. It imports TensorFlow, the driver does not.


def say(**figures):
    print(json.dumps(figures), flush=True)


def warm():
    """Marks this item as warm, or as one that nobody waits for; returns the folder of the wave."""
    folder = pathlib.Path(os.environ["GPU_WAVE"])
    (folder / f"warm-{os.getpid()}").touch()
    return folder


def turn():
    """Returns when all items of the wave are warm, or late, and it is this one's turn.

    The turn ends with the process.
    """
    folder = warm()
    while time.time() < float(os.environ["GPU_WAVE_END"]):
        if len(list(folder.glob("warm-*"))) >= int(os.environ["GPU_WAVE_SIZE"]):
            break
        time.sleep(0.1)
    turn.lock = open(folder / "lock", "w")
    fcntl.flock(turn.lock, fcntl.LOCK_EX)


def seconds(function, repeats=REPEATS):
    """The mean time of a call; the results of the last one are waited for, once."""
    import numpy as np
    import tensorflow as tf

    start = time.perf_counter()
    for _ in range(repeats):
        found = function()
    last = [np.asarray(tensor) for tensor in tf.nest.flatten(found)]
    taken = (time.perf_counter() - start) / repeats
    assert all(np.isfinite(part.astype("float32")).all() for part in last), "not finite"
    return taken


def memory():
    """The peak of the GPU's memory in this process in GiB, or None."""
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        return None
    return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**30


def train(name, changes, tiny):
    """Steps of a configuration in its last stage: images/s, share of the peak, memory."""
    from models import Steps, operations
    from stylegan2 import peak

    from tfgans.config import Config

    small = ["data.batch_size=4", "train.steps=20"]
    settings = Config.load(
        name, "tiny" if tiny else None, ["data.path=synthetic", *changes, *(small if tiny else [])]
    )
    start = time.perf_counter()
    steps = Steps(settings)
    traced = time.perf_counter() - start
    calls = {p: functools.partial(steps.graphs[p], steps.batch) for p in steps.patterns}
    first = {pattern: seconds(call, 1) for pattern, call in calls.items()}
    turn()
    times = {pattern: seconds(call, 1) and seconds(call) for pattern, call in calls.items()}
    mean = steps.mean(times)
    work = steps.mean({p: operations(steps.graphs[p].graph) for p in calls})
    number = steps.model.dtype_policy.compute_dtype
    best = peak(number, 512 if tiny else 8192)
    say(
        images_s=steps.examples / mean,
        share_of_peak=work / mean / best,
        peak_T=best / 1e12,
        memory_GiB=memory(),
        first_step_s=traced / len(steps.graphs) + max(first.values()),
        **{f"ms_{word}": 1000 * times[p] for word, p in named(steps.model, times).items()},
    )


def course(tiny):
    """A training that begins while XLA compiles: its first step, the change, its speeds, memory."""
    import threading

    import numpy as np
    import tensorflow as tf

    from tfgans import data, training
    from tfgans.config import Config

    changes = ["data.path=synthetic", f"train.precision={HALF}", *stylegan2(256, 32, tiny)]
    settings = Config.load("stylegan2", "tiny" if tiny else None, changes)
    source, begin = training.resolve(settings), time.perf_counter()
    model = training.build(settings)
    batch = next(iter(data.batches(model, source, settings.data, 0, stage=0)))
    step, batches = model.make_train_function(), iter(tf.data.Dataset.from_tensors(batch).repeat())
    turn()

    def rate(periods):
        start = time.perf_counter()
        for _ in range(periods * model.period):
            np.array(list(step(batches).values()))  # waits for the end
        return periods * model.period * settings.data.batch_size / (time.perf_counter() - start)

    start = time.perf_counter()
    np.array(list(step(batches).values()))
    first, before = time.perf_counter() - start, 0.0
    rate(1)  # meets all kinds of steps
    while any("_rehearse" in thread.name for thread in threading.enumerate()):
        before = rate(1)
    changed = time.perf_counter() - start
    rate(1)  # the graphs of the whole steps are prepared
    say(
        built_s=start - begin,
        first_step_s=first,
        changed_s=changed,
        images_s_before=before,
        images_s=rate(2),
        memory_GiB=memory(),
    )


def named(model, times):
    """Word -> pattern: the three kinds of StyleGAN2's steps by name, others by their number."""
    if type(model).__name__ != "StyleGAN2":
        return {str(k): pattern for k, pattern in enumerate(times)}
    return {word: model.pattern(number) for word, number in PATTERNS.items()}


def stylegan2(size, batch, tiny):
    """Changes to configuration F: the setting in which the official code was timed."""
    changes = ["model.conv_clamp=256", f"data.batch_size={batch}"]
    if not tiny:
        base = max(16384, size * 32)
        changes += [f"model.image_shape=[{size},{size},3]", f"model.channel_base={base}"]
    return changes


def infer(exported, tiny):
    """Images/s of StyleGAN2 at 256x256, from Keras or from exports, plain and under XLA."""
    import keras
    import tensorflow as tf

    from tfgans import training
    from tfgans.config import Config
    from tfgans.ops import machine

    changes = [*stylegan2(256, 32, tiny), f"train.precision={HALF}"]
    settings = Config.load("stylegan2", "tiny" if tiny else None, changes)
    keras.config.set_dtype_policy(settings.train.precision)
    model = training.build(settings)
    batches = {n: tf.random.normal([n, model.latent_dim]) for n in (1, 8, 32)}

    def served(kind):
        with tempfile.TemporaryDirectory() as folder:
            model.export(folder, machine=kind)
            endpoint = tf.saved_model.load(folder).signatures["serving_default"]
        return lambda z: endpoint(z=z, truncation=tf.ones([len(z)]))

    if exported:
        ways = {kind: served(kind) for kind in ("cpu", "gpu")}
    else:
        ways = {"plain": tf.function(model.call, autograph=False)}
        ways["xla"] = machine.whole(model.call, batches[1])[0]
    calls = {(way, n): functools.partial(ways[way], z) for way in ways for n, z in batches.items()}
    first = {key: seconds(call, 1) for key, call in calls.items()}
    turn()
    for (way, n), call in calls.items():
        seconds(call, 2)
        taken = seconds(call, 2 * REPEATS)
        say(way=way, batch=n, images_s=n / taken, ms=1000 * taken, first_s=first[way, n])


# FIR filters of doubled images: [N, H, W, C], padded by (2, 1, 2, 1).


def depthwise(x):
    """As the package does it: one depthwise convolution."""
    from tfgans.ops.resample import fir_kernel, upfirdn

    return upfirdn(x, fir_kernel(gain=4.0), padding=(2, 1, 2, 1))


def filters():
    """Name -> form of the filter. All give the same images."""
    import numpy as np
    import tensorflow as tf

    from tfgans.ops.resample import BINOMIAL, fir_kernel

    kernel = fir_kernel(gain=4.0)
    taps = np.array(BINOMIAL, "float32") * 2.0 / sum(BINOMIAL)
    around = [[0, 0], [2, 1], [2, 1], [0, 0]]

    def planes(x):
        """A convolution of one channel for each plane."""
        n, height, width, channels = x.shape
        x = tf.pad(tf.transpose(x, [0, 3, 1, 2]), [around[k] for k in (0, 3, 1, 2)])
        x = tf.reshape(x, [n * channels, height + 3, width + 3, 1])
        y = tf.nn.conv2d(x, tf.constant(kernel[:, :, None, None], x.dtype), 1, "VALID")
        return tf.transpose(tf.reshape(y, [n, channels, height, width]), [0, 2, 3, 1])

    def full(x):
        """An ordinary convolution between all channels, mostly of zeros."""
        weights = kernel[:, :, None, None] * np.eye(x.shape[3], dtype="float32")
        return tf.nn.conv2d(tf.pad(x, around), tf.constant(weights, x.dtype), 1, "VALID")

    def slices(x):
        """Sums of shifted slices, along rows and then along columns."""
        height, width = x.shape[1:3]
        x = tf.pad(x, around)
        x = sum(tf.cast(t, x.dtype) * x[:, k : k + height] for k, t in enumerate(taps))
        return sum(tf.cast(t, x.dtype) * x[:, :, k : k + width] for k, t in enumerate(taps))

    found = {"depthwise": depthwise, "planes": planes, "full": full, "slices": slices}
    found["slices, XLA"] = tf.function(slices, jit_compile=True, autograph=False)
    return found


def with_gradient(function):
    """A compiled function: tensors -> the value and the gradient of its squares."""
    import tensorflow as tf

    def both(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            y = function(*tensors)
            total = tf.reduce_sum(tf.square(tf.cast(y, "float32")))
        return y, *tape.gradient(total, tensors)

    return tf.function(both, autograph=False)


def fir(tiny):
    """Forms of the FIR filter, forward and backward; they must be equal before they are timed."""
    import numpy as np
    import tensorflow as tf

    x = tf.random.stateless_normal([2, 8, 8, 5], [0, 0])
    wanted = with_gradient(depthwise)(x)
    for name, form in filters().items():
        for found, value in zip(with_gradient(form)(x), wanted, strict=True):
            np.testing.assert_allclose(found, value, rtol=1e-4, atol=2e-3, err_msg=name)
    sizes = [(2, 16, 8)] if tiny else LEVELS
    calls = {}
    for number in ("float16", "bfloat16", "float32"):
        for n, side, channels in sizes:
            x = tf.cast(tf.random.stateless_normal([n, side, side, channels], [0, 0]), number)
            x *= tf.cast(1e-2, number)
            for name, form in filters().items():
                call = functools.partial(with_gradient(form), x)
                seconds(call, 1)
                calls[number, side, name] = call
    turn()
    for (number, side, name), call in calls.items():
        say(number=number, side=side, form=name, ms=1000 * seconds(call))


def layouts(tiny):
    """Convolutions of StyleGAN2's sizes with both gradients, NHWC against NCHW."""
    import tensorflow as tf

    sizes = [(2, 8, 8)] if tiny else LEVELS
    calls = {}
    for number in ("float16", "bfloat16", "float32"):
        for n, side, channels in sizes:
            kernel = tf.cast(tf.random.normal([3, 3, channels, channels]) * 0.01, number)
            for layout in ("NHWC", "NCHW"):
                shape = [n, side, side, channels] if layout == "NHWC" else [n, channels, side, side]
                x = tf.cast(tf.random.normal(shape) * 0.01, number)

                def conv(x, kernel, layout=layout):
                    return tf.nn.conv2d(x, kernel, 1, "SAME", data_format=layout)

                call = functools.partial(with_gradient(conv), x, kernel)
                try:
                    seconds(call, 1)
                    calls[number, side, layout] = call
                except tf.errors.OpError as error:  # a CPU lacks some
                    say(number=number, side=side, layout=layout, lacks=type(error).__name__)
    turn()
    for (number, side, layout), call in calls.items():
        say(number=number, side=side, layout=layout, ms=1000 * seconds(call))


def reference(tiny):
    """StyleGAN2 against the official numbers of the repository, without TF32."""
    command = [sys.executable, "-m", "pytest", REFERENCE, "-q", "-p", "no:cacheprovider"]
    command += ["-m", "not slow", *(["-k", "upfirdn"] if tiny else [])]
    environment = os.environ | {"NVIDIA_TF32_OVERRIDE": "0"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    turn()
    say(passed=done.returncode == 0, result=done.stdout.strip().splitlines()[-1])


def official(checkout, torch, half, size, batch, tiny):
    """NVIDIA's code at the same sizes, by `official.py`."""
    answers, write = os.pipe()
    process = subprocess.Popen(
        [torch, HERE / "official.py", str(write), checkout],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=[write], text=True,
    )  # fmt: skip
    os.close(write)
    answers = os.fdopen(answers)

    def ask(**command):
        process.stdin.write(json.dumps(command) + "\n")
        process.stdin.flush()
        return float(answers.readline())

    base = 64 if tiny else max(16384, size * 32)
    size = 16 if tiny else size
    ask(build=[size, 8 if tiny else 512, base // size, batch], half=half)
    first = {pattern: ask(train=pattern) for pattern in PATTERNS}
    ask(train="both")
    turn()
    times = {}
    for pattern in PATTERNS:
        times[pattern] = ask(train=pattern, repeats=REPEATS) / REPEATS
    mean = (times["both"] + 3 * times["path"] + 12 * times["plain"]) / 16
    say(
        images_s=batch / mean,
        memory_GiB=ask(memory=True) / 2**30,
        first_step_s=max(first.values()),
        **{f"ms_{pattern}": 1000 * taken for pattern, taken in times.items()},
    )
    for n in (1, 8, 32):
        ask(infer=n)
        taken = ask(infer=n, repeats=2 * REPEATS) / (2 * REPEATS)
        say(way="official", batch=n, images_s=n / taken, ms=1000 * taken)


def steps_of(precision, size=256, batch=32, **environment):
    """An item: steps of StyleGAN2 in one setting."""

    def item(args):
        changes = [*stylegan2(size, batch, args.tiny), f"train.precision={precision}"]
        train("stylegan2", changes, args.tiny)

    return item, environment


def model_of(name, **environment):
    return (lambda args: train(name, [], args.tiny)), environment


def official_of(half, size, batch):
    def item(args):
        official(args.official, args.torch, half, size, batch, args.tiny)

    return item, {}


# Name -> (function of the arguments, environment), the most important ones first.
ITEMS = {
    "reference": (lambda args: reference(args.tiny), {}),
    "stylegan2 float16": steps_of(HALF, TFGANS_MACHINE="gpu"),
    "official float16": official_of(True, 256, 32),
    "stylegan2 float16 xla": steps_of(HALF, **XLA),
    "stylegan2 float16 plain": steps_of(HALF, TFGANS_MACHINE="plain"),
    "training": (lambda args: course(args.tiny), XLA),
    "inference": (lambda args: infer(False, args.tiny), {"TFGANS_MACHINE": "gpu"}),
    "exported": (lambda args: infer(True, args.tiny), {"TFGANS_MACHINE": "gpu"}),
    "stylegan2 bfloat16": steps_of("mixed_bfloat16", TFGANS_MACHINE="gpu"),
    "stylegan2 bfloat16 xla": steps_of("mixed_bfloat16", **XLA),
    "stylegan2 float32": steps_of("float32", TFGANS_MACHINE="gpu"),
    "official float32": official_of(False, 256, 32),
    "fir": (lambda args: fir(args.tiny), {}),
    "layouts": (lambda args: layouts(args.tiny), {}),
    "stylegan2 1024": steps_of(HALF, 1024, 8, TFGANS_MACHINE="gpu"),
    "official 1024": official_of(True, 1024, 8),
    "stylegan2 float16 again": steps_of(HALF, **XLA),  # finds what was compiled
    "stylegan2 float16 untuned": steps_of(HALF, TFGANS_MACHINE="xla", XLA_FLAGS=UNTUNED),
    "stylegan2 float32 xla": steps_of("float32", **XLA),
    "stylegan2 1024 xla": steps_of(HALF, 1024, 8, **XLA),
    "stylegan2 float16 clusters": steps_of(HALF, TFGANS_MACHINE="plain", TF_XLA_FLAGS=CLUSTERS),
    "stylegan2 float32 plain": steps_of("float32", TFGANS_MACHINE="plain"),
    **{name: model_of(name) for name in MODELS},
    **{f"{name} xla": model_of(name, **XLA) for name in MODELS},
}
LIMIT = 300  # seconds of an item; one of a full wave waits for its turn


def wave(names, args, end):
    """Runs items side by side; returns their figures, and a word for each one that failed."""
    rows, running = [], {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GPU_WAVE"], os.environ["GPU_WAVE_SIZE"] = folder, str(len(names))
        limit = min(end, time.time() + LIMIT)
        os.environ["GPU_WAVE_END"] = str(time.time() + 0.7 * (limit - time.time()))
        for name in names:
            command = [sys.executable, __file__, "--item", name, *sys.argv[1:]]
            log = open(pathlib.Path(folder) / f"{len(running)}.log", "w+")
            environment = os.environ | ITEMS[name][1]
            running[name] = (
                log,
                subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
                ),
            )
        for name, (log, process) in running.items():
            try:
                text, _ = process.communicate(timeout=max(limit - time.time(), 0.1))
                word = "" if process.returncode == 0 else f"ended with {process.returncode}"
            except subprocess.TimeoutExpired:
                process.kill()
                text, word = process.communicate()[0], "out of time"
            if word:
                log.seek(0)
                word += ": " + (log.read().strip() or "no message").splitlines()[-1][:200]
            lines = [line for line in text.splitlines() if line.startswith("{")]
            rows += [{"item": name, **json.loads(line)} for line in lines]
            rows += [{"item": name, "failed": word}] if word else []
    return rows


def line_of(row):
    """One line of the table."""
    cells = []
    for key, value in row.items():
        if key != "item" and value is not None:
            cells.append(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}")
    return f"{row['item']:24} " + ", ".join(cells)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--minutes", type=float, default=14, help="when the run must end (default 14)")
    add("--only", nargs="+", choices=ITEMS, metavar="ITEM", help="these: " + "; ".join(ITEMS))
    beside = max(1, os.cpu_count() // 4)
    add("--beside", type=int, default=beside, metavar="N", help="items that warm up at once")
    add("--official", metavar="CHECKOUT", help="a folder of NVIDIA's stylegan3")
    add("--torch", metavar="PYTHON", default="python3", help="a Python with PyTorch")
    add("--tiny", action="store_true", help="small sizes, to try the script")
    add("--json", metavar="FILE", type=pathlib.Path, help="gets a line for each figure")
    add("--item", choices=ITEMS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.item:
        try:
            ITEMS[args.item][0](args)
        finally:
            warm()
        return
    end, rows = time.time() + 60 * args.minutes, []
    names = [name for name in args.only or ITEMS if args.official or "official" not in name]
    while names and time.time() < end:
        now, names = names[: args.beside], names[args.beside :]
        for row in wave(now, args, end):
            rows.append(row)
            print(line_of(row), flush=True)
            if args.json:
                with args.json.open("a") as file:
                    file.write(json.dumps(row) + "\n")
    shutil.rmtree(KEPT, ignore_errors=True)
    import record

    print(f"\n{record.machine()}; left out for want of time: {', '.join(names) or 'nothing'}")
    for row in rows:
        print(line_of(row))
    sys.exit(any("failed" in row for row in rows))


if __name__ == "__main__":
    main()
