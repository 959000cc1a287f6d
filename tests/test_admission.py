"""A stranger's network is worked on as it is, or refused with the true reason, and then left as it was."""

from __future__ import annotations

import random
from collections import namedtuple
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deepcorrect.base.device import laid_out, lay_out, layout_of
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.evaluation.sweep import evaluate
from deepcorrect.models import find_preprocessing, load_model
from deepcorrect.models.layers import convolutions
from deepcorrect.pipeline.baselines import assess
from deepcorrect.pipeline.job import Job
from tests.conftest import plain, random_images

BLUR = get_distortion("blur")
LAST, FIRST = torch.channels_last, torch.contiguous_format


class Viewing(nn.Module):
    """Flattens by ``.view``, which torch's own memory layout alone allows."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 6, 3, padding=1), nn.Linear(6 * 64, 5)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.conv(images).view(len(images), -1))
        return logits


class Reordering(Viewing):
    """Answers in the order that its numbers have in memory."""

    def forward(self, images: Tensor) -> Tensor:
        held = self.conv(images)
        logits: Tensor = self.head(torch.as_strided(held, (len(images), 6 * 64), (6 * 64, 1)))
        return logits


class Answering(nn.Module):
    """Gives its logits to a function."""

    def __init__(self, wrap: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.network, self.wrap = plain(), wrap

    def forward(self, images: Tensor) -> Any:
        return self.wrap(self.network(images))


class Together(nn.Module):
    """Whatever is given, one after another, on the means of a convolution's channels."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.conv, self.parts, self.head = nn.Conv2d(3, 6, 3), nn.Sequential(*parts), nn.Linear(6, 5)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.parts(self.conv(images)).mean((2, 3)))
        return logits


class Volume(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.over = nn.Conv3d(1, 1, 3, padding=1)

    def forward(self, held: Tensor) -> Tensor:
        found: Tensor = self.over(held[:, None])[:, 0]
        return found


class Waves(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.waves = nn.Parameter(torch.randn(1, 6, 1, 1, dtype=torch.complex64))

    def forward(self, held: Tensor) -> Tensor:
        found: Tensor = (torch.fft.fft2(held) * self.waves).abs()
        return found


@pytest.mark.parametrize("network", [Viewing, Reordering])
def test_a_network_that_answers_otherwise_channels_last_keeps_its_layout(network: type[Viewing], dataset: Dataset) -> None:
    model = network().eval()
    weights = model.conv.weight.data_ptr()
    wanted = model(dataset.test.held().images.float() / 255)
    job = Job(model, dataset)
    assert layout_of(model) is FIRST
    assert model.conv.weight.data_ptr() == weights
    assert job.example.is_contiguous()
    (record,) = assess(job, [(BLUR, (1.0,))])
    assert record.top1[0] == (wanted.argmax(1) == dataset.test.labels).float().mean()


def test_other_networks_are_laid_out_channels_last(dataset: Dataset) -> None:
    model = plain(norm=True)
    job = Job(model, dataset)
    assert layout_of(model) is LAST
    assert job.example.is_contiguous(memory_format=LAST)


@pytest.mark.parametrize("part", [Volume, Waves, lambda: nn.LazyConv2d(6, 3), nn.Identity])
def test_parameters_that_have_no_such_layout_are_left_alone(part: Callable[[], nn.Module], dataset: Dataset) -> None:
    model = Together(part())
    job = Job(model, dataset)
    assert convolutions(job.layers)[0].name == "conv"
    assert layout_of(model) is LAST


def test_weights_stay_the_parameters_that_they_are_and_tied() -> None:
    model = nn.ModuleList([nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)])
    one, two, three = (module for module in model if isinstance(module, nn.Conv2d))
    two.weight = one.weight
    three.weight = nn.Parameter(torch.randn(2, 4, 3, 3, 3)[0])
    held, shared = one.weight, nn.Conv2d(3, 4, 3)
    shared.weight = nn.Parameter(three.weight.data)
    model.append(shared)
    before = lay_out(model, LAST)
    assert list(before) == [held]
    assert one.weight is two.weight is held
    assert held.is_contiguous(memory_format=LAST)
    assert three.weight.data_ptr() == shared.weight.data_ptr()
    assert three.weight.is_contiguous()


def test_images_follow_the_weights() -> None:
    images = torch.rand(2, 3, 5, 5).contiguous(memory_format=LAST)
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3))
    assert laid_out(images, model).is_contiguous()
    model.to(memory_format=LAST)  # type: ignore[call-overload]
    assert laid_out(images.contiguous(), model).is_contiguous(memory_format=LAST)


def test_a_device_may_be_text_or_is_where_the_network_is(dataset: Dataset) -> None:
    model = plain().eval()
    for device in ("cpu", torch.device("cpu"), None):
        assert Job(model, dataset, device=device).device == torch.device("cpu")
        assert evaluate(model, dataset.test, BLUR, (), classes=5, device=device).images == len(dataset.test)
    with pytest.raises(DeepcorrectError, match=r"^device='gpu': unknown device"):
        Job(model, dataset, device="gpu")


def test_of_a_compiled_network_the_one_inside_is_taken(dataset: Dataset) -> None:
    model = plain().eval()
    compiled = cast(nn.Module, torch.compile(model, backend="eager"))
    compiled(torch.rand(2, 3, 8, 8))
    job = Job(compiled, dataset)
    assert job.model is model
    assert len(convolutions(job.layers)) == 3


def in_place() -> nn.Module:
    model = plain()
    model.compile(backend="eager")
    return model


