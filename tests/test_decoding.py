"""Values and sides of decoded images, against NumPy arithmetic and Pillow by hand."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.decoding import decode

RAMP = np.linspace(0, 65535, 48 * 64).reshape(48, 64)


def read(file: Path, *, grey: bool = True) -> np.ndarray:
    return decode(file.name, partial(Image.open, file), None, grey)


def tiff(values: np.ndarray, bits: int, *, kind: int = 1, photometric: int = 1, order: str = "<") -> bytes:
    """An uncompressed grey TIFF file, (48, 64); ``kind`` is 1 for unsigned integers, 2 for signed ones, 3 for floats."""
    data = values.tobytes()
    tags = ((256, 64), (257, 48), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1), (278, 48))
    fields = [struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0) for tag, value in tags]
    fields += [struct.pack(f"{order}HHII", 279, 4, 1, len(data)), struct.pack(f"{order}HHIHH", 339, 3, 1, kind, 0)]
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(data))
    return head + data + struct.pack(f"{order}H", len(fields)) + b"".join(fields) + bytes(4)


def twelve_bits(values: np.ndarray) -> np.ndarray:
    """Two values in three bytes."""
    first, second = values.reshape(-1, 2).T
    return np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], 1).astype(np.uint8)


SIXTEEN = RAMP.astype(np.uint16)
FILES: dict[str, Callable[[Path], object]] = {
    "png": lambda file: Image.fromarray(SIXTEEN).save(file, "PNG"),
    "tiff": lambda file: Image.fromarray(SIXTEEN).save(file, "TIFF", compression="tiff_deflate"),
    "pgm": lambda file: file.write_bytes(b"P5 64 48 65535\n" + SIXTEEN.astype(">u2").tobytes()),
    "pgm to 4095": lambda file: file.write_bytes(b"P5 64 48 4095\n" + (SIXTEEN // 16).astype(">u2").tobytes()),
    "big-endian": lambda file: file.write_bytes(tiff(SIXTEEN.astype(">u2"), 16, order=">")),
    "12 bits": lambda file: file.write_bytes(tiff(twelve_bits(SIXTEEN // 16), 12)),
    "white is 0": lambda file: file.write_bytes(tiff(65535 - SIXTEEN, 16, photometric=0)),
    "floats": lambda file: file.write_bytes(tiff((RAMP / 65535).astype("<f4"), 32, kind=3)),
}


@pytest.mark.parametrize("name", FILES)
def test_greys_of_more_than_eight_bits_are_scaled(name: str, tmp_path: Path) -> None:
    FILES[name](tmp_path / "file")
    assert np.abs(read(tmp_path / "file")[..., 0] - RAMP / 65535 * 255).max() <= 0.57
    assert np.array_equal(read(tmp_path / "file", grey=False), np.repeat(read(tmp_path / "file"), 3, -1))


def test_sixteen_bits_are_rounded_and_dark_images_stay_dark(tmp_path: Path) -> None:
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    Image.fromarray(values).save(tmp_path / "dark.png")
    assert np.array_equal(read(tmp_path / "dark.png")[..., 0], np.rint(values.astype(float) * 255 / 65535))


def test_colours_of_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    values = np.random.RandomState(0).randint(0, 65536, (20, 30, 3))
    (tmp_path / "colours.ppm").write_bytes(b"P6 30 20 65535\n" + values.astype(">u2").tobytes())
    assert np.abs(read(tmp_path / "colours.ppm", grey=False) - values * 255 / 65535).max() < 1


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "floats to 255": (
        lambda: tiff((RAMP / 257).astype("<f4"), 32, kind=3),
        "its floats are from 0 to 255, but 0 is black and 1 white",
    ),
    "not a number": (lambda: tiff(np.full((48, 64), np.nan, "<f4"), 32, kind=3), "its floats are not all finite"),
    "32 bits": (lambda: tiff(RAMP.astype("<i4"), 32, kind=2), "its integers are signed"),
    "32 bits, no sign": (lambda: tiff(RAMP.astype("<u4"), 32), "its integers have 32 bits, so the value of white is unknown"),
    "16 bits with a sign": (lambda: tiff((RAMP - 32768).astype("<i2"), 16, kind=2), "its integers are signed"),
    "8 bits with a sign": (lambda: tiff((RAMP / 257 - 128).astype("i1"), 8, kind=2), "its integers are signed"),
    "no pixels": (bytes, r"not a readable image \(UnidentifiedImageError\)"),
    "cut off": (lambda: tiff(SIXTEEN, 16)[:3000], "not a readable image"),
}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("name", REFUSED)
def test_values_without_a_known_range_are_refused(name: str, tmp_path: Path) -> None:
    content, reason = REFUSED[name]
    (tmp_path / "scan.tif").write_bytes(content())
    with pytest.raises(DeepcorrectError, match=f"^scan.tif: {reason}"):
        read(tmp_path / "scan.tif")


def test_unknown_colours_are_refused() -> None:
    with pytest.raises(DeepcorrectError, match=r"its colour mode \(Pillow's LAB\)"):
        decode("print", lambda: Image.new("LAB", (4, 4)), None, False)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "16 bits"])
def test_photographs_are_turned_upright_once(kind: str, tmp_path: Path) -> None:
    random = np.random.RandomState(0)
    picture = Image.fromarray(random.randint(0, 256, (20, 30, 3)).astype(np.uint8))
    if kind == "16 bits":
        kind, picture = "PNG", Image.fromarray(random.randint(0, 256, (20, 30)).astype(np.uint16) * 257)
    for orientation in range(1, 9):
        tag = Image.Exif()
        tag[0x0112] = orientation
        picture.save(tmp_path / "photo", kind, exif=tag)
        with Image.open(tmp_path / "photo") as image:
            seen = ImageOps.exif_transpose(image)
            wanted = np.asarray(seen.convert("RGB")) if seen.mode == "RGB" else np.asarray(seen)[..., None] // 257
        found = read(tmp_path / "photo", grey=wanted.shape[-1] == 1)
        assert found.shape == ((30, 20) if orientation > 4 else (20, 30)) + wanted.shape[2:]
        assert np.array_equal(found, wanted)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("tags", [b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12\0\x03", b"Exif\0\0no tags at all"])
def test_damaged_tags_leave_a_photograph_as_it_lies(tags: bytes) -> None:
    file = io.BytesIO()
    picture = Image.fromarray(np.random.RandomState(0).randint(0, 256, (20, 30, 3)).astype(np.uint8))
    picture.save(file, "JPEG", exif=tags)
    wanted = np.asarray(Image.open(file).convert("RGB"))
    assert np.array_equal(decode("photo", lambda: Image.open(file), None, False), wanted)


@pytest.mark.parametrize("error", [struct.error("unpack requires 4 bytes"), KeyError(257), RuntimeError(), EOFError()])
def test_whatever_a_damaged_file_raises_is_one_line(error: Exception) -> None:
    def fail() -> Image.Image:
        raise error

    with pytest.raises(DeepcorrectError, match=rf"^damaged: not a readable image \({type(error).__name__}\)$"):
        decode("damaged", fail, None, False)
