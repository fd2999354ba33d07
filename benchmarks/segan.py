"""Enhanced speech: `python benchmarks/segan.py RUN [--data DIR] [--out segan]`.

Utterances that no training has heard, or the pairs of a folder, are enhanced by a run's model.
Printed for each ratio of speech to noise, before and after, in dB: SI-SDR and segmental SNR
(`tfgans/metrics/speech.py`). Then two numbers of the borders between windows, each beside that of
all samples: the step of the enhanced wave across a border, which is great where there is a click,
and the error within 2 ms of it. `--overlap` is the number of samples in which neighboring windows
fade into each other.

OUT.png shows spectrograms of a few utterances, noisy, enhanced and clean, and OUT-noisy-0.wav,
OUT-enhanced-0.wav and OUT-clean-0.wav are the sounds of utterance 0, and so on.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402

from tfgans import images, models  # noqa: E402
from tfgans.data.audio import open_speech  # noqa: E402
from tfgans.data.speech import DECIBELS, TEST_DECIBELS, SyntheticSpeech  # noqa: E402
from tfgans.data.waves import write_wave  # noqa: E402
from tfgans.metrics.speech import segmental_snr, si_sdr  # noqa: E402
from tfgans.previews import spectrograms  # noqa: E402

FIRST = 2**20  # number of an utterance beyond those of training
SECONDS = 2
NEAR = 0.002  # seconds from a border


def at_borders(wave, clean, hop, rate):
    """Mean step across borders and of all; mean squared error near borders and of all."""
    steps, errors = np.abs(np.diff(wave)), np.square(wave - clean)
    places = np.arange(hop, len(wave) - NEAR * rate, hop).astype(int)
    near = places[:, None] + np.arange(-int(NEAR * rate), int(NEAR * rate))
    return steps[places - 1].mean(), steps.mean(), errors[near].mean(), errors.mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="folder of a run of segan, or name of a release")
    parser.add_argument("--data", help="folders clean and noisy; synthetic speech without it")
    parser.add_argument("--sounds", type=int, default=32, help="number of utterances, at most")
    parser.add_argument("--shown", type=int, nargs="+", default=[8, 11], help="in the picture")
    parser.add_argument(
        "--test-ratios", action="store_true", help="ratios of the paper's test, not of training"
    )
    parser.add_argument("--overlap", type=int, help="default: model.overlap")
    parser.add_argument("--out", default="segan", help="beginning of the names of the files")
    given = parser.parse_args()
    model = models.load(given.run)
    model.overlap = model.overlap if given.overlap is None else given.overlap
    if given.data:
        source = open_speech(given.data, model.rate)
    else:
        ratios = TEST_DECIBELS if given.test_ratios else DECIBELS
        length = SECONDS * model.rate
        source = SyntheticSpeech(model.rate, length, FIRST, given.sounds, ratios)
    found, borders, rows = {}, [], []
    for i in range(min(given.sounds, len(source))):
        length = int(source.lengths[i])
        noisy, clean = source.read(i, 0, length)
        enhanced = model.enhance(noisy[None]).numpy()[0]
        group = "given" if given.data else f"{source.decibels_of(i):g} dB, {source.kind(i)}"
        measured = [
            measure(wave)
            for measure in (
                lambda wave, clean=clean: si_sdr(wave, clean),
                lambda wave, clean=clean: segmental_snr(wave, clean, model.rate),
            )
            for wave in (noisy, enhanced)
        ]
        found.setdefault(group, []).append(measured)
        borders.append(at_borders(enhanced, clean, model.hop, model.rate))
        if i in given.shown:
            waves = {"noisy": noisy, "enhanced": enhanced, "clean": clean}
            rows.append(spectrograms(np.stack([*waves.values()]), model.rate))
            for name, wave in waves.items():
                write_wave(f"{given.out}-{name}-{i}.wav", [wave], model.rate)
    print(f"{sum(map(len, found.values()))} utterances        SI-SDR, after   segmental, after")
    found["all"] = [row for rows in found.values() for row in rows]
    for group, measured in found.items():
        print(f"{group:>16}  " + " ".join(f"{x:8.2f}" for x in np.mean(measured, axis=0)))
    step, steps, error, errors = np.mean(borders, axis=0)
    print(
        f"At borders: step {step / steps:.2f}, error {np.sqrt(error / errors):.2f} of all samples"
    )
    images.save_grid(np.stack(rows), f"{given.out}.png")
    print(f"Written: {given.out}.png, and the sounds beside it")


if __name__ == "__main__":
    main()
