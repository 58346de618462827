"""All kinds of image files become uint8 images of one size, or give a one-line message."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tf_biggan.data.schemes import open_source
from tf_biggan.evaluation.features.image_sets import (
    ArrayImages,
    PilResized,
    SourceImages,
    open_images,
)

SIDE = 12


@pytest.fixture(scope="module")
def colour():
    """Returns a smooth picture, which JPEG changes little."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    pixels = [12 * rows + 40, 9 * columns + 60, 6 * (rows + columns) + 50]
    return np.stack(pixels, axis=-1).astype(np.uint8)


def pixels_of(path, channels=3, **arguments):
    images = open_images(str(path), None, channels, **arguments)
    return np.concatenate(list(images.batches(2)))


def save(tmp_path, name, image, **arguments):
    image.save(tmp_path / name, **arguments)
    return tmp_path


def kinds_of_files(colour):
    """Yields (name, image, arguments of `save`, expected pixels)."""
    grey = np.repeat(colour[..., :1], 3, axis=-1)
    palette = Image.fromarray(colour).quantize(32)
    alpha = np.concatenate([colour, np.full((SIDE, SIDE, 1), 7, np.uint8)], axis=-1)
    moving = dict(save_all=True, append_images=[Image.fromarray(255 - colour)])
    wide = Image.fromarray(colour[..., 0].astype(np.uint16) * 257)
    return [
        ("alpha.png", Image.fromarray(alpha), {}, colour),
        ("animated.png", Image.fromarray(colour), moving, colour),
        ("cmyk.jpg", Image.fromarray(colour).convert("CMYK"), dict(quality=98), colour),
        ("grey.png", Image.fromarray(colour[..., 0]), {}, grey),
        ("palette.png", palette, {}, np.asarray(palette.convert("RGB"))),
        ("sixteen_bits.png", wide, {}, grey),
    ]


def test_every_kind_of_file_gives_its_pixels(tmp_path, colour):
    kinds = kinds_of_files(colour)
    for name, image, arguments, _ in kinds:
        save(tmp_path, name, image, **arguments)
    made = pixels_of(tmp_path)
    for (name, _, _, expected), actual in zip(kinds, made, strict=True):
        # JPEG is lossy. The first frame of an animated PNG counts.
        difference = np.abs(actual.astype(int) - expected).max()
        assert difference <= (6 if name.endswith(".jpg") else 0), name
    (tmp_path / "cmyk.jpg").unlink()
    np.testing.assert_array_equal(pixels_of(tmp_path, channels=1)[2], colour[..., :1])


def test_a_gif_is_no_image(tmp_path, colour):
    path = save(tmp_path, "moving.gif", Image.fromarray(colour))
    with pytest.raises(
        ValueError, match=r"holds neither images \(\.bmp, \.jfif, .*holds='1 \.gif'"
    ):
        pixels_of(path)


@pytest.mark.parametrize("kept", [0, 20, 300], ids=["empty", "header only", "cut off"])
def test_a_corrupt_image_is_named(tmp_path, kept):
    noise = np.random.RandomState(0).randint(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    save(tmp_path, "a.png", Image.fromarray(noise))
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "b.png").write_bytes(content[:kept])
    with pytest.raises(ValueError, match=r"b\.png.* must be a complete JPEG"):
        pixels_of(tmp_path)


def test_an_empty_folder_and_none_at_all(tmp_path):
    with pytest.raises(ValueError, match="holds neither images"):
        pixels_of(tmp_path)
    with pytest.raises(ValueError, match="path of images does not exist"):
        pixels_of(tmp_path / "nowhere")


def test_mixed_sizes_are_refused_unless_a_size_is_given(tmp_path, colour):
    save(tmp_path, "a.png", Image.fromarray(colour))
    save(tmp_path, "b.png", Image.fromarray(colour[:8]))
    with pytest.raises(ValueError, match=r"differ in size; give --resolution.*12x12.*8x12"):
        pixels_of(tmp_path)
    images = open_images(str(tmp_path), (8, 8), 3)
    assert np.concatenate(list(images.batches(5))).shape == (2, 8, 8, 3)


