"""The pages show the results in docs/results, and nothing else."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def make_results():
    spec = importlib.util.spec_from_file_location("make_results", ROOT / "tools" / "make_results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_those_of_the_data(make_results):
    for path, text in make_results.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"run tools/make_results.py: {path} is not up to date"


@pytest.mark.slow
def test_another_number_in_the_data_is_another_number_on_the_page(make_results, monkeypatch):
    read = make_results.read_results
    before = make_results.pages()

    def changed(name):
        return read(name).assign(accuracy_mean=0.123)

    monkeypatch.setattr(make_results, "read_results", changed)
    after = make_results.pages()
    for path in before:
        if path.name in ("README.md", "results.md", "claims.md"):
            assert "12.3" in after[path]
            assert before[path] != after[path]


def test_a_page_without_its_place_is_refused(make_results):
    with pytest.raises(ValueError, match="summary"):
        make_results.fill("# A page", "summary", "a table")


def test_a_command_is_shown_as_a_reader_would_type_it(make_results):
    command = "skworm reproduce table1 --data lab/worms/kato2015 --states 2,4 --out there"
    assert make_results.command_for_readers(command) == (
        "skworm reproduce table1 --data recordings/kato2015 --states 2,4"
    )
