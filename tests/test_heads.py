"""New last layers for pretrained networks."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from deepcorrect import cli
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets import Counts, load_dataset
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.division import divide
from deepcorrect.datasets.images import ImageSet
from deepcorrect.evaluation.features import features
from deepcorrect.models import find_preprocessing, load_model
from deepcorrect.models.head import fit_head, last_dense, replace_head
from deepcorrect.models.layers import find_layers
from tests.conftest import make_toy, random_images

CPU = torch.device("cpu")
NETWORK = """
from torch import nn
from deepcorrect.datasets.decoding import CentreCrop, Resize
from deepcorrect.models.preprocessing import Preprocessing

def make():
    import torch
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 24, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(216, 1000)
    )

make.preprocessing = Preprocessing(Resize(12), CentreCrop(8))
"""


def test_features_are_what_arrives_at_the_layer(digits: Dataset) -> None:
    images = digits.validation.held()
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.ReLU(), nn.Linear(10, 3)).eval()
    found = features(model, "3", images, device=CPU)
    with torch.no_grad():
        assert torch.allclose(found, model[:3](as_float(images.images)), atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_head_answers_as_the_regression_that_it_comes_from(classes: int) -> None:
    torch.manual_seed(0)
    labels = torch.arange(300) % classes
    inputs = torch.randn(300, 20) * torch.linspace(0.1, 9, 20) + labels[:, None] * 0.4 + 5
    head = nn.Linear(20, classes)
    accuracy = fit_head(inputs[:200], labels[:200], inputs[200:], labels[200:], head)
    assert accuracy > 0.5
    mean, spread = inputs[:200].mean(0), inputs[:200].std(0)
    scaled = ((inputs - mean) / spread).numpy()
    found = head(inputs).softmax(1).detach()
    matches = []
    for strength in (1e-4, 1e-3, 1e-2, 1e-1, 1.0):
        model = LogisticRegression(C=strength, max_iter=500).fit(scaled[:200], labels[:200])
        matches.append(torch.allclose(found, torch.from_numpy(model.predict_proba(scaled)).float(), atol=1e-4))
        if matches[-1]:
            assert model.score(scaled[200:], labels[200:]) == pytest.approx(accuracy)
    assert sum(matches) == 1


def test_a_network_without_a_dense_layer_at_its_end_is_refused() -> None:
    model = load_model("allcnn")
    with pytest.raises(DeepcorrectError, match="does not end in a dense layer"):
        last_dense(find_layers(model, torch.rand(1, 3, 32, 32)))
    toy = make_toy("plain")
    name = last_dense(find_layers(toy, torch.rand(1, 3, 16, 16)))
    replace_head(toy, name, 7)
    assert toy(torch.rand(2, 3, 16, 16)).tolist() == [[0.0] * 7] * 2


def test_a_head_is_trained_kept_and_loaded_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.py").write_text(NETWORK)
    spec, out = f"{tmp_path / 'net.py'}:make", tmp_path / "head"
    monkeypatch.setattr(sys, "argv", ["deepcorrect", "train-head", spec, "--data", "digits", "--out", str(out), "--json"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    printed = capsys.readouterr()
    assert not stop.value.code, printed.err
    records = json.loads(printed.out)["records"]
    assert [record["distortion"] for record in records] == ["blur", "noise"]
    assert records[0]["top1"][0] > 0.85
    assert "head 4: validation 0." in printed.err
    model, data = load_model(str(out)), load_dataset("digits")
    assert [layer.output_shape for layer in find_layers(model, torch.rand(1, 1, 8, 8))][-1] == (10,)
    with torch.no_grad():
        hits = model(as_float(data.test.held().images)).argmax(1) == data.test.labels
    assert float(hits.double().mean()) == pytest.approx(records[0]["top1"][0], abs=0.01)
    assert find_preprocessing(spec) == find_preprocessing(str(out))
    assert find_preprocessing(str(out)) is not None


def test_so_many_of_each_class_are_set_aside_by_a_seed() -> None:
    labels = torch.tensor([0] * 40 + [1] * 31 + [2] * 35)
    images = ImageSet.whole(torch.zeros(106, 1, 2, 2, dtype=torch.uint8), labels)
    parts = divide({"all": images}, Counts(25, 5))
    assert [torch.bincount(part.labels).tolist() for part in parts] == [[25] * 3, [5] * 3, [10, 1, 5]]
    assert torch.equal(torch.cat([part.indices for part in parts]).sort().values, torch.arange(106))
    assert torch.equal(divide({"all": images}, Counts(25, 5))[0].indices, parts[0].indices)
    assert not torch.equal(divide({"all": images}, Counts(25, 5, seed=1))[0].indices, parts[0].indices)
    with pytest.raises(DeepcorrectError, match=r"^counts: these images are divided already, into train, val"):
        divide({"train": images, "val": images}, Counts(25, 5))


def test_images_are_prepared_in_full_precision_whatever_the_network_runs_in() -> None:
    images = random_images(4)
    seen: list[torch.dtype] = []

    def prepare(pixels: Tensor, indices: Tensor) -> Tensor:
        seen.append(torch.nn.functional.conv2d(pixels, torch.ones(3, 3, 1, 1)).dtype)
        return pixels

    features(make_toy("plain"), "0", images, device=CPU, precision="bf16", prepare=prepare)
    assert seen == [torch.float32]
