"""Trains a model: `python tools/train.py stylegan2 --data ~/photos`.

Without --data it runs the configuration's demo, which takes minutes on two cores. The same command
continues a stopped run.
"""

import argparse

import _start  # noqa: F401

from tfgans import catalog, config, models, storage, training, use
from tfgans.errors import BadInput, again, as_typed, command, quoted, run_tool
from tfgans.ops import machine
from tfgans.strategy import STRATEGIES, is_chief


def arguments():
    parser = argparse.ArgumentParser(description=as_typed(__doc__))
    parser.add_argument("name", nargs="?", help="a name from --list, or a .yaml file")
    parser.add_argument("--list", action="store_true", help="list models and configurations")
    parser.add_argument("--data", metavar="PATH", help=f"images; see `{command('data')} check`")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], dest="changes")
    parser.add_argument("--run", metavar="DIR", help="folder of the run (default: runs/NAME)")
    parser.add_argument("--demo", action="store_true", help="use the small setting")
    parser.add_argument("--tiny", action="store_true", help="run for seconds, as a test")
    parser.add_argument("--dry-run", action="store_true", help="print settings and sizes only")
    parser.add_argument("--strategy", choices=STRATEGIES, default="auto", help="see docs/scale.md")
    parser.add_argument("--force", action="store_true", help="continue a run with changed settings")
    return parser


def main():
    args = arguments().parse_args()
    if args.list or not args.name:
        print(catalog.catalog())
        return 0

    section = "tiny" if args.tiny else "demo" if args.demo else None
    if args.data == "":
        raise BadInput("--data is empty: give the path of the images.")
    settings = config.Config.load(args.name, section, args.changes)
    if args.data is None and settings.data.path is None:
        section = "demo"
        settings = config.Config.load(args.name, section, args.changes)
    settings.data.path = args.data or settings.data.path  # the path as it is, not as YAML
    name = config.find(args.name).stem
    if section:
        print(
            f"Running the {section} of {name}, a small setting. The full one: "
            f"{command('train')} {quoted(args.name)} --data PATH"
        )
    else:
        print(f"Running {name} in full. For a small setting add --demo.")
    print(machine.describe())
    if args.dry_run:
        print(catalog.describe(settings))
        return 0

    run = args.run or f"runs/{name}" + (f"-{section}" if section else "")
    if not training.train(settings, run, args.force, args.strategy):
        print(f"Stopped; everything is saved in {run}. To go on: {again()}")
        return 130
    if not is_chief():
        return 0
    model = models.load(run)
    folder = storage.release(model, name)
    served = quoted(f"saved_models/{name}:/models/{name}")
    print(
        f"Pictures and curves: {run}. Exported: {folder}. To use it:\n"
        f"  {use.command(model, name)}\n"
        f'  docker run -p 8501:8501 -v "$PWD"/{served} '
        f"-e MODEL_NAME={quoted(name)} tensorflow/serving"
    )
    return 0


if __name__ == "__main__":
    run_tool(main)
