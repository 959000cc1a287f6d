from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import write_tensors
from deepcorrect.models import load_model
from deepcorrect.models.paper.alexnet import AlexNet
from deepcorrect.models.paper.allcnn import AllCNN
from deepcorrect.models.smallcnn import SmallCNN


def test_architectures_take_the_data_s_classes() -> None:
    assert load_model("allcnn", classes=7)(torch.rand(2, 3, 32, 32)).shape == (2, 7)
    assert load_model("smallcnn", classes=4, channels=3)(torch.rand(2, 3, 8, 8)).shape == (2, 4)
    assert load_model("alexnet", classes=3)(torch.rand(1, 3, 227, 227)).shape == (1, 3)


def test_the_seed_decides_random_weights() -> None:
    first, again, other = (load_model("smallcnn", seed=seed).state_dict()["conv1.weight"] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_normalisation_sits_inside() -> None:
    images = torch.rand(2, 3, 32, 32)
    network = AllCNN().eval()
    mean, std = torch.tensor((0.5071, 0.4865, 0.4409)), torch.tensor((0.2673, 0.2564, 0.2762))
    normalised = (images - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    assert torch.allclose(network(images), nn.Sequential(*list(network)[1:])(normalised), atol=1e-5)


def test_alexnet_sees_the_centre_of_its_images() -> None:
    network = AlexNet(classes=3).eval()
    images = torch.rand(2, 3, 256, 256)
    assert torch.equal(network(images), network(images[..., 14:241, 14:241]))


def test_alexnet_normalises_across_channels_as_convnets_keras_does() -> None:
    norm = AlexNet(classes=2).get_submodule("norm1")
    held = torch.randn(1, 9, 2, 2)
    padded = torch.nn.functional.pad(held.square(), (0, 0, 0, 0, 2, 2))
    expected = held / (2 + 1e-4 * sum(padded[:, place : place + 9] for place in range(5))) ** 0.75
    assert torch.allclose(norm(held), expected, atol=1e-6)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    write_tensors(file, SmallCNN(classes=3).state_dict())
    with pytest.raises(DeepcorrectError, match=r"these weights belong to another network: size mismatch for conv4"):
        load_model("smallcnn", classes=10, channels=1, weights=file)
    file.write_bytes(b"nothing")
    with pytest.raises(DeepcorrectError, match="not a sound safetensors file"):
        load_model("smallcnn", weights=file)


def test_weights_saved_by_torch_are_read_and_nothing_else_is_unpickled(tmp_path: Path) -> None:
    network, file = SmallCNN(classes=10, channels=3), tmp_path / "weights.pt"
    for saved in (network.state_dict(), {"state_dict": network.state_dict(), "epoch": 3}):
        torch.save(saved, file)
        found = load_model("smallcnn", weights=file, seed=1)
        assert torch.equal(found.state_dict()["conv1.weight"], network.state_dict()["conv1.weight"])
    torch.save(network, file)
    with pytest.raises(DeepcorrectError, match="not a sound state dict of tensors alone"):
        load_model("smallcnn", weights=file)
    torch.save({"epoch": 3}, file)
    with pytest.raises(DeepcorrectError, match="not a state dict"):
        load_model("smallcnn", weights=file)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeepcorrectError, match="not a finished run of train-baseline or train-head"):
        load_model(str(tmp_path))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def make():\n    return 3\n", "returned int, not a torch.nn.Module"),
        ("other = 1\n", "has no function 'make'"),
        ("import nonsense_module\n", "importing it failed: ModuleNotFoundError"),
    ],
)
def test_factories_that_fail_say_why(tmp_path: Path, code: str, reason: str) -> None:
    (tmp_path / "net.py").write_text(code)
    with pytest.raises(DeepcorrectError, match=reason):
        load_model(f"{tmp_path / 'net.py'}:make")