def test_a_folder_of_classes_has_labels(tmp_path, colour):
    for name in ("cat", "ant"):
        (tmp_path / name).mkdir()
        save(tmp_path / name, "1.png", Image.fromarray(colour))
    images = open_images(str(tmp_path), None, 3)
    assert images.class_names == ("ant", "cat") and images.labels.tolist() == [0, 1]
    assert images.image_shape == (SIDE, SIDE, 3)


def test_fewer_images_lie_evenly_over_the_source():
    digits = open_source("digits")
    images = SourceImages(digits, (8, 8), 1, count=10)
    np.testing.assert_array_equal(images.labels, digits.labels[np.arange(10) * 1797 // 10])
    assert sum(map(len, images.batches(3))) == 10
    whole = np.concatenate(list(SourceImages(digits, (8, 8), 1).batches(64)))
    chosen = np.concatenate(list(images.batches(4)))
    np.testing.assert_array_equal(chosen, whole[np.arange(10) * 1797 // 10])


@pytest.mark.parametrize("names", [("x", "y"), ("images", "labels"), ("arr_0", "arr_1")])
def test_an_npz(tmp_path, colour, names):
    pixels = np.stack([colour, 255 - colour, colour])
    np.savez(tmp_path / "a.npz", **{names[0]: pixels, names[1]: np.array([1, 0, 1])})
    images = open_images(str(tmp_path / "a.npz"), None, 3)
    np.testing.assert_array_equal(np.concatenate(list(images.batches(2))), pixels)
    assert images.labels.tolist() == [1, 0, 1]
    # BigGAN-PyTorch's --sample_npz writes this form.
    np.savez(tmp_path / "b.npz", x=pixels.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(pixels_of(tmp_path / "b.npz"), pixels)


NPZ_FAULTS = {
    "floats": (dict(x=np.zeros((2, 4, 4, 3))), r"uint8 \[N, H, W, C\]"),
    "no images": (dict(z=np.zeros(3)), r"uint8 \[N, H, W, C\]"),
    "nothing in it": (dict(x=np.zeros((0, 4, 4, 3), np.uint8)), r"uint8 \[N, H, W, C\]"),
    "two channels": (dict(x=np.zeros((2, 4, 4, 2), np.uint8)), "1 or 3 channels"),
    "labels": (dict(x=np.zeros((2, 4, 4, 3), np.uint8), y=np.zeros(3, int)), "one for each image"),
    "pickle": (dict(x=np.array([object()])), "without Python objects"),
}


@pytest.mark.parametrize("arrays, message", NPZ_FAULTS.values(), ids=NPZ_FAULTS)
def test_an_npz_of_something_else(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        open_images(str(tmp_path / "a.npz"), None, 3)


def test_a_damaged_npz(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ValueError, match=r"Cannot read the \.npz file .*a\.npz"):
        open_images(str(path), None, 3)
    random = np.random.RandomState(0)
    np.savez_compressed(path, x=random.randint(0, 256, (4, SIDE, SIDE, 3)).astype(np.uint8))
    content = path.read_bytes()
    for place in range(60, len(content) - 200, 40):
        path.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
        with pytest.raises(ValueError, match=r"a\.npz"):
            open_images(str(path), None, 3)


def test_pil_resizes_every_image(colour):
    images = PilResized(ArrayImages("some", np.stack([colour, colour[::-1]])), 20)
    made = np.concatenate(list(images.batches(1)))
    assert made.shape == (2, *images.image_shape) == (2, 20, 20, 3)
    expected = Image.fromarray(colour).resize((20, 20), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(made[0], np.asarray(expected))
    grey = PilResized(ArrayImages("grey", colour[None, ..., :1]), 20)
    assert next(iter(grey.batches(1))).shape == (1, 20, 20, 1)
