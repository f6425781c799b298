"""Build the sdist and the wheel, look into them, and run the first example of README.md with the wheel alone.

The wheel is installed into an environment of its own, which borrows the dependencies of the environment that runs this
script. Nothing is left behind.

    python .ci/check_distributions.py
"""

import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

REPOSITORY = Path(__file__).resolve().parents[1]
NO_SOURCE = (
    ".git",
    ".venv",
    ".*_cache",
    ".hypothesis",
    "__pycache__",
    "*.egg-info",
    "build",
    "dist",
    "_build",
    "generated",
)
BESIDE_THE_PACKAGE = {
    *("CHANGELOG.md", "CITATION.cff", "LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg"),
    *(f"skworm.egg-info/{name}" for name in ("PKG-INFO", "SOURCES.txt", "dependency_links.txt", "entry_points.txt")),
    *("skworm.egg-info/requires.txt", "skworm.egg-info/top_level.txt"),
}
ABOUT_THE_WHEEL = {
    *("METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt"),
    *("licenses/LICENSE", "licenses/skworm/datasets/connectomes/LICENSE"),
}


def main():
    with TemporaryDirectory() as name:
        workspace = Path(name)
        # Of a copy, since setuptools takes in what earlier builds have left.
        source = workspace / "source"
        shutil.copytree(REPOSITORY, source, ignore=shutil.ignore_patterns(*NO_SOURCE))
        package = {str(path.relative_to(source)) for path in (source / "skworm").rglob("*") if path.is_file()}
        # The wheel by way of the sdist, and once more without it.
        build(source, workspace / "dist")
        build(source, workspace / "straight", "--wheel")
        sdist = next((workspace / "dist").glob("*.tar.gz"))
        wheel = next((workspace / "dist").glob("*.whl"))
        same("the sdist", names_in_sdist(sdist), package | BESIDE_THE_PACKAGE)
        contents = contents_of_wheel(wheel)
        about = {f"{'-'.join(wheel.name.split('-')[:2])}.dist-info/{name}" for name in ABOUT_THE_WHEEL}
        same("the wheel", set(contents), package | about)
        if contents != contents_of_wheel(next((workspace / "straight").glob("*.whl"))):
            sys.exit("the wheel made of the sdist differs from the one made of the source")
        run_first_example(wheel, workspace / "installed")
        print(f"{sdist.name} and {wheel.name} hold what they should, and the first example of README.md runs")


def build(source, out, *options):
    run(sys.executable, "-m", "build", *options, "--outdir", out, source, quiet=True)


def names_in_sdist(sdist):
    with tarfile.open(sdist) as archive:
        return {member.name.partition("/")[2] for member in archive if member.isfile()}


def contents_of_wheel(wheel):
    with ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def same(what, found, expected):
    if found != expected:
        sys.exit(f"{what} lacks {sorted(expected - found)}, and should not hold {sorted(found - expected)}")


def run_first_example(wheel, folder):
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    # A line of a .pth file adds a folder, but runs no .pth files in it: an editable skworm there is not found.
    home = sysconfig.get_path("purelib", "venv", vars={"base": str(folder)})
    Path(home, "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--force-reinstall", "--quiet", wheel)
    where = "import skworm; print(skworm.__file__)"
    imported = run(python, "-c", where, cwd=folder, capture=True).strip()
    if not Path(imported).is_relative_to(home):
        sys.exit(f"skworm was imported from {imported}, not from the wheel in {home}")
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    example = re.search(r"^```python\n(.*?)^```", readme, flags=re.DOTALL | re.MULTILINE)
    run(python, "-W", "error", "-c", example[1], cwd=folder)
    run(folder / "bin" / "skworm", "--version", cwd=folder)


def run(*command, cwd=None, capture=False, quiet=False):
    output = subprocess.PIPE if capture or quiet else None
    errors = subprocess.STDOUT if quiet else None
    finished = subprocess.run(list(map(str, command)), cwd=cwd, stdout=output, stderr=errors, text=True, check=False)
    if finished.returncode:
        sys.exit(f"{finished.stdout or ''}\nfailed: {' '.join(map(str, command))[:200]}")
    return finished.stdout


if __name__ == "__main__":
    main()
