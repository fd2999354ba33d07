"""Opens a trained model as a page in the browser: `python tools/app.py stylegan2-fashion`.

The page offers all that the model can do, with controls for its inputs. For a run it also shows
curves and samples, while it trains. It listens to this machine alone; --host 0.0.0.0 lets in
everybody who reaches this machine, without a password.
"""

import argparse
import os

import _start  # noqa: F401

from tfgans.errors import BadInput, as_typed, run_tool, whole


def arguments():
    parser = argparse.ArgumentParser(description=as_typed(__doc__))
    add = parser.add_argument
    add("model", help="a release, or a path to a release, run or .keras file")
    add("--edits", metavar="FILE", help="YAML file of edits, for sliders (tools/edit.py)")
    add("--host", default="127.0.0.1", help="address to listen to (default 127.0.0.1)")
    add("--port", type=whole(1, 65535), help="default: the first free one from 7860 on")
    return parser


def main():
    args = arguments().parse_args()
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio  # noqa: F401
    except ImportError:
        raise BadInput('The page needs Gradio: pip install "tfgans[app]"') from None
    from tfgans.app.page import serve

    serve(args.model, args.host, args.port, args.edits)


if __name__ == "__main__":
    run_tool(main)
