"""The page in a real browser: headless Chromium, opened from a file as a person would."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
import torch
from playwright.sync_api import Browser, Page, sync_playwright

from deepcorrect.datasets.dataset import Dataset
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.models.smallcnn import SmallCNN
from deepcorrect.pipeline.correct import CorrectionOptions, correct
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.rank import RankingOptions
from deepcorrect.report.page import build_report
from deepcorrect.runs.results import Run
from deepcorrect.training.recipes import get_recipe

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
LEVELS = (30.0, 60.0, 90.0)


@pytest.fixture(scope="module")
def page_file(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    torch.manual_seed(0)
    job = Job(SmallCNN(), digits, run=Run(folder / "run", "correct", {"distortion": "noise", "levels": LEVELS}))
    options = CorrectionOptions(("conv1", "conv2"), (0.5, 0.5), ranked=RankingOptions(images=20, method="attribution"))
    recipe = get_recipe("fast", "correct", epochs=2, batch_size=64, precision="fp32")
    correction, records = correct(job, get_distortion("noise"), LEVELS, options, recipe)
    correction.detach()
    assert job.run is not None
    job.run.finish(records, job.device)
    return build_report([job.run.path], folder / "report.html")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium (Debian's package is chromium)")
    with sync_playwright() as started:
        running = started.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser, page_file: Path) -> Iterator[Page]:
    """The page, which may not complain nor ask the network for anything."""
    opened = browser.new_page()
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda request: complaints.append(request.url[:80]) if request.url.startswith("http") else None)
    opened.goto(page_file.as_uri())
    yield opened
    opened.close()
    assert complaints == []


def test_the_slider_walks_from_clean_to_worst(page: Page) -> None:
    walk = page.locator(".walk").first
    slider = walk.locator("input[type=range]")
    seen = []
    for place in range(len(LEVELS) + 1):
        slider.fill(str(place))
        visible = walk.locator(".step:visible")
        assert visible.count() == 1
        seen.append(
            (walk.locator("output").inner_text(), visible.locator("img").first.get_attribute("src"), visible.inner_text())
        )
    assert [name for name, _, _ in seen] == ["clean", "noise 30", "noise 60", "noise 90"]
    assert len({image for _, image, _ in seen}) == 4
    assert len({answers for _, _, answers in seen}) == 4
    assert all("baseline" in answers and "deepcorr-2" in answers for _, _, answers in seen)
    slider.fill("0")
    slider.press("ArrowRight")
    assert walk.locator("output").inner_text() == "noise 30"


def test_tables_sort_by_every_column(page: Page) -> None:
    table = page.locator("table.sortable").first
    for column in range(table.locator("thead th").count()):
        heading = table.locator("thead th").nth(column)
        found = []
        for _ in range(2):
            heading.locator("button").click()
            cells = table.locator(f"tbody tr td:nth-child({column + 1})")
            values = [str(cell.get_attribute("data-value") or cell.inner_text()) for cell in cells.all()]
            found.append((heading.get_attribute("aria-sort"), values))
        assert {order for order, _ in found} == {"ascending", "descending"}
        for order, values in found:
            wanted = sorted(values, reverse=order == "descending", key=str if column == 0 else float)
            assert values == wanted


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(page: Page, scheme: Literal["light", "dark"]) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    ink, paper = page.evaluate("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
    assert _lightness(ink) < 0.2 if scheme == "light" else _lightness(ink) > 0.8
    assert _lightness(paper) > 0.8 if scheme == "light" else _lightness(paper) < 0.2


def test_every_picture_is_there_and_described(page: Page) -> None:
    page.evaluate("document.querySelectorAll('img').forEach((image) => { image.loading = 'eager'; })")
    page.wait_for_function("[...document.images].every((image) => image.complete)")
    broken = "[...document.images].filter((image) => image.naturalWidth === 0 || !image.alt).length"
    assert page.evaluate(broken) == 0
    assert page.evaluate("document.images.length") > 20


def _lightness(colour: str) -> float:
    channels = [int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    return sum(channels) / (3 * 255)
