"""Make the pictures of the documentation again.

    python tools/make_pictures.py --data FOLDER [--names velocity splits ...]

Each picture is what an example, a benchmark or a command draws; ``PICTURES`` says which. FOLDER holds the recordings of
Kato et al. 2015. Without --names all pictures are made; figure4cd takes half an hour or more. A picture replaces the
one of the same name in ``docs`` once it is whole.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Picture:
    """How a picture is made.

    Parameters
    ----------
    commands : tuple of tuple of str
        Arguments of Python, one after the other. They run in a folder for what they write; ``{data}`` stands for the
        recordings.
    file : str
        The picture that the last of them writes there.
    """

    commands: tuple[tuple[str, ...], ...]
    file: str = "a.png"


def benchmark(name: str, *options: str) -> tuple[str, ...]:
    """Return the arguments of Python that run a benchmark."""
    return (str(ROOT / "tests" / "benchmarks" / f"{name}.py"), *options)


REPRODUCE = ("-c", "from skworm.cli import main; main()", "reproduce")
PICTURES = {
    "readme": Picture(((str(ROOT / "tools" / "readme_picture.py"), "{data}", "a.png"),)),
    "velocity": Picture(((str(ROOT / "examples" / "velocity.py"),),), "velocity.png"),
    "splits": Picture(((str(ROOT / "examples" / "choosing_a_split.py"), "{data}"),), "splits.png"),
    "graphs": Picture((benchmark("true_graph", "--data", "{data}", "--methods", "functional", "--picture", "a.png"),)),
    "figure4cd": Picture(((*REPRODUCE, "figure4cd", "--data", "{data}", "--out", "out"),), "out/figure4cd.png"),
}


def make(name: str, data: Path) -> None:
    """Make a picture, and put it into the documentation."""
    picture = PICTURES[name]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as folder:
        for command in picture.commands:
            words = [word.replace("{data}", str(data)) for word in command]
            subprocess.run([sys.executable, *words], cwd=folder, check=True, env={**os.environ, "PYTHONPATH": path})
        shutil.copyfile(Path(folder, picture.file), ROOT / "docs" / f"{name}.png")


def main() -> None:
    """Make the pictures that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--names", nargs="+", choices=list(PICTURES), default=list(PICTURES))
    parser.add_argument("--data", type=Path, required=True, help="folder with the recordings of Kato et al. 2015")
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.error(f"--data {options.data} is not a folder of recordings")
    for name in options.names:
        print(f"{name} ...", flush=True)
        make(name, options.data.resolve())


if __name__ == "__main__":
    main()
