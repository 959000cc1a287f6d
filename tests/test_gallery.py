"""The page "Which distortion do I have?" shows every distortion that there is, as it is."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from experiments.gallery import FOLDER, GAP, OWN, SHOWN, photograph, shown, strip
from PIL import Image

from deepcorrect.distortions.registry import GROUPS, get_distortion

PAGE = (Path(__file__).parent.parent / "docs" / "corruptions.md").read_text()
LARGEST_BYTES = 300_000


def test_every_distortion_has_a_section_and_a_picture() -> None:
    assert len(set(shown())) == 15 + 4 + len(OWN)
    assert re.findall(r"^### .*: `(.*)`$", PAGE, re.MULTILINE) == shown()
    assert re.findall(r"\]\(images/corruptions/(.*)\.webp\)", PAGE) == shown()
    files = list(FOLDER.iterdir())
    assert sorted(file.stem for file in files) == sorted(shown())
    assert sum(file.stat().st_size for file in files) < LARGEST_BYTES


def test_names_on_the_page_are_distortions() -> None:
    for names in re.findall(r"--distortion ([\w,+:-]+)", PAGE):
        for name in re.split(r"[,+]", names.removeprefix("mix:")):
            assert name in GROUPS or get_distortion(name)


@pytest.mark.parametrize("name", ["contrast", "blur"])
def test_a_strip_is_the_photograph_at_each_severity(name: str) -> None:
    drawn = np.asarray(strip(name), dtype=np.float32) / 255
    for index, level in enumerate((0.0, *get_distortion(name).levels("imagenet")[:5])):
        left = index * (SHOWN + GAP)
        whole = get_distortion(name).at(photograph(), level, torch.tensor([0]), seed=0)[0].clamp(0, 1)
        wanted = torch.nn.functional.avg_pool2d(whole, 2).permute(1, 2, 0).numpy()
        assert np.abs(drawn[:, left : left + SHOWN] - wanted).max() < 0.01
        saved = np.asarray(Image.open(FOLDER / f"{name}.webp"), dtype=np.float32)[:, left : left + SHOWN] / 255
        assert np.abs(saved - wanted).mean() < 0.03  # it is compressed