def broken() -> nn.Module:
    model = plain()
    with torch.no_grad():
        model.get_submodule("2").weight[0] = torch.nan  # type: ignore[operator]
    return model


def overflowing() -> nn.Module:
    model = plain()
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(1e30)
    return model


Answer = namedtuple("Answer", "logits features")


class Demanding(nn.Module):
    def forward(self, images: Tensor, masks: Tensor) -> Tensor:
        return images.mean((2, 3)) + masks


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: nn.Sequential(plain().half(), nn.Linear(5, 5)), r"its weights are in float16 and float32: bring them to one"),
        (broken, r"answers clean images of random with NaN or infinite numbers: 2\.weight holds such"),
        (overflowing, r"with NaN or infinite numbers: its weights are sound, so its values overflow"),
        (lambda: plain().to("meta"), r"0\.weight is on the meta device, without any numbers"),
        (lambda: torch.jit.script(plain()), "TorchScript module, inside which no layer can be reached"),
        (in_place, "the network is compiled by torch.compile"),
        (lambda: nn.Sequential(cast(nn.Module, torch.compile(plain(), backend="eager"))), r"0 is compiled by torch\.compile"),
        (lambda: Answering(lambda logits: (logits, logits)), "answers with tuple of 2, not with one tensor of logits"),
        (lambda: Answering(lambda logits: {"logits": logits}), r"answers with dict \(logits\), not"),
        (lambda: Answering(lambda logits: Answer(logits, logits)), r"answers with Answer \(logits, features\), not"),
        (lambda: Answering(lambda logits: logits[..., None]), r"answers 2 images with a \(2, 5, 1\) tensor of float32"),
        (lambda: Answering(lambda logits: logits.argmax(1)), r"answers 2 images with a \(2,\) tensor of int64"),
        (lambda: Answering(lambda logits: logits[:1]), r"answers 2 images with a \(1, 5\) tensor"),
        (lambda: Answering(lambda logits: logits[:, :3]), "random has 5 classes, the network only 3 outputs"),
        (Demanding, "missing 1 required positional argument: 'masks'; it is called with images alone"),
        (
            lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 28 * 28, 5)),
            r"it takes 3x28x28: bring .* with resize=Resize\(28\)$",
        ),
        (
            lambda: nn.Sequential(nn.Conv2d(1, 5, 1), nn.Flatten(2)),
            r"it takes 1x8x8: bring .* with resize=Resize\(8\), grey=True$",
        ),
    ],
)
def test_a_network_that_cannot_be_used_is_refused_with_the_reason_and_left_as_it_was(
    make: Callable[[], nn.Module], reason: str, dataset: Dataset
) -> None:
    model = make().train()
    before = [tensor.clone() for tensor in model.state_dict().values()]
    with pytest.raises(DeepcorrectError, match=reason) as raised:
        Job(model, dataset)
    assert "\n" not in str(raised.value)
    assert ("resize=" in str(raised.value)) is ("resize=" in reason)
    assert all(module.training for module in model.modules())
    after = model.state_dict().values()
    assert all(
        torch.equal(one.nan_to_num(), two.nan_to_num()) for one, two in zip(before, after, strict=True) if not one.is_meta
    )


def test_what_is_no_module_is_refused(dataset: Dataset) -> None:
    with pytest.raises(DeepcorrectError, match=r"must be a torch\.nn\.Module, not function"):
        Job(plain, dataset)  # type: ignore[arg-type]


def test_an_exported_program_is_to_come_from_its_file(dataset: Dataset) -> None:
    program = torch.export.export(plain().eval(), (torch.rand(2, 3, 8, 8),))
    with pytest.raises(DeepcorrectError, match=r"cannot be put into eval mode .* torch\.export\.save"):
        Job(program.module(), dataset)


def test_answers_that_turn_nan_under_a_distortion_are_told() -> None:
    model = Answering(lambda logits: logits).eval()
    model.wrap = lambda logits: torch.where(seen[0] < 1e-3, torch.nan, logits)
    seen: list[Tensor] = []
    model.register_forward_pre_hook(lambda _, args: seen.__setitem__(slice(None), [args[0].var()]))
    with pytest.raises(DeepcorrectError, match=r"under blur at level 40 with NaN"):
        evaluate(model, random_images(4), BLUR, (40.0,), classes=5)


def random_state() -> tuple[float, float, float]:
    return torch.rand(1).item(), float(np.random.rand()), random.random()


@pytest.mark.parametrize("spec", ["smallcnn", "net.py:make"])
def test_loading_a_network_leaves_the_random_state_alone(spec: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    seeding = "torch.manual_seed(0)\nnp.random.seed(0)\nrandom.seed(0)\n"
    code = f"import random\nimport numpy as np\nimport torch\n{seeding}"
    code += "def make():\n    " + seeding.replace("\n", "\n    ") + "return torch.nn.Conv2d(3, 4, 3)\n"
    (tmp_path / "net.py").write_text(code)
    for seed in (torch.manual_seed, np.random.seed, random.seed):
        seed(7)
    wanted = random_state()
    for seed in (torch.manual_seed, np.random.seed, random.seed):
        seed(7)
    find_preprocessing(spec)
    load_model(spec)
    assert random_state() == wanted


def test_a_network_that_draws_numbers_takes_none_from_others(dataset: Dataset) -> None:
    torch.manual_seed(3)
    wanted = torch.rand(1)
    model = Answering(lambda logits: logits + torch.rand_like(logits) / 9)
    torch.manual_seed(3)
    Job(model, dataset)
    assert torch.equal(torch.rand(1), wanted)
