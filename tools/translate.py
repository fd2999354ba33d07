"""Translates images with a trained model: `python tools/translate.py pix2pix drawings/`.

It writes a PNG for each image, with the input and the result side by side; sub-folders are kept. A
broken image is reported and left out. Images are cropped and resized as in training, and a line
says so; a model that takes any size, such as SRGAN, gets them as they are.

A film becomes a film of the same kind, without the input: a GIF of several frames, an MP4 (with its
sound; it needs the package imageio-ffmpeg), or with --film a folder of frames. The temporal error
is printed: how much more the output changes from frame to frame than the input (data/films.py).

A model of label maps, such as GauGAN, gets files of class numbers (docs/data.md), --instances with
files of the same names if it takes them, and --style with a photograph if the endpoint takes one.

A model of films that hands something on from frame to frame, such as CoVST, gets a film: its frames
are read, translated and written one after the other, so it may have any length.
A model of films of label maps, such as vid2vid, gets a folder of such files, those of one film in
the order of their numbers, and --first with a film that begins as the wanted one, if the model does
not make the first frames. It writes a GIF, or with --film a folder of frames. Maps are read and
frames written one by one, so a film may have any length.

A model of speech, such as SEGAN, gets WAV files and writes one for each, of 16 bits and one channel
at its own rate. They are read and written in parts, so they may be of any length.

A model of pairs may be given the files it was trained on, with both images of a pair side by side:
--half left or --half right is the half to translate (left for data.direction a_to_b).

A model of several domains, such as ComboGAN, gets their numbers: --from 0 --to 2.

--hidden also tells what the translations of a model with two directions hide for the way back: it
prints the error of the way there and back, without and with noise or JPEG in between, and writes
a picture of all these, OUT-hidden.png.
"""

import argparse
import itertools
import pathlib
import time

import _start  # noqa: F401
import numpy as np
import tensorflow as tf

from tfgans import images, models, use
from tfgans.data import BrokenImage, films, label_maps
from tfgans.data.audio import sounds
from tfgans.data.files import FolderImages, names_to_write
from tfgans.data.images import prepared
from tfgans.data.label_maps import read_maps
from tfgans.data.paired import Half
from tfgans.data.waves import BrokenSound, WaveFile, write_wave
from tfgans.errors import BadInput, as_typed, command, nearest, quoted, run_tool, seed, whole
from tfgans.metrics import hidden

SHOWN = 8  # rows of the picture of hidden details
DURATION = 100  # milliseconds of a frame of a film of label maps
INPUTS = {  # of endpoints that this tool offers: the main one -> all that may stand beside it
    "image": {"image", "seed", "source", "target"},
    "map": {"map", "instances", "style", "seed"},
}


def arguments():
    parser = argparse.ArgumentParser(description=as_typed(__doc__))
    parser.add_argument("model", help="a release, or a path to a release, run or .keras file")
    parser.add_argument(
        "path", help="an image, a folder of images, or a film; a WAV file, or a folder of them"
    )
    parser.add_argument(
        "--endpoint", default="serving_default", help="endpoint of the model, such as b_to_a"
    )
    parser.add_argument("--seed", type=seed, help="seed of the noise, if the model has noise")
    for option, word, what in (("--from", "source", "images"), ("--to", "target", "results")):
        parser.add_argument(
            option, dest=word, type=whole(0), metavar="K", help=f"number of the {what}' domain"
        )
    parser.add_argument(
        "--half", choices=("left", "right", "whole"), help="half of each image that is translated"
    )
    parser.add_argument("--film", action="store_true", help="the folder holds a film's frames")
    parser.add_argument("--instances", metavar="PATH", help="a number for each object, as files")
    parser.add_argument("--style", metavar="FILE", help="a photograph that gives the style")
    parser.add_argument("--first", metavar="FILM", help="a film that begins as the wanted one")
    parser.add_argument("--single", action="store_true", help="write only the result")
    parser.add_argument(
        "--hidden", action="store_true", help="measure what translations hide for the way back"
    )
    parser.add_argument("--out", default="translated", metavar="DIR", help="default: translated")
    return parser


