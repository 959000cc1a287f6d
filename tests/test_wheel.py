"""The wheel holds the package and nothing else, and installed without extras it does what the README shows first."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "deepcorrect"
BACKEND = "hatchling"
"""What builds the wheel (pyproject.toml); not one of the package's own requirements."""
NEEDED = {"base/files.py", "py.typed", "models/imagenet_synsets.txt", "models/weights/allcnn-cifar100.safetensors"}
NEEDED |= {"models/weights/index.json", *(f"report/templates/report.{suffix}" for suffix in ("css", "html.j2", "js"))}
EXTRAS = {"bm3d", "datasets", "gradio", "h5py", "opencv-python-headless", "scikit-image", "timm", "torchvision", "transformers"}
OWN = """
from torch.utils.data import DataLoader, TensorDataset
from deepcorrect import load_dataset, load_model

model, digits = load_model("runs/demo/baseline"), load_dataset("digits")
parts = [part.held() for part in (digits.train, digits.validation, digits.test)]
train_loader, val_loader, test_loader = (DataLoader(TensorDataset(part.images / 255, part.labels), 32) for part in parts)
"""
"""What the README takes for granted: a network and loaders of the user's own."""
README = (ROOT / "README.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.verify


class Environment:
    """A virtual environment of its own, which sees nothing of the one that runs the tests."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        self.programs = folder / ("Scripts" if os.name == "nt" else "bin")
        self.variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        self.variables |= {"PIP_CONSTRAINT": str(ROOT / "constraints.txt"), "PYTHONNOUSERSITE": "1", "OMP_NUM_THREADS": "1"}

    def run(self, folder: Path, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run one of its programs in a folder."""
        command = [self.programs / program, *arguments]
        return subprocess.run(command, cwd=folder, env=self.variables, capture_output=True, text=True)

    def must(self, folder: Path, program: str, *arguments: str | Path) -> str:
        """What a program prints that is to succeed."""
        done = self.run(folder, program, *arguments)
        assert done.returncode == 0, f"{program} {' '.join(map(str, arguments))}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = Environment(tmp_path_factory.mktemp("environment"))
    done = made.run(ROOT, "python", "-m", "pip", "install", "--quiet", BACKEND)
    if done.returncode:
        pytest.skip(f"no package index to install {BACKEND} from: {done.stderr.strip().splitlines()[-1]}")
    return made


@pytest.fixture(scope="module")
def wheel(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = ("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    environment.must(folder, "python", "-m", "pip", *build)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(environment: Environment, wheel: Path) -> Environment:
    environment.must(wheel.parent, "python", "-m", "pip", "install", "--quiet", wheel)
    return environment


def test_the_wheel_holds_the_files_of_the_package_and_no_others(wheel: Path) -> None:
    with ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if ".dist-info/" not in name}
    files = {file for file in SOURCE.rglob("*") if file.is_file() and file.parent.name != "__pycache__"}
    assert names == {f"deepcorrect/{file.relative_to(SOURCE).as_posix()}" for file in files}
    assert {f"deepcorrect/{name}" for name in NEEDED} <= names
    assert not [name for name in names if "test" in name]


def test_the_environment_has_no_extras(installed: Environment, tmp_path: Path) -> None:
    listed = installed.must(tmp_path, "python", "-m", "pip", "list", "--format", "freeze")
    names = {line.partition("==")[0].lower().replace("_", "-") for line in listed.splitlines()}
    assert "torch" in names
    assert not names & EXTRAS
    where = installed.must(tmp_path, "python", "-c", "import deepcorrect; print(deepcorrect.__file__)")
    assert not Path(where.strip()).is_relative_to(ROOT)


def test_the_quick_start_of_the_readme_runs(installed: Environment, tmp_path: Path) -> None:
    """The demo's commands, whose figures the README shows, and its Python with the demo's network and the digits' loaders."""
    printed = installed.must(tmp_path, "python", ROOT / "examples" / "demo.py")
    assert printed.rstrip().endswith("runs/demo/report.html")
    assert (tmp_path / "runs" / "demo" / "report.html").is_file()
    (tmp_path / "readme.py").write_text("\n".join([OWN, *re.findall(r"```python\n(.*?)```", README, re.DOTALL)]))
    installed.must(tmp_path, "python", "readme.py")
    assert (tmp_path / "blur.safetensors").is_file()


def test_the_shipped_networks_load(installed: Environment, tmp_path: Path) -> None:
    code = "import deepcorrect as dc, torch; from deepcorrect.models.shipped import shipped_correction; "
    code += "model = dc.load_model('allcnn-cifar100'); images = torch.rand(2, 3, 32, 32); "
    code += "dc.load_correction(shipped_correction('deepcorr-6-blur'), model, images); print(tuple(model(images).shape))"
    assert installed.must(tmp_path, "python", "-c", code) == "(2, 100)\n"
    assert installed.must(tmp_path, "deepcorrect", "--version").strip().endswith("0.1.0")
