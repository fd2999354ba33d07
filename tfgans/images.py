"""Writes images in [-1, 1] to files: single images, grids, tables and videos."""

import itertools
import pathlib

import numpy as np
from PIL import GifImagePlugin, Image

from tfgans.errors import BadInput


def to_uint8(images) -> np.ndarray:
    """Maps images in [-1, 1] to 0..255 as StyleGAN's code: 127.5 x + 128, clipped and truncated."""
    return np.clip(np.asarray(images, "float32") * 127.5 + 128.0, 0.0, 255.0).astype("uint8")


def grid(images, columns: int | None = None, gap: int = 0) -> np.ndarray:
    """Puts images side by side, row by row.

    Args:
        images: [n, H, W, C] in [-1, 1], or a table [rows, columns, H, W, C].
        columns: Images per row; the default makes the grid nearly square.
        gap: White pixels between images.

    Returns:
        uint8 [rows * H, columns * W, C] plus gaps. Empty places are white.
    """
    images = to_uint8(images)
    if images.ndim == 5:
        columns = images.shape[1]
        images = images.reshape(-1, *images.shape[2:])
    n, height, width, channels = images.shape
    columns = columns or int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    sheet = np.full(
        [rows * (height + gap) - gap, columns * (width + gap) - gap, channels], 255, "uint8"
    )
    for i, image in enumerate(images):
        y, x = i // columns * (height + gap), i % columns * (width + gap)
        sheet[y : y + height, x : x + width] = image
    return sheet


def table(*columns) -> np.ndarray:
    """Puts lists of images side by side as the columns of a table, which `grid` takes.

    Args:
        columns: [rows, H, W, C] each. Gray images are repeated to the number of channels of the
            others; images with more than four channels show the first three.

    Returns:
        [rows, columns, H, W, C].
    """
    columns = [np.asarray(c if c.shape[-1] <= 4 else c[..., :3]) for c in columns]
    channels = max(c.shape[-1] for c in columns)
    columns = [np.repeat(c, channels, axis=-1) if c.shape[-1] == 1 else c for c in columns]
    return np.stack(columns, axis=1)


def rows(*lists, columns: int = 8) -> np.ndarray:
    """Puts lists of images below each other: a row of each list, then the next row of each.

    Args:
        lists: [n, H, W, C] each, with n a multiple of `columns`.
        columns: Images per row.

    Returns:
        [n times the number of lists, H, W, C], for a grid with this number of columns.
    """
    parts = range(0, len(lists[0]), columns)
    return np.concatenate([images[k : k + columns] for k in parts for images in lists])


def of_flow(flow) -> np.ndarray:
    """Flows as pictures: the hue is the direction, and the saturation the length.

    Args:
        flow: [..., H, W, 2] in pixels, the horizontal part first.

    Returns:
        [..., H, W, 3] in [-1, 1]: white where nothing moves, full colors for the longest way.
    """
    u, v = np.moveaxis(np.asarray(flow, "float32"), -1, 0)
    length = np.hypot(u, v)[..., None]
    sixth = np.arctan2(v, u)[..., None] * 3.0 / np.pi  # of the circle of hues
    hue = np.clip(np.abs((sixth + (0.0, 4.0, 2.0)) % 6.0 - 3.0) - 1.0, 0.0, 1.0)
    return 1.0 - 2.0 * length / max(length.max(), 1.0) * (1.0 - hue)


def picture(image) -> Image.Image:
    """Makes a PIL image of uint8 [H, W, C]: gray, gray with alpha, RGB or RGBA.

    Images with more channels show the first three.
    """
    image = np.asarray(image)
    channels = image.shape[2]
    if channels == 1:
        return Image.fromarray(image[:, :, 0])
    return Image.fromarray(image if channels in (2, 3, 4) else image[:, :, :3])


def on_checkers(image: Image.Image, side: int = 8) -> Image.Image:
    """Composites an image with alpha on a gray checkerboard."""
    if image.mode not in ("LA", "RGBA"):
        return image
    y, x = np.mgrid[: image.height, : image.width] // side
    board = np.where((y + x) % 2, 204, 255).astype("uint8")
    board = Image.fromarray(board).convert("RGBA")
    return Image.alpha_composite(board, image.convert("RGBA")).convert("RGB")


