"""The page to try one's own image: its answers, and the page itself in a browser."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from PIL import Image

from deepcorrect.adapters.attach import attach, load_correction
from deepcorrect.adapters.plan import Plan
from deepcorrect.app import Trial, examples_of, serve, severity_of
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets import Dataset, ImageSet, load_dataset
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.decoding import Resize
from deepcorrect.datasets.folder import read_folder
from deepcorrect.distortions import registry
from deepcorrect.distortions.base import Distortion, Ladder
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.models import load_model
from deepcorrect.pipeline.job import Job
from deepcorrect.runs.samples import picture
from tests.command_line import one_line, run
from tests.conftest import make_toy, random_images

BLUR, NOISE = get_distortion("blur"), get_distortion("noise")
needs_gradio = pytest.mark.skipif(find_spec("gradio") is None, reason="gradio is not installed")
CHROMIUM = Path("/usr/bin/chromium")
WATCHED = """
import signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background job of a shell ignores

def watch(event, arguments):
    address = arguments[0] if event == "socket.getaddrinfo" else arguments[1] if event.startswith("socket.") else None
    host = address[0] if isinstance(address, tuple) else address
    if event in ("socket.getaddrinfo", "socket.connect", "socket.bind") and host not in ("127.0.0.1", "localhost"):
        print("REMOTE", event, arguments, file=sys.stderr)

sys.addaudithook(watch)
from deepcorrect.cli import main
main()
"""
"""The command line with a line on standard error for every address that is not this machine's."""


@pytest.fixture
def job(dataset: Dataset) -> Job:
    return Job(make_toy("batch-norm"), dataset)


@pytest.fixture
def trial(job: Job, tmp_path: Path) -> Trial:
    """The network as it is, and with units that, as they begin, change its answers."""
    network = make_toy("batch-norm")
    plan = Plan(distortion="blur", filters={"0": tuple(range(8)), "3": tuple(range(12))})
    attach(network, plan, job.example, seed=3).save(tmp_path / "fix.safetensors")
    return Trial.of_job(job, {"fix": tmp_path / "fix.safetensors"})


def test_at_severity_0_the_distorted_image_is_the_image(trial: Trial) -> None:
    image = picture(as_float(random_images(1).images)[0])
    for distortion in (BLUR, NOISE):
        shown, _ = trial.ask(image.copy, distortion, 0)
        assert shown.tobytes() == image.tobytes()
        assert trial.ask(image.copy, distortion, 2)[0].tobytes() != image.tobytes()


@pytest.mark.parametrize(("distortion", "severity"), [(BLUR, 0.0), (BLUR, 1.3), (NOISE, 40.0)])
def test_answers_are_those_of_the_network_called_by_hand(
    trial: Trial, job: Job, tmp_path: Path, distortion: Distortion, severity: float
) -> None:
    images = random_images(1, seed=5).images
    _, answers = trial.ask(picture(images[0] / 255).copy, distortion, severity)
    distorted = distortion.at(images / 255, severity, torch.tensor([0]), 0)
    network = make_toy("batch-norm")
    correction = load_correction(tmp_path / "fix.safetensors", network, job.example)
    with torch.no_grad():
        fixed = network(distorted)
        with correction.disabled():
            plain = network(distorted)
    assert not torch.allclose(plain, fixed, atol=1e-3)
    for name, logits in (("baseline", plain), ("fix", fixed)):
        expected = sorted(zip("abcde", logits.softmax(1)[0].tolist(), strict=True), key=lambda pair: -pair[1])
        assert [label for label, _ in answers[name]] == [label for label, _ in expected]
        assert [share for _, share in answers[name]] == pytest.approx([share for _, share in expected], abs=1e-5)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("grey", [False, True])
def test_an_image_of_any_mode_and_size_is_read_as_in_a_folder(trial: Trial, tmp_path: Path, mode: str, grey: bool) -> None:
    trial = replace(trial, networks={}, grey=grey)
    ramp = np.linspace(0, 255, 40 * 24).reshape(24, 40)
    given = Image.fromarray(ramp.astype(np.uint16)) if mode == "I;16" else Image.fromarray(ramp.astype(np.uint8)).convert(mode)
    assert given.mode == mode
    for label in "ab":
        (tmp_path / label).mkdir()
        for number in range(10):
            given.save(tmp_path / label / f"{number}.tif")
    expected = read_folder(tmp_path, resize=Resize(8), grey=grey).test.held().images[0]
    shown, _ = trial.ask(given.copy, BLUR, 0)
    assert torch.equal(torch.from_numpy(np.array(shown)).reshape(8, 8, -1).permute(2, 0, 1), expected)


def test_outputs_beyond_the_classes_are_numbered_and_names_are_unique(job: Job) -> None:
    job.data = replace(job.data, classes=("crane", "pine", "crane"))
    assert Trial.of_job(job, {}).classes == ("crane (0)", "pine", "crane (2)", "output 3", "output 4")


def test_examples_are_test_images(job: Job) -> None:
    examples = examples_of(job)
    assert len(examples) == 6
    known = {image.permute(1, 2, 0).numpy().tobytes() for image in job.data.test.held().images}
    assert {image.tobytes() for image in examples} <= known


