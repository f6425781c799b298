"""Every block of code and every link in README.md, CONTRIBUTING.md and docs/*.md."""

import re
import shlex
import tomllib
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from skworm.cli import main
from skworm.datasets import make_worms

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
}
EXCUSED = {
    ("docs/long_runs.md", "from dask.distributed import Client"): (
        "starts a cluster; test_long_runs.py makes fits on a real one"
    ),
}
"""Blocks that are compiled and not run: the page, what stands in the block, and why."""


def blocks_of(text, language):
    """Give the line and the text of every fenced block of a language."""
    for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE):
        yield text.count("\n", 0, match.start(1)) + 1, match[1]


PYTHON_PAGES = [page for page, text in PAGES.items() if any(blocks_of(text, "python"))]
SHELL_BLOCKS = {f"{page}:{line}": code for page, text in PAGES.items() for line, code in blocks_of(text, "sh")} | {
    # What was typed in a block that shows the output too.
    f"{page}:{line}": "\n".join(re.findall(r"^\$ (.*)$", code, flags=re.MULTILINE))
    for page, text in PAGES.items()
    for line, code in blocks_of(text, "text")
    if code.startswith("$ ")
}


def write_worm_of_a_laboratory():
    """Write the file that docs/files.md reads, as a laboratory might have named its columns."""
    import pandas as pd

    worm = make_worms(1, n_frames=600, random_state=0)[0]
    table = pd.DataFrame(worm.traces, columns=worm.neurons).rename(columns={"AVAL": "cell 3"})
    table.insert(0, "t (s)", worm.time)
    table.insert(1, "behaviour", worm.states)
    table.to_csv("worm-a.csv", index=False)


def check_readme(names):
    assert names["accuracy"].shape == (6,)
    assert np.isfinite(names["accuracy"]).all()
    assert names["scores"].models == ["GNN", "SVM", "majority", "clock"]
    assert names["scores"].evaluations == ["held_out_windows", "unseen_worms"]


def check_files(names):
    assert "AVAL" in names["recordings"][0].neurons
    assert names["gnn"].predict(names["X"]).shape == names["y"].shape


def check_time(names):
    assert names["probabilities"].sum() == pytest.approx(1)
    assert names["stream"].n_frames_ == 100


BEFOREHAND = {"docs/files.md": write_worm_of_a_laboratory}
CHECKS = {"README.md": check_readme, "docs/files.md": check_files, "docs/time.md": check_time}


@pytest.mark.parametrize("page", PYTHON_PAGES)
def test_python_blocks_run_one_after_the_other(page, quick_runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    BEFOREHAND.get(page, lambda: None)()
    names = {"__name__": "page"}
    for line, code in blocks_of(PAGES[page], "python"):
        # Empty lines in front, so that a traceback names the line of the page.
        compiled = compile("\n" * (line - 1) + code, ROOT / page, "exec")
        if not any(page == where and what in code for where, what in EXCUSED):
            exec(compiled, names)
    CHECKS.get(page, lambda names: None)(names)


def test_every_block_that_is_excused_is_there():
    for page, what in EXCUSED:
        assert sum(what in code for _, code in blocks_of(PAGES[page], "python")) == 1, (page, what)


def commands_of(code):
    """Split a block of shell code into commands, each a list of words, without the files that they write to."""
    for line in re.sub(r">+ *\S+", "", code.replace("\\\n", " ")).splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
        lexer.whitespace_split = True
        command = []
        for word in [*lexer, ";"]:
            if not set(word) <= set(";&|"):
                command.append(word)
            elif command:
                yield command
                command = []


def leaves(group):
    for command in group.commands.values():
        yield from leaves(command) if isinstance(command, click.Group) else [command]


@pytest.fixture
def called(monkeypatch):
    """Let commands parse their options and do nothing; give the names of those that were called."""
    names = []
    for command in leaves(main):
        monkeypatch.setattr(command, "callback", lambda _name=command.name, **options: names.append(_name))
    return names


def check_skworm(words, called):
    n_called = len(called)
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert len(called) == n_called + 1 or {"--help", "--version"} & set(words), f"{words} calls no command"


def check_script(script, options):
    path = ROOT / script
    assert path.is_file(), f"{script} does not exist"
    source = path.read_text(encoding="utf-8")
    for option in options:
        assert not option.startswith("--") or f'"{option}"' in source, f"{script} has no option {option}"


def check_extras(words):
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for named in re.findall(r"(?:skworm|\.)\[([\w,]+)\]", " ".join(words)):
        assert set(named.split(",")) <= set(known), f"no extra {named!r}"


@pytest.mark.parametrize("code", SHELL_BLOCKS.values(), ids=SHELL_BLOCKS)
def test_shell_blocks_name_what_exists(code, called):
    n_checked = 0
    for command in commands_of(code):
        words = [word for word in command if word != "do" and not re.match(r"^[A-Z_]+=", word)]
        if not words:
            continue
        program, *arguments = words
        n_checked += 1
        match Path(program).name:
            case "skworm":
                check_skworm(arguments, called)
            case "python" if arguments[0].endswith(".py"):
                check_script(arguments[0], arguments[1:])
            case "python" | "python3" | "pre-commit" | "for" | "done":
                pass
            case "pip":
                check_extras(arguments)
            case _:
                pytest.fail(f"nothing here knows how to check {program!r}; teach it to")
    assert n_checked


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_text_exist(page, called):
    prose = re.sub(r"^```.*?^```$", "", PAGES[page], flags=re.DOTALL | re.MULTILINE)
    for mention in re.findall(r"`skworm ([a-z][^`]*)`", prose):
        command = main
        for word in mention.split():
            if not isinstance(command, click.Group) or not re.fullmatch(r"[a-z][\w-]*", word):
                break
            assert word in command.commands, f"`skworm {mention}`: there is no command {word!r}"
            command = command.commands[word]
    check_extras([prose])


def test_table_of_targets_has_every_command_of_reproduce():
    first_cells = re.findall(r"^\| (`.*?) \|", PAGES["docs/reproduce.md"], flags=re.MULTILINE)
    named = set(re.findall(r"`([\w-]+)`", " ".join(first_cells)))
    assert set(main.commands["reproduce"].commands) - {"all"} <= named


LINK = re.compile(r"\]\((?!https?:)([^)\s#]*)(?:#([^)\s]*))?\)")
ROLE = re.compile(r"\{doc\}`(?:[^`<]*<)?([^`>]+)>?`")
DIRECTIVE = re.compile(r"^```\{(?:image|include|literalinclude)\} (\S+)$", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text, folder = PAGES[page], (ROOT / page).parent
    targets = [*DIRECTIVE.findall(text)]
    for target, heading in LINK.findall(text):
        targets += [target] if target else []
        if heading:
            of = (folder / target).resolve().relative_to(ROOT).as_posix() if target else page
            assert heading in anchors(PAGES[of]), f"{of} has no heading #{heading}"
    for target in ROLE.findall(text):
        targets.append(target if target.startswith("generated/") else f"{target}.md")
    missing = [target for target in targets if not exists(folder, target)]
    assert not missing


def anchors(text):
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def exists(folder, target):
    """Tell whether a file is there, or an example of which the gallery makes it."""
    page = re.fullmatch(r"generated/examples/(\w+)", target)
    picture = re.fullmatch(r"generated/examples/images/sphx_glr_(\w+)_\d{3}\.png", target)
    if page or picture:
        name = (page or picture)[1]
        return name == "index" or (ROOT / "examples" / f"{name}.py").is_file()
    return (folder / target).exists()