def main():
    args = arguments().parse_args()

    model, path = models.load(args.model), pathlib.Path(args.path).expanduser()
    if model.data_kind == "audio":
        enhance_sounds(model, path, args)
        return
    if model.data_kind == "video" and "num_labels" in model.get_config():
        make_film(model, path, args)
        return
    if args.first:
        raise BadInput(f"--first is for films of label maps, not for {type(model).__name__}.")
    if hasattr(model, "stream"):
        translate_film(model, path, args)
        return
    maps = model.data_kind == "label_maps"
    main_input = "map" if maps else "image"
    named = {
        name: (function, {spec.name: spec for spec in signature})
        for name, (function, signature) in model.endpoints().items()
    }
    offered = {
        name: way
        for name, way in named.items()
        if main_input in way[1] and way[1].keys() <= INPUTS[main_input]
    }
    endpoint = args.endpoint
    if args.seed is not None and endpoint == "serving_default" and "translate" in offered:
        endpoint = "translate"
    if endpoint not in offered:
        kind = f"endpoint of {type(model).__name__} that translates images"
        raise BadInput(model.absent.get(endpoint) or nearest(kind, endpoint, offered))
    function, wanted = offered[endpoint]
    if args.seed is not None and "seed" not in wanted:
        raise BadInput(f"{type(model).__name__} has no noise: leave --seed out.")
    domains = {"source": args.source, "target": args.target}
    given = {word for word, number in domains.items() if number is not None}
    if given != domains.keys() & wanted.keys():
        needs = "needs" if "source" in wanted else "does not take"
        raise BadInput(f"{endpoint} of {type(model).__name__} {needs} --from and --to.")
    if not path.exists():
        raise FileNotFoundError(f"There is no {path}.")
    if maps:
        translate_maps(model, function, wanted, args)
        return
    if args.instances or args.style:
        raise BadInput(f"{type(model).__name__} takes images alone: leave the other inputs out.")
    film = films.open_film(path) if args.film or films.is_film(path) else None
    if film and args.hidden:
        raise BadInput(f"{path} is a film, and --hidden is for images: leave it out.")
    source = images_given = film or FolderImages(path, every=True)
    out, shape = pathlib.Path(args.out), tuple(wanted["image"].shape[1:])
    if args.half in ("left", "right"):
        source = Half(source, source.read, right=args.half == "right")
    elif model.data_kind == "paired" and args.half is None:
        refuse_pairs(source, shape)

    def answer(before):
        given = {"image": before, "seed": tf.constant(args.seed or 0, "int64")}
        given |= {word: tf.constant([k]) for word, k in domains.items() if word in wanted}
        found = function(*(given[word] for word in wanted))
        if "image" not in found:
            raise BadInput(
                f"{endpoint} of {type(model).__name__} gives no images but {', '.join(found)}: "
                f"{command('use')} {quoted(args.model)} {endpoint} image=..."
            )
        return found["image"].numpy()

    results = ((i, image, answer(image[None])[0]) for i, image in prepared(source, shape))
    if film:
        error = films.TemporalError()
        written = film.save(measured(results, error), out)
        print(f"Written: {error.frames} of {len(film)} frames to {written}. {error}")
        return
    names, written, kept = names_to_write(images_given.names), 0, []
    for i, before, after in results:
        picture = after[None] if args.single else side_by_side(before, after)
        file = out / f"{names[i]}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        images.save_grid(picture, file)
        written += 1
        if args.hidden:
            kept.append(before)
    print(f"Written: {written} of {len(source)} images to {out}")
    if args.hidden:
        direction = None if endpoint == "serving_default" else endpoint
        errors, seen = hidden.of_model(model, np.stack(kept), direction)
        images.save_grid(seen[:SHOWN], file := out.with_name(f"{out.name}-hidden.png"))
        print(f"{hidden.described(errors)} Picture: {file}")


