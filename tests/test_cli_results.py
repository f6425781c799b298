import json
import os
import subprocess
import sys

import pandas as pd
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from skworm.cli import main
from skworm.model_selection import WormScores
from skworm.model_selection.results import write_csv


def call(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


def results(n_worms=6, **columns):
    """Scores of a GNN that is better than an SVM on every worm, and of the two naive baselines."""
    worms = [f"00{number}" for number in range(n_worms)]
    base = {"gnn": 0.9, "svm": 0.8, "clock": 0.5, "majority": 0.4}
    rows = [
        {"model": model, "train_worms": ("x",), "fold": 0, "evaluation": "unseen_worms", "worm": worm, "n_frames": 100,
         "accuracy": mean + 0.01 * number * (model == "gnn"), **columns}
        for model, mean in base.items() for number, worm in enumerate(worms)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def written(rows, folder):
    folder.mkdir(exist_ok=True)
    write_csv(folder / "scores.csv", rows)
    return folder


@pytest.fixture
def table(tmp_path):
    return written(results(), tmp_path / "results")


def test_compare_prints_differences_intervals_and_p_in_words(table):
    result = call("compare", table, "--baseline", "svm")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    text = " ".join(result.stdout.split())
    for said in (
        "Unseen worms",
        "+12.5",
        "6/6 worms, p 0.031 (Holm 0.031)",
        "sign-flip p = 0.0312",
        "differs from svm by 0.125",
        "6 worms allow no p below 0.0312",
        "Left out, since they see no neuron: clock, majority",
    ):
        assert said in text, said


def test_compare_gives_json_that_is_the_comparison(table):
    gnn, svm = json.loads(call("compare", table, "--baseline", "svm", "--json").stdout)
    expected = WormScores(results()).where(model=["gnn", "svm"]).compare("svm").set_index("model")
    assert (gnn["reference"], gnn["n_worms"], gnn["smallest_p"]) == ("svm", 6, 0.03125)
    for name in ("mean", "difference", "difference_low", "difference_high", "p_sign_flip", "p_adjusted", "wins"):
        assert gnn[name] == pytest.approx(expected.loc["gnn", name])
    assert svm["difference"] is None


def test_the_first_model_is_the_baseline_and_baselines_can_be_taken_in(table):
    rows = json.loads(call("compare", table, "--json").stdout)
    assert {row["reference"] for row in rows} == {"gnn"}
    rows = json.loads(call("compare", table, "--model", "svm", "--model", "clock", "--json").stdout)
    assert {row["model"] for row in rows} == {"svm", "clock"}
    rows = json.loads(call("compare", table, "--baseline", "clock", "--json").stdout)
    assert {row["model"] for row in rows} == {"gnn", "svm", "clock"}


def test_parts_are_compared_apart_and_can_be_chosen(tmp_path):
    written(pd.concat([results(block="2 states"), results(n_worms=5, block="4 states")]), tmp_path)
    compared = json.loads(call("compare", tmp_path, "--json").stdout)
    assert [row["block"] for row in compared] == ["2 states"] * 2 + ["4 states"] * 2
    one = call("compare", tmp_path, "--where", "block=4 states")
    assert "5 worms allow no p below 0.0625, so that this test cannot reject at 0.05" in one.stdout
    assert "6 worms" not in one.stdout


def test_errors_of_trajectories_are_compared_at_three_steps(tmp_path):
    rows = pd.concat([results().assign(step=step) for step in range(1, 17)])
    rows["mse"] = 1 - rows.pop("accuracy")
    rows["persistence_mse"] = 1.0
    written(rows, tmp_path)
    compared = json.loads(call("compare", tmp_path, "--json", "--baseline", "svm").stdout)
    assert [row["step"] for row in compared] == [1, 1, 8, 8, 16, 16]
    assert compared[0]["wins"] == 6
    assert {row["metric"] for row in compared} == {"mse"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--baseline", "mlp"), "--baseline mlp has no scores on unseen_worms; choose one of gnn, svm"),
        (("--model", "mlp"), "the column 'model' never is 'mlp'; choose among 'gnn', 'svm'"),
        (("--model", "gnn"), "the scores have only the model 'gnn'; a comparison needs two"),
        (("--evaluation", "elsewhere"), "evaluation 'elsewhere' is not among those of the scores: unseen_worms"),
        (("--metric", "macro_f1"), "--metric macro_f1 is not among those of the scores: accuracy"),
        (("--metric", "speed"), "there is no metric 'speed'; choose one of accuracy"),
        (("--where", "step=8"), "the scores have no column 'step'; choose among model,"),
        (("--where", "fold=8"), "the column 'fold' never is '8'; choose among '0'"),
    ],
)
def test_a_comparison_that_cannot_be_is_refused_in_one_line(table, arguments, message):
    result = call("compare", table, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert (len(result.stderr.splitlines()), result.stdout) == (1, "")


def test_what_holds_no_scores_is_refused_in_one_line(table, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "all" / "table1").mkdir(parents=True)
    (tmp_path / "all" / "table1" / "scores.csv").write_text("")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "scores.csv").write_text("a,accuracy\n1,2\n")
    for path, message in [
        (tmp_path / "none", "does not exist; check the path"),
        (tmp_path / "empty", "holds no scores: neither scores.csv nor finished fits"),
        (tmp_path / "all", f"holds the results of several runs; name one of them: {tmp_path / 'all' / 'table1'}"),
        (tmp_path / "all" / "table1", "cannot be read as a table"),
        (tmp_path / "other", "the table is not one of scores: it lacks the columns model, train_worms"),
        (tmp_path / "other" / "scores.csv", "holds no scores: neither scores.csv nor finished fits; pass a folder"),
    ]:
        result = call("compare", path)
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), result.output
        assert message in result.stderr
    assert call("compare", table, "--where", "step").exit_code == 2


