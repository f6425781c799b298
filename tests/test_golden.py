"""The code computes what it computed when tests/golden/ was written, to 1e-6.

Where a number changes on purpose, ``pytest -n 0 tests/test_golden.py --update-golden`` writes anew what differs; say in
the commit which numbers change, and why.
"""

import io
import os
import re
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from golden_cases import CASES, IDENTIFYING

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).with_name("golden")
TOLERANCE = 1e-6
DIGITS = 9


@pytest.fixture
def double_precision():
    """Train in double precision: in single precision, processors round differently, and training makes much of it."""
    import torch

    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("double_precision")
def test_results_are_those_that_were_frozen(name, request):
    if name.startswith("real-"):
        request.getfixturevalue("kato2015_folder")
    found = {table: as_read(values) for table, values in CASES[name]().items()}
    frozen = {table: read_case(name, table) for table in tables_of(name)}
    differences = [f"{name}, {table}: not computed any more" for table in sorted(set(frozen) - set(found))]
    for table, values in found.items():
        difference = first_difference(frozen[table], values) if table in frozen else "not frozen yet"
        if difference and request.config.getoption("--update-golden"):
            write_case(name, table, values)
        elif difference:
            differences.append(f"{name}, {table}: {difference}")
    assert not differences, "\n".join(differences)


def test_every_file_belongs_to_a_case():
    groups = {name.partition("/")[0] for name in CASES}
    assert {path.name.partition(".")[0] for path in GOLDEN.glob("*.csv")} == groups
    for path in GOLDEN.glob("*.csv"):
        group, written = path.name.partition(".")[0], read(path)
        if "case" in written:
            assert {f"{group}/{case}" for case in written["case"]} <= set(CASES), f"{path.name} has cases that are gone"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.iloc[::-1].assign(further=1), None),
        (lambda t: t.assign(score=t["score"] * (1 + 1e-7)), None),
        (lambda t: t.assign(train_worms=[("b", "a"), ("a",), ("b",)]), None),
        (lambda t: t.assign(score=[0.5, 0.1 + 3e-6, np.nan]), r"train_worms=a, worm=x: score is 0.100003, was 0.1$"),
        (lambda t: t.assign(score=[0.5, np.nan, np.nan]), r"train_worms=a, worm=x: score is nan, was 0.1$"),
        (
            lambda t: t.assign(prediction=["turn", "forward", "turn"]),
            r"train_worms=a, worm=x: prediction is forward, was turn$",
        ),
        (lambda t: t.iloc[1:], r"1 of 3 rows missing, first train_worms=a\|b, worm=x$"),
        (lambda t: pd.concat([t, t.assign(worm="z")]), r"3 rows too many, first train_worms=a, worm=z$"),
        (lambda t: t.drop(columns="score"), r"columns missing: \['score'\]$"),
    ],
)
def test_a_difference_names_its_row(change, told):
    table = pd.DataFrame(
        {
            "worm": ["x", "x", "y"],
            "train_worms": ["a+b", "a", "b"],
            "prediction": ["turn", "turn", "turn"],
            "score": [0.5, 0.1, np.nan],
        }
    )
    difference = first_difference(as_read(table), as_read(change(table)))
    if told is None:
        assert difference is None
    else:
        assert re.search(told, difference)


def first_difference(frozen, found):
    """Return in words what differs first between two tables that were read, or None."""
    absent = [column for column in frozen if column not in found]
    if absent:
        return f"columns missing: {absent}"
    frozen, found = with_rows_in_words(frozen), with_rows_in_words(found)
    lost, further = frozen.index.difference(found.index), found.index.difference(frozen.index)
    if len(lost):
        return f"{len(lost)} of {len(frozen)} rows missing, first {lost[0]}"
    if len(further):
        return f"{len(further)} rows too many, first {further[0]}"
    found = found.loc[frozen.index, frozen.columns]
    equal = np.column_stack([equal_values(frozen[column], found[column]) for column in frozen])
    if equal.all():
        return None
    row, column = np.argwhere(~equal)[0]
    change = f"{frozen.columns[column]} is {found.iloc[row, column]}, was {frozen.iloc[row, column]}"
    return f"{(~equal).any(axis=1).sum()} of {len(equal)} rows differ, first {frozen.index[row]}: {change}"


def with_rows_in_words(table):
    """Make an index of the identifying columns, and check that it tells rows apart."""
    keys = [column for column in IDENTIFYING if column in table]
    words = [", ".join(map("=".join, zip(keys, row, strict=True))) for row in table[keys].to_numpy()]
    table = table.drop(columns=keys).set_axis(words)
    assert table.index.is_unique, f"two rows are {table.index[table.index.duplicated()][0]}"
    return table


def equal_values(frozen, found):
    if pd.api.types.is_numeric_dtype(frozen) and pd.api.types.is_numeric_dtype(found):
        return np.isclose(found, frozen, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    return (frozen.astype(object).fillna("") == found.astype(object).fillna("")).to_numpy()


def as_read(table):
    """Return a table as it is after it was written and read; its training worms are sorted and joined by "|"."""
    if "train_worms" in table:
        table = table.assign(train_worms=["|".join(sorted(worms_of(worms))) for worms in table["train_worms"]])
    return read(io.StringIO(table.to_csv(index=False, float_format=f"%.{DIGITS}g")))


def worms_of(joined):
    return joined.split("+") if isinstance(joined, str) else joined


def read(file):
    keys = ["case", *IDENTIFYING]
    table = pd.read_csv(file, dtype=dict.fromkeys(keys, str), na_values=[""], keep_default_na=False)
    return table.fillna({key: "" for key in keys if key in table})


@cache
def frozen_file(path):
    return read(path)


def path_of(name, table):
    return GOLDEN / f"{name.partition('/')[0]}.{table}.csv"


def tables_of(name):
    """List the frozen tables of a case."""
    group, _, case = name.partition("/")
    paths = sorted(GOLDEN.glob(f"{group}.*.csv"))
    return [path.name.split(".")[1] for path in paths if not case or case in set(frozen_file(path)["case"])]


def read_case(name, table):
    frozen, case = frozen_file(path_of(name, table)), name.partition("/")[2]
    return frozen[frozen["case"] == case].dropna(axis=1, how="all").drop(columns="case") if case else frozen


def write_case(name, table, values):
    if "PYTEST_XDIST_WORKER" in os.environ:
        raise pytest.UsageError("--update-golden writes several cases into one file; run it with -n 0")
    path, case = path_of(name, table), name.partition("/")[2]
    if case:
        values.insert(0, "case", case)
        if path.exists():
            others = read(path)
            values = pd.concat([others[others["case"] != case], values])
    keys = [column for column in ("case", *IDENTIFYING) if column in values]
    values = values.sort_values(keys)[[*keys, *values.columns.drop(keys)]]
    path.parent.mkdir(exist_ok=True)
    values.to_csv(path, index=False, float_format=f"%.{DIGITS}g")
    frozen_file.cache_clear()