def refuse(args, words, reason):
    """Raises BadInput with the reason, in which {} is the word, where one of the words is given."""
    for word in words:
        if getattr(args, word):
            raise BadInput(reason.format(word))


def translate_film(model, path, args):
    """Writes the film that a model makes of another one, frame after frame.

    Args:
        model: A model of films with `stream`.
        path: A film, see `films.open_film`.
        args: The words of the command line.
    """
    words = "half", "instances", "style", "hidden", "single"
    refuse(args, words, f"{type(model).__name__} takes films alone: leave --{{}} out.")
    if args.endpoint not in ("serving_default", "per_frame"):
        kind = f"endpoint of {type(model).__name__}"
        raise BadInput(nearest(kind, args.endpoint, model.endpoints()))
    if not path.exists():
        raise FileNotFoundError(f"There is no {path}.")
    film, waiting = films.open_film(path), []
    before = prepared(film, (None, None, model.image_shape[2]))

    def frames():
        for i, image in before:
            waiting.append((i, image))
            yield image

    steady = args.endpoint == "serving_default"
    made = model.stream(frames(), steady)
    results = ((*waiting.pop(), image) for image in made)
    error = films.TemporalError()
    written = film.save(measured(results, error), pathlib.Path(args.out))
    print(f"Written: {error.frames} of {len(film)} frames to {written}. {error}")


def enhance_sounds(model, path, args):
    """Writes an enhanced WAV file for each one; broken ones are reported and left out.

    Args:
        model: A model of speech.
        path: A WAV file, or a folder of them.
        args: The words of the command line.
    """
    words = "half", "film", "instances", "style", "single", "hidden"
    refuse(args, words, f"--{{}} is for images, and {type(model).__name__} takes sounds.")
    if args.endpoint not in ("serving_default", "enhance"):
        kind = f"endpoint of {type(model).__name__}"
        raise BadInput(nearest(kind, args.endpoint, model.endpoints()))
    (root, names), out, written = sounds(path), pathlib.Path(args.out), 0
    for name, stem in zip(names, names_to_write(names), strict=True):
        began = time.time()
        try:
            sound = WaveFile(root / name, model.rate)
            file = out / f"{stem}.wav"
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.exists() and file.samefile(root / name):
                raise BadInput(f"{file} would be written over itself: choose another --out.")
            write_wave(file, model.stream(sound.read, sound.length, args.seed or 0), model.rate)
        except BrokenSound as error:
            print(f"skipped broken sound {error}")
            continue
        written += 1
        length = sound.length / model.rate
        resampled = f", {sound.own_rate} Hz resampled to {model.rate}"
        print(
            f"{file}: {length:.1f} s in {time.time() - began:.1f} s"
            + (resampled if sound.own_rate != model.rate else "")
        )
    if not written:
        raise BadInput(f"All {len(names)} sounds of {path} are broken.")
    print(f"Written: {written} of {len(names)} sounds to {out}")