def save_grid(images, path, columns: int | None = None) -> None:
    """Writes a grid of images in [-1, 1] as a PNG file.

    Args:
        images: [N, H, W, C] in [-1, 1], or what else `grid` takes.
        path: Path of the file.
        columns: Images in a row; None for a grid as square as possible.
    """
    on_checkers(picture(grid(images, columns))).save(path)


def save_video(frames, path, rate: int = 24) -> None:
    """Writes images as an animation; the suffix of the path gives the format.

    Args:
        frames: [n, H, W, C] in [-1, 1].
        path: Path of a .gif or an .mp4. An MP4 needs the package imageio-ffmpeg, and even sides:
            a last odd row or column is cut.
        rate: Images per second. A GIF rounds durations to hundredths of a second.

    Raises:
        BadInput: The suffix is another, or imageio-ffmpeg is not installed.
    """
    suffix = pathlib.Path(path).suffix
    if suffix == ".gif":
        write_gif(pictures(to_uint8(frames)), path, rate)
    elif suffix == ".mp4":
        write_mp4(pictures(to_uint8(frames)), path, rate)
    else:
        raise BadInput(f"A video must be a .gif or an .mp4, not {path}.")


def pictures(frames) -> list:
    """RGB pictures of PIL of uint8 [n, H, W, C]; alpha is composited on a checkerboard."""
    return [on_checkers(picture(frame)).convert("RGB") for frame in frames]


def write_gif(pictures, file, rate):
    """Writes RGB pictures of one size as an animated GIF that never ends.

    Args:
        pictures: PIL images.
        file: Path, or a binary file.
        rate: Images per second; durations are rounded to hundredths of a second.
    """
    first, *rest = pictures
    duration = round(1000 / rate)
    first.save(file, "GIF", save_all=True, append_images=rest, duration=duration, loop=0)


def stream_gif(frames, file, loop=0):
    """Writes pictures as they come: a GIF of any length in the memory of one picture.

    Each has 256 colors of its own, and none is left out, so the file is larger than that of
    `write_gif`.

    Args:
        frames: Iterable of pairs: a PIL image, all of one size, and for how many milliseconds it
            is seen, in tens.
        file: Path.
        loop: Number of repetitions: 0 without end, None for none.

    Returns:
        The number of pictures.
    """
    count, header = 0, {"duration": 1} | ({} if loop is None else {"loop": loop})
    with open(file, "wb") as out:
        for picture, duration in frames:
            image = on_checkers(picture).convert("RGB").quantize(256)
            if not count:
                parts, _ = GifImagePlugin.getheader(image, info=header)
                out.write(b"".join(parts))
            about = {"duration": duration, "include_color_table": True}
            out.write(b"".join(GifImagePlugin.getdata(image, **about)))
            count += 1
        out.write(b";")
    return count


def write_mp4(pictures, path, rate, sound=None):
    """Writes RGB pictures of one size as H.264, in the pixel format that all players support.

    Args:
        pictures: PIL images, a list or an iterator.
        path: Path of the .mp4; a last odd row or column is cut.
        rate: Images per second.
        sound: Path of a film whose sound is copied, or None.
    """
    pictures = iter(pictures)
    first = next(pictures)
    width, height = (side // 2 * 2 for side in first.size)
    options = {"audio_path": str(sound), "audio_codec": "copy"} if sound else {}
    writer = ffmpeg(f"Writing {path}", "A .gif needs no package.").write_frames(
        str(path), (width, height), fps=rate, macro_block_size=2, **options
    )
    writer.send(None)  # starts ffmpeg
    try:
        for image in itertools.chain([first], pictures):
            writer.send(image.convert("RGB").crop((0, 0, width, height)).tobytes())
    finally:
        writer.close()


def ffmpeg(purpose, instead):
    """The package imageio-ffmpeg. Raises BadInput, with the purpose, where it is not installed."""
    try:
        import imageio_ffmpeg
    except ImportError:
        raise BadInput(
            f"{purpose} needs the package imageio-ffmpeg, which contains ffmpeg: "
            f'pip install "tfgans[video]". {instead}'
        ) from None
    return imageio_ffmpeg
