from __future__ import annotations

import pytest

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import argument, speaking_of_options
from deepcorrect.datasets.dataset import Dataset
from tests.command_line import one_line, run


def test_messages_name_arguments_in_python_and_options_on_the_command_line(
    dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DeepcorrectError, match=r"^images=0: at least one image is needed$"):
        dataset.test.balanced(0, seed=0)
    code, _, error = run(capsys, "rank", "smallcnn", "--data", "digits", "--images", "0", "--layers", "1", "--levels", "40")
    assert code == 2
    assert "--images" in one_line(error)


def test_names_are_as_the_caller_wrote_them() -> None:
    assert (argument("split_seed"), argument("split_seed", 3)) == ("split_seed", "split_seed=3")
    with speaking_of_options():
        assert (argument("split_seed"), argument("split_seed", 3)) == ("--split-seed", "--split-seed 3")
    assert argument("precision", "fp32") == "precision='fp32'"