def translate_maps(model, function, wanted, args):
    """Writes photographs of label maps, each beside its map in colors, or as the frames of a film.

    Args:
        model: A model of label maps.
        function: Its endpoint.
        wanted: Name -> TensorSpec of the endpoint's inputs.
        args: The words of the command line.
    """
    for word in ("instances", "style"):
        if (word in wanted) != bool(getattr(args, word)):
            needs = "takes" if word in wanted else "does not take"
            raise BadInput(f"{args.endpoint} of {type(model).__name__} {needs} --{word}.")
    if args.hidden or args.half:
        raise BadInput("--hidden and --half are for images, not for label maps: leave them out.")
    size, out = wanted["map"].shape[1:], pathlib.Path(args.out)
    names, labels = read_maps(args.path, size, model)
    given = {"map": labels, "seed": tf.constant(args.seed or 0, "int64")}
    if "instances" in wanted:
        others, given["instances"] = read_maps(args.instances, size)
        if list(map(label_maps.stem_of, others)) != list(map(label_maps.stem_of, names)):
            raise BadInput(f"{args.instances} has no file of the same name for each label map.")
    if "style" in wanted:
        style = use.read_images(args.style, wanted["style"].shape[1:], [])
        if len(style) > 1:
            raise BadInput(f"--style is one photograph, and {args.style} holds {len(style)}.")
        given["style"] = np.repeat(style, len(labels), axis=0)
    order = sorted(range(len(names)), key=lambda i: films.by_numbers(names[i]))
    files, error = names_to_write(names), films.TemporalError()
    for i in order:
        row = [given[word] if word == "seed" else given[word][i : i + 1] for word in wanted]
        after = function(*row)["image"].numpy()
        before = label_maps.in_colors(labels[i : i + 1], model.channels, model.legend)
        if args.film:
            error.add(before[0], after[0])
        file = out / f"{files[i]}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        images.save_grid(after if args.single or args.film else images.table(before, after), file)
    print(f"Written: {len(names)} images to {out}." + (f" {error}" if args.film else ""))


def make_film(model, path, args):
    """Writes a film of a folder of label maps, and prints its temporal error.

    Args:
        model: A model of films of label maps.
        path: The folder.
        args: The words of the command line.
    """
    words = "half", "instances", "style", "single", "hidden"
    refuse(args, words, f"{type(model).__name__} makes films of label maps: leave --{{}} out.")
    if args.first is None and not model.own_first:
        raise BadInput(
            f"This {type(model).__name__} does not make the first frames: --first FILM is a film, "
            "or a folder of frames, that begins as the wanted one."
        )
    first = None
    if args.first is not None:
        _, signature = model.endpoints()["generate"]
        (spec,) = (spec for spec in signature if spec.name == "first")
        first = use.read_film(args.first, spec.shape[1:], [])
    names, maps = label_maps.open_maps(path, model.image_shape[:2], model, films.by_numbers)
    maps, shown = itertools.tee(maps)  # each map twice
    out, error = pathlib.Path(args.out), films.TemporalError()

    def frames():
        for labels, after in zip(shown, model.stream(maps, first), strict=True):
            error.add(label_maps.in_colors(labels, model.classes, model.legend), after)
            yield images.to_uint8(after)

    if args.film:
        for name, frame in zip(names_to_write(names), frames(), strict=True):
            file = out / f"{name}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            images.picture(frame).save(file)
    else:
        out.mkdir(parents=True, exist_ok=True)
        out = out / f"{path.stem}.gif"
        images.stream_gif(((images.picture(x), DURATION) for x in frames()), out)
    print(f"Written: {error.frames} frames to {out}. {error}")


def measured(results, error):
    """Yields the index and the result, uint8, of each frame, and adds it to the temporal error."""
    for i, before, after in results:
        error.add(before, after)
        yield i, images.to_uint8(after)


def side_by_side(before, after):
    """An image and its translation as a table of one row."""
    before, after = before[None], after[None]
    if before.shape[1:3] != after.shape[1:3]:
        before = tf.image.resize(before, after.shape[1:3], "bicubic").numpy()
    return images.table(before, after)


def refuse_pairs(source, shape):
    """Raises BadInput if an image seems to be two, that is, is twice as wide as the model's."""
    height, width = shape[:2]
    for i in range(len(source)):
        try:
            h, w = source.header(i)[:2]
        except BrokenImage:
            continue
        if abs(w * height - 2 * h * width) <= max(height, h):  # up to rounding
            raise BadInput(
                f"{source.describe(i)} is {h}x{w}, as wide as two images of the model ({height}x"
                f"{width}). If it is a pair, choose the input: --half left or --half right. "
                "If it is one image, --half whole crops it."
            )


if __name__ == "__main__":
    run_tool(main)