def test_images_that_are_not_square_need_a_size(job: Job) -> None:
    parts = [random_images(20, size=size) for size in (8, 8)]
    wide = ImageSet.whole(torch.cat([part.images for part in parts], 3), parts[0].labels)
    with pytest.raises(DeepcorrectError, match=r"images of 16x8 pixels, not square; give resize$"):
        Trial.of_job(Job(make_toy("residual"), replace(job.data, test=wide)), {})


def test_a_distortion_without_a_ladder_for_the_images_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_REGISTRY", {"blur": BLUR, "noise": NOISE})
    registry.register("fog", ladders={"default": (0.2, 0.4)})(torch.add)
    registry.register("rain", ladders={"imagenet": (1, 2)})(torch.add)
    assert {name: levels for name, (_, levels) in registry.ladders_for("digits").items()} == {
        "blur": (0.4, 0.6, 0.8, 1, 1.2, 1.4), "noise": (15, 30, 45, 60, 75, 90), "fog": (0.2, 0.4)
    }  # fmt: skip


def test_of_a_graded_distortion_the_nearest_severity_is_shown() -> None:
    graded = Ladder(Distortion("dim", lambda images, severity: images, levels=(1, 2, 4), graded=True), (1.0, 2.0, 4.0))
    assert [severity_of(graded, asked) for asked in (-1, 0.4, 0.6, 2.9, 3.1, 9)] == [0, 0, 1, 2, 4, 4]
    assert [severity_of(Ladder(BLUR, (0.4, 1.4)), asked) for asked in (-1, 0.6, 9)] == [0, 0.6, 1.4]


def test_without_gradio_it_says_what_to_install(
    baseline: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    code, _, error = run(capsys, "app", baseline, "--correction", "nothing", "--data", "digits")
    assert code == 2
    assert "gradio is not installed; pip install 'deepcorrect[app]'" in one_line(error)


@pytest.fixture
def blurred(baseline: Path, tmp_path: Path) -> Path:
    """A correction of the baseline, with units as they begin."""
    job = Job(load_model(str(baseline)), load_dataset("digits"))
    path = tmp_path / "blur.safetensors"
    attach(job.model, Plan(distortion="blur", filters={"conv1": (0, 5), "conv2": (1, 2)}), job.example).save(path)
    return path


@needs_gradio
def test_a_port_that_is_taken(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DeepcorrectError, match=f"^port={port}: it is in use"):
            serve(trial, {"blur": Ladder(BLUR, (1, 2))}, "blur", [], port)


@needs_gradio
def test_the_page_in_a_browser(baseline: Path, blurred: Path, tmp_path: Path) -> None:
    """An upload, the slider and the other distortion are answered; nothing leaves this machine, nothing stays on it."""
    browsing = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}")
    kept = tmp_path / "kept"
    kept.mkdir()
    Image.linear_gradient("L").resize((90, 60)).save(tmp_path / "image.png")
    (tmp_path / "broken.png").write_text("no image")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = ["app", baseline, "--correction", blurred, "--data", "digits", "--port", port, "--precision", "fp32"]
    server = subprocess.Popen(
        [sys.executable, "-c", WATCHED, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(kept), "http_proxy": "http://192.0.2.1:9"},
    )  # fmt: skip
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == f"http://127.0.0.1:{port} (Ctrl-C stops it)\n"
        with browsing.sync_playwright() as driver:
            flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
            browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=flags)
            page = browser.new_page()
            hosts: set[str | None] = set()
            errors: list[str] = []
            page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
            page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.goto(f"http://127.0.0.1:{port}")
            trial = Trial.of_job(Job(load_model(str(baseline)), load_dataset("digits")), {"blur": blurred})

            def shows(kind: str, severity: float) -> None:
                """Every network's answer on the page is the one that it gives here."""
                _, answers = trial.ask(partial(Image.open, tmp_path / "image.png"), get_distortion(kind), severity)
                for panel, answer in enumerate(answers.values()):
                    expected = "\\s+".join(f"{label}\\s+{round(100 * share)}%" for label, share in answer)
                    said = page.locator(".answer").nth(panel)
                    browsing.expect(said).to_have_text(re.compile(expected), use_inner_text=True, timeout=20_000)

            page.locator("input[type=file]").set_input_files(tmp_path / "image.png")
            shows("blur", 1)
            page.locator("input[type=range]").fill("1.4")
            shows("blur", 1.4)
            page.get_by_label("Distortion").click()
            page.get_by_role("option", name="noise", exact=True).click()
            shows("noise", 60)
            page.locator("input[type=range]").fill("0")
            shows("noise", 0)
            page.get_by_label("Remove Image").click()
            page.locator("input[type=file]").set_input_files(tmp_path / "broken.png")
            page.get_by_text("broken.png: not a readable image").wait_for(timeout=20_000)
            browser.close()
    finally:
        server.send_signal(signal.SIGINT)
        _, told = server.communicate(timeout=60)
    assert hosts == {"127.0.0.1"}
    assert errors == []
    assert "REMOTE" not in told
    assert "Traceback" not in told
    assert server.returncode == 0
    assert not list(kept.iterdir())
