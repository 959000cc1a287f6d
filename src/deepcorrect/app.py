"""A local page to try one's own images: how a network classifies them under a distortion, with and without corrections.

The page is made with Gradio, an optional dependency that is imported when the page is built. It is served to this machine only
and needs no internet: no telemetry, no shared link, system fonts.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image, ImageOps
from torch import nn

from deepcorrect.adapters.attach import load_correction
from deepcorrect.base.device import Precision, autocast, laid_out
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.names import readable
from deepcorrect.base.words import argument
from deepcorrect.datasets.batches import as_float, batches
from deepcorrect.datasets.decoding import Resize, decode
from deepcorrect.distortions.base import Distortion, Ladder
from deepcorrect.pipeline.job import Job
from deepcorrect.runs.samples import picture

HOST = "127.0.0.1"
TOP, EXAMPLES, SHOWN = 5, 6, 320

Answer = list[tuple[str, float]]
"""The most likely classes with their probabilities, in descending order."""


@dataclass(frozen=True)
class Trial:
    """Networks that classify the same distorted image.

    Attributes:
        networks: by name, ``baseline`` first; each takes images (B, C, H, W) in [0, 1], on ``device``.
        classes: names of the outputs, all different.
        resize: how an image is brought to the size that the networks take.
        grey: whether the networks take one channel.
        seed: of the distortion's random numbers.
    """

    networks: Mapping[str, nn.Module]
    classes: tuple[str, ...]
    resize: Resize
    grey: bool
    device: torch.device
    precision: Precision = "fp32"
    seed: int = 0

    @classmethod
    def of_job(cls, job: Job, corrections: Mapping[str, Path], resize: Resize | None = None) -> Trial:
        """A job's network, and a copy of it with each correction, for images of the size of the job's data.

        Raises:
            DeepcorrectError: a correction belongs to another network, or the data's images are not square.
        """
        channels, height, width = job.data.image_shape
        if height != width:
            raise DeepcorrectError(
                f"{job.data.name}: images of {width}x{height} pixels, not square; give {argument('resize', option='size')}"
            )
        networks = {"baseline": job.model}
        for name, path in corrections.items():
            networks[name] = copy.deepcopy(job.model)
            load_correction(path, networks[name], job.example)
        with torch.no_grad():
            outputs = job.model(job.example).shape[1]
        resize = replace(resize or Resize(height), size=height)
        classes = _names([readable(name) for name in job.data.classes], outputs)
        return cls(networks, classes, resize, channels == 1, job.device, job.precision, job.seed)

    @torch.inference_mode()
    def ask(
        self, open: Callable[[], Image.Image], distortion: Distortion, severity: float, *, name: str = "the image"
    ) -> tuple[Image.Image, dict[str, Answer]]:
        """The distorted image, clipped to [0, 1] to be shown, and the five most likely classes by each network.

        Args:
            open: opens an image of any size and mode, which is decoded and resized like those of an image folder.
            severity: 0 leaves the image as it is.
            name: of the image, for messages.

        Raises:
            DeepcorrectError: the image cannot be decoded, or the distortion fails.
        """
        pixels = torch.from_numpy(decode(name, open, self.resize, self.grey).copy())
        clean = as_float(pixels.permute(2, 0, 1)[None].to(self.device))
        images = distortion.at(clean, severity, torch.tensor([0]), self.seed)
        answers = {}
        for asked, network in self.networks.items():
            with autocast(self.device, self.precision):
                logits = network(laid_out(images, network))
            shares, outputs = logits[0].float().softmax(0).topk(min(TOP, len(self.classes)))
            named = (self.classes[output] for output in outputs.tolist())
            answers[asked] = list(zip(named, shares.tolist(), strict=True))
        return picture(images[0]), answers


def serve(trial: Trial, ladders: Mapping[str, Ladder], chosen: str, examples: Sequence[Image.Image], port: int) -> None:
    """Serve the page of ``build_page`` on this machine until Ctrl-C; nothing that was shown is kept.

    Raises:
        DeepcorrectError: the port is in use or not allowed.
    """
    with TemporaryDirectory() as folder:
        # read when Gradio is imported and when it starts; as it starts it requests its own address, not by a proxy
        os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": folder, "no_proxy": HOST}
        page = build_page(trial, ladders, chosen, examples)
        gradio = import_module("gradio")
        theme = gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
        try:
            page.launch(
                server_name=HOST, server_port=port, share=False, ssr_mode=False, run_history=False, mcp_server=False,
                prevent_thread_lock=True, quiet=True, show_error=True, footer_links=[], theme=theme, css=_CSS,
            )  # fmt: skip
        except OSError:
            raise DeepcorrectError(f"{argument('port', port)}: it is in use or not allowed; give another") from None
        print(f"http://{HOST}:{port} (Ctrl-C stops it)", flush=True)
        page.block_thread()


def build_page(trial: Trial, ladders: Mapping[str, Ladder], chosen: str, examples: Sequence[Image.Image]) -> Any:
    """The page, a ``gradio.Blocks``.

    Args:
        ladders: distortions with their severities, by name; the slider goes from 0 to the highest, of a graded one in steps.
        chosen: the distortion that is selected first.
        examples: images offered to choose from.
    """
    gradio = import_module("gradio")

    def answer(file: dict[str, str] | None, distortion: str, severity: float | None) -> list[Any]:
        if file is None:
            return [None] * (1 + len(trial.networks))
        given = severity_of(ladders[distortion], severity or 0)
        try:
            open_image = partial(_open_upright, file["path"])
            distorted, answers = trial.ask(open_image, ladders[distortion].distortion, given, name=Path(file["path"]).name)
        except DeepcorrectError as error:
            raise gradio.Error(str(error), print_exception=False) from None
        return [_enlarged(distorted), *(dict(classes) for classes in answers.values())]

    def slider_of(distortion: str) -> dict[str, Any]:
        levels = ladders[distortion].levels
        worst, middle = max(levels), levels[len(levels) // 2]
        step = 1 if ladders[distortion].distortion.graded else 10 ** math.floor(math.log10(worst)) / 100
        return {"maximum": worst, "value": middle, "step": step}

    size = trial.resize.size
    look = {"type": "filepath", "format": "png", "height": SHOWN, "show_label": False, "buttons": [], "elem_classes": "pixels"}
    with gradio.Blocks(title="deepcorrect", analytics_enabled=False) as page:
        with gradio.Row():
            with gradio.Column():
                gradio.Markdown("### Your image")
                image = gradio.Image(label="Your image", image_mode=None, sources=["upload", "clipboard"], **look)
            with gradio.Column():
                gradio.Markdown(f"### What the networks see ({size}x{size} pixels)")
                shown = gradio.Image(label="What the networks see", interactive=False, **look)
        with gradio.Row():
            distortion = gradio.Dropdown(list(ladders), value=chosen, label="Distortion")
            severity = gradio.Slider(0, label="Severity", buttons=[], **slider_of(chosen))
        with gradio.Row():
            said = [gradio.Label(label=network, num_top_classes=TOP, elem_classes="answer") for network in trial.networks]
        if examples:
            gradio.Examples([[example] for example in examples], image, label="Examples")
        given, wanted = [image, distortion, severity], [shown, *said]
        quietly = {"preprocess": False, "show_progress": "hidden"}  # an image is decoded here, not by Gradio
        gradio.on([image.change, severity.change], answer, given, wanted, trigger_mode="always_last", **quietly)
        distortion.change(lambda name: gradio.Slider(**slider_of(name)), distortion, severity, **quietly).then(
            answer, given, wanted, **quietly
        )
    return page


def severity_of(ladder: Ladder, asked: float) -> float:
    """The severity that is nearest to what was asked for: the box beside the slider takes any number.

    It lies between 0 and the highest of the ladder; of a graded distortion it is one of the ladder, or 0.
    """
    if ladder.distortion.graded:
        return min((0.0, *ladder.levels), key=lambda level: abs(level - asked))
    return min(max(asked, 0), max(ladder.levels))


def examples_of(job: Job) -> list[Image.Image]:
    """A few of the job's test images, drawn by its seed, of as many different classes as possible."""
    drawn = job.data.test.balanced(min(EXAMPLES, len(job.data.test)), job.seed)
    (batch,) = batches(drawn, EXAMPLES, torch.device("cpu"))
    return [picture(image) for image in batch.images]


def require_gradio() -> None:
    """Check that Gradio is installed.

    Raises:
        DeepcorrectError: it is not.
    """
    if find_spec("gradio") is None:
        raise DeepcorrectError("deepcorrect app: gradio is not installed; pip install 'deepcorrect[app]'")


def _names(classes: Sequence[str], outputs: int) -> tuple[str, ...]:
    """A name for every output; a name that several classes share is followed by the index of the output."""
    names = [name if classes.count(name) == 1 else f"{name} ({index})" for index, name in enumerate(classes)]
    return (*names, *(f"output {index}" for index in range(len(classes), outputs)))


def _open_upright(file: str) -> Image.Image:
    """Open an image, turned upright by its EXIF tag."""
    return ImageOps.exif_transpose(Image.open(file))


def _enlarged(image: Image.Image) -> Image.Image:
    """A small image enlarged with every pixel a square, so that the browser does not smooth it."""
    factor = max(1, SHOWN // max(image.size))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


_CSS = ".pixels img { width: 100%; height: 100%; object-fit: contain; }"
