"""Read recordings from CSV and Parquet tables."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from skworm.datasets.conventions import frame_rate
from skworm.recording import Recording
from skworm.states import UNKNOWN

_TIME = "time"
_STATE = "state"
_BEHAVIOR_PREFIX = "behavior:"


def read_table(path: Path, *, dataset: str, fps: float | None = None) -> Recording:
    r"""Read one worm from a table with one row a frame.

    Parameters
    ----------
    path : pathlib.Path
        A ``.csv`` or ``.parquet`` file. The columns ``time`` (seconds), ``state`` and ``behavior:<name>`` are
        optional; every other column is a neuron's dF/F. An empty cell is NaN, an empty state is unknown.
    dataset : str
        Data set of the recording.
    fps : float, optional
        Frames a second, for a table without ``time``.

    Returns
    -------
    Recording
        The worm, named by the stem of the file.

    Raises
    ------
    ValueError
        If the table is truncated, a cell is no number, a column name repeats, or there is no frame rate.
    ImportError
        If a Parquet file is read without pyarrow.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from skworm.datasets.tables import read_table
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "worm-a.csv")
    ...     _ = path.write_text("time,state,AVAL,behavior:velocity\n0.0,fwd,0.1,12\n0.5,rev1,0.2,-9\n")
    ...     read_table(path, dataset="mine")
    Recording('worm-a': 2 frames at 2.00 a second, 1 neurons, 1 identified, with states)
    """
    table = _read_csv(path) if path.suffix.lower() == ".csv" else _read_parquet(path)
    behavior = [name for name in table.columns if name.startswith(_BEHAVIOR_PREFIX)]
    neurons = [name for name in table.columns if name not in (_TIME, _STATE, *behavior)]
    if table.empty or not neurons:
        raise ValueError(
            f"the table has {len(table)} rows and {len(neurons)} columns of neurons; give one row a frame, and one "
            "column a neuron beside 'time', 'state' and 'behavior:...'"
        )
    time = _numbers(table[_TIME]) if _TIME in table else None
    if time is not None:
        fps = frame_rate(time)
    elif fps is None:
        raise ValueError("there is no column 'time', so the frame rate is unknown; pass fps=... in frames a second")
    return Recording(
        worm=path.stem,
        traces=np.column_stack([_numbers(table[name]) for name in neurons]),
        neurons=tuple(neurons),
        fps=fps,
        dataset=dataset,
        time=time,  # type: ignore[arg-type]  # filled from fps
        states=table[_STATE].astype(object).fillna(UNKNOWN).to_numpy(dtype=str) if _STATE in table else None,
        behavior={name.removeprefix(_BEHAVIOR_PREFIX): _numbers(table[name]) for name in behavior},
        source=str(path),
    )


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        header = _check_rows(path)
        table = pd.read_csv(path, encoding="utf-8-sig", dtype={_STATE: str})
    except (UnicodeDecodeError, csv.Error, pd.errors.ParserError) as error:
        raise ValueError(f"this is no CSV text in UTF-8 ({error}); export the table again") from error
    table.columns = pd.Index(header)
    return table


def _check_rows(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file)
        header = [name.strip() for name in next(rows, [])]
        if not header:
            raise ValueError("the file is empty; give a header row and one row a frame")
        if "" in header:
            raise ValueError(
                f"column {header.index('') + 1} has no name; name it, or write the table without an index "
                "(to_csv(..., index=False))"
            )
        repeated = sorted({name for name in header if header.count(name) > 1})
        if repeated:
            raise ValueError(f"the columns {repeated} repeat; give each neuron one column")
        is_blank = False
        for row in rows:
            if row and (is_blank or len(row) != len(header)):
                raise ValueError(
                    f"line {rows.line_num} has {len(row)} cells, the header {len(header)}"
                    f"{', and a blank line goes before it' if is_blank else ''}; the file is truncated or damaged: "
                    "export it again"
                )
            is_blank = not row
    return header


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except ImportError as error:
        raise ImportError(f"{path}: reading Parquet needs pyarrow; pip install skworm[parquet]") from error
    except (ValueError, OSError) as error:
        raise ValueError(f"this is no whole Parquet file ({error}); export it again") from error
    table.columns = table.columns.astype(str)
    return table


def _numbers(column: pd.Series) -> np.ndarray:
    # Dates would turn into nanoseconds in silence, so all but numbers passes through text.
    texts = column if pd.api.types.is_numeric_dtype(column) else column.astype(str).where(column.notna())
    numbers = pd.to_numeric(texts, errors="coerce")
    wrong = np.flatnonzero(numbers.isna() & column.notna())
    if len(wrong):
        raise ValueError(
            f"column {column.name!r}, row {wrong[0] + 1} below the header, holds {texts.iloc[wrong[0]]!r}, which is "
            "no number; correct it, leave the cell empty, or name a behavioural signal 'behavior:...'"
        )
    return numbers.to_numpy(dtype=float, na_value=np.nan)