def completions(*words):
    *arguments, incomplete = words
    items = ShellComplete(main, {}, "skworm", "_SKWORM_COMPLETE").get_completions(list(arguments), incomplete)
    return [item.value for item in items if item.type == "plain"], {item.type for item in items} - {"plain"}


@pytest.mark.parametrize(
    ("words", "names", "types"),
    [
        (("re",), ["report", "reproduce"], set()),
        (("reproduce", "figure4"), ["figure4a", "figure4b", "figure4cd"], set()),
        (("reproduce", "table1", "--fold"), ["--folds", "--fold-by"], set()),
        (("reproduce", "modules", "--out", ""), [], {"dir"}),
        (("train", "--data", "rec"), [], {"file"}),
        (("train", "--model", "gnn-pl"), ["gnn-plain"], set()),
        (("datasets", "fetch", ""), ["kato2015", "nichols2017"], set()),
        (("report", ""), [], {"file"}),
    ],
)
def test_the_shell_completes(words, names, types):
    assert completions(*words) == (names, types)


def test_a_completion_loads_no_heavy_library():
    code = (
        "import sys\n"
        "from skworm.cli import main\n"
        "try:\n"
        "    main(prog_name='skworm', complete_var='_SKWORM_COMPLETE')\n"
        "finally:\n"
        "    heavy = [name for name in ('torch', 'sklearn', 'pandas', 'matplotlib', 'jinja2') if name in sys.modules]\n"
        "    print(heavy, file=sys.stderr)\n"
    )
    shell = {"_SKWORM_COMPLETE": "bash_complete", "COMP_WORDS": "skworm rep", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ, **shell}
    )
    assert done.stdout.split() == ["plain,report", "plain,reproduce"]
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    "command", [(), ("report",), ("compare",), ("reproduce",), ("datasets",), ("datasets", "fetch")]
)
def test_every_command_explains_itself(command):
    result = call(*command, "--help")
    assert result.exit_code == 0
    assert max(map(len, result.output.splitlines())) <= 110
    assert "Usage:" in result.output
