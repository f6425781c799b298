import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import skworm

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_version_is_one():
    assert skworm.__version__ == version("skworm") == PROJECT["version"]
    assert re.findall(r"^version: (.+)$", text_of("CITATION.cff"), flags=re.MULTILINE) == [PROJECT["version"]]


def test_the_changelog_leads_up_to_the_version():
    versions = re.findall(r"^## \[(.+?)\]", text_of("CHANGELOG.md"), flags=re.MULTILINE)
    assert versions[0] == "Unreleased"
    assert versions[1:] == sorted(versions[1:], key=Version, reverse=True)
    first = [] if len(versions) > 1 else re.findall(r"This will be (\S+),", text_of("CHANGELOG.md"))
    assert [*versions[1:], *first][0] == PROJECT["version"]


def test_the_oldest_versions_are_the_lower_bounds():
    extras = PROJECT["optional-dependencies"]
    wanted = [
        *PROJECT["dependencies"],
        *(line for name in ("parquet", "excel", "dask", "test") for line in extras[name]),
    ]
    bounds = {}
    for requirement in map(Requirement, wanted):
        if requirement.name not in ("skworm", "torch"):
            (bound,) = requirement.specifier
            assert bound.operator == ">=", requirement
            bounds[requirement.name] = Version(bound.version)
    lines = [line for line in text_of("constraints-oldest.txt").splitlines() if not line.startswith("#")]
    pins = {
        requirement.name: requirement.specifier
        for requirement in map(Requirement, (line.split("#")[0] for line in lines))
    }
    found = {name: Version(str(pins[name]).removeprefix("==")) for name in bounds}
    assert found == bounds


@pytest.mark.parametrize(
    "module", ["skworm", "skworm.cli", "skworm.datasets", "skworm.frames", "skworm.model_selection"]
)
def test_an_import_is_light(module):
    heavy = ("torch", "skorch", "matplotlib", "h5py", "requests", "pooch", "safetensors", "dask")
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout == "[]\n"


def test_types_travel_with_the_package():
    assert Path(skworm.__file__).with_name("py.typed").exists()
