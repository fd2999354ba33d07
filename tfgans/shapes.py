"""The resolutions of networks that halve an image, or double a small grid, several times."""

from tfgans.errors import BadInput


def halvings(image_shape, least=4, fewest=0) -> int:
    """Counts the halvings until the shorter side of an image has `least` to 2 `least` - 1 pixels.

    Args:
        image_shape: (height, width, channels).
        least: Minimum of the shorter side of the coarsest grid, in pixels.
        fewest: Minimum number of halvings.

    Raises:
        BadInput: The image is too small, or a side cannot be halved that often.
    """

    def count(side):
        return max((side // least).bit_length() - 1, fewest)

    shorter = min(image_shape[:2])
    times = count(shorter)
    # Rounded up, the shorter side may have one halving more, and the longer side must have it too.
    near = max(round(shorter / 2**times), least) * 2**times
    check(image_shape, times, least, near_unit=2 ** count(near))
    return times


def halved(image_shape, times, least=1) -> tuple:
    """The grid (rows, columns) that a number of halvings leaves, where a generator starts.

    Args:
        image_shape: (height, width, channels).
        times: Number of halvings.
        least: Minimum of the shorter side of the grid, in pixels.

    Raises:
        BadInput: The image is too small, or a side cannot be halved that often.
    """
    check(image_shape, times, least, near_unit=2**times)
    return image_shape[0] >> times, image_shape[1] >> times


def check(image_shape, times, least, near_unit):
    """Refuses an image that cannot be halved `times` times; names a multiple of `near_unit`."""
    rows, columns, channels = image_shape
    unit = 2**times
    small = min(rows, columns) < least * unit
    if small or rows % unit or columns % unit:
        wanted = f"at least {least * unit} pixels" if small else f"multiples of {unit}"
        near = [max(round(side / near_unit), least) * near_unit for side in (rows, columns)]
        raise BadInput(
            f"Both sides of the images must be {wanted}, not {rows}x{columns}: the networks halve "
            f"them, or double a small grid, {times} times. The nearest size is "
            f"{near[0]}x{near[1]}: --set 'model.image_shape={[*near, channels]}' crops and "
            "resizes the images to it."
        )
