"""Files are written whole or not at all, and what stands in the way is told as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import write_tensors, write_text, written_aside


@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory"), KeyboardInterrupt(), ValueError("another")])
def test_what_has_nothing_to_do_with_the_file_is_raised_as_it_is(error: BaseException, tmp_path: Path) -> None:
    def fail() -> None:
        with written_aside(tmp_path / "file") as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(type(error)) as raised:
        fail()
    assert raised.value is error
    assert not list(tmp_path.iterdir())


def test_the_system_s_reason_is_told_with_its_remedy(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere" / "file"
    with pytest.raises(DeepcorrectError, match="cannot be written: No such file or directory; make its folder first"):
        write_text(missing, "text")
    with pytest.raises(DeepcorrectError, match="cannot be written: No such file or directory; make its folder first"):
        write_tensors(missing, {"a": torch.rand(2)})
    (tmp_path / "folder").mkdir()
    with pytest.raises(DeepcorrectError, match="cannot be written: Is a directory; write to another folder"):
        write_text(tmp_path / "folder", "text")
    (tmp_path / "text").write_text("kept")
    with pytest.raises(DeepcorrectError, match="cannot be written: Not a directory; write to another folder"):
        write_text(tmp_path / "text" / "file", "text")
    assert (tmp_path / "text").read_text() == "kept"


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full here")
def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with pytest.raises(DeepcorrectError, match="No space left on device; free some, or write to another folder"):  # noqa: SIM117
        with written_aside(tmp_path / "file"), Path("/dev/full").open("wb") as file:
            torch.save({"weights": torch.rand(100_000)}, file)
