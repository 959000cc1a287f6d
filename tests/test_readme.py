"""What the README shows runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader, TensorDataset

from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.models import load_model

README = (Path(__file__).parent.parent / "README.md").read_text()


def block(mark: str) -> str:
    """The Python block that contains ``mark``."""
    (found,) = [code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if mark in code]
    return str(found)


def test_ten_lines_of_python(baseline: Path, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = block("import deepcorrect as dc").replace("epochs=10", "epochs=2")
    assert len([line for line in code.splitlines() if line]) <= 10
    names: dict[str, Any] = {"model": load_model(str(baseline))}
    for name, images in (("train", digits.train), ("val", digits.validation), ("test", digits.test)):
        names[f"{name}_loader"] = DataLoader(TensorDataset(as_float(images.held().images), images.labels), 32)
    exec(code, names)
    assert (tmp_path / "blur.safetensors").is_file()
    before = names["dc"].evaluate(load_model(str(baseline)), names["test_loader"], names["blur"])
    after = names["dc"].evaluate(names["model"], names["test_loader"], names["blur"])
    assert after.mean_top1 > before.mean_top1 + 0.1
