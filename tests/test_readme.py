"""What the README shows runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text()


def block(mark: str) -> str:
    """The Python block that contains ``mark``."""
    (found,) = [code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if mark in code]
    return str(found)


def test_five_lines_of_python(baseline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = block("import deepcorrect as dc").replace("runs/demo/baseline", str(baseline)).replace("epochs=10", "epochs=2")
    names: dict[str, Any] = {}
    exec(code, names)
    assert len([line for line in code.splitlines() if line]) == 6  # the import, and five
    assert (tmp_path / "blur.safetensors").is_file()
    assert [record.name for record in names["records"]] == ["baseline", "deepcorr-3"]
