"""Read recordings from CSV, Parquet and Excel tables, and from tables in memory."""

from __future__ import annotations

import csv
import gzip
import io
import re
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skworm.datasets.conventions import (
    check_archive,
    check_expansion,
    frame_rate,
    states_of_flags,
    translate_states,
)
from skworm.recording import STATES, UNKNOWN, Recording, is_neuron, neuron_name, repeated

_TIME = "time"
_STATE = "state"
_BEHAVIOR_PREFIX = "behavior:"
_TIMES = (_TIME, "time_(s)", "time_[s]", "time_s", "time_(sec)")
_CLOCKS = ("index", "frame", "frames", "frame_number", "frame_no", "t", "seconds", "timestamp")
_SIGNALS = (
    *("velocity", "speed", "stimulus", "stim", "temperature", "temp", "x", "y", "z", "pos", "position", "curvature"),
    *("angle", "head", "head_angle", "body_angle", "angular_velocity", "reversal", "reversals", "direction", "light"),
    *("pumping", "odor", "oxygen", "co2", "led", "behavior", "behaviour", "event", "events"),
)
"""Words in lower case for columns that are not traces."""
_OTHER_RATE = 0.05


def read_table(
    path: Path, *, dataset: str, fps: float | None = None, columns: Mapping[str, str] | None = None
) -> Recording:
    """Read one worm from a table with one row a frame.

    Text may end in ``.gz``, and may separate columns by semicolons, with decimal commas. Of a workbook the first sheet
    is read. Clocks are left out, well-known signals such as ``velocity`` and columns of nothing but 0 and 1 are
    behaviour or, named after states, states; every other column beside ``time`` (seconds), ``state`` and
    ``behavior:<name>`` is a trace.
    """
    worm = re.sub(r"(\.gz|\.[^.]*(\.gz)?)$", "", path.name, flags=re.IGNORECASE)
    return _recording(_read(path, columns or {}), columns or {}, fps, worm, dataset, str(path))


def _read(path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _read_parquet(path)
    return _parse(_text_of_workbook(path) if suffix == ".xlsx" else _text_of(path), columns.get(_STATE, _STATE))


def _recording(
    table: pd.DataFrame, columns: Mapping[str, str], fps: float | None, worm: str, dataset: str, source: str
) -> Recording:
    given = _renamed(_with_time(table, columns), columns)
    if unnamed := [name for name in given.columns if re.fullmatch(r"Unnamed: \d+", name)]:
        raise ValueError(f"the column {unnamed[0]!r} has no name of its own; name it, or delete it if it counts frames")
    table = _with_roles(given)
    behavior = [name for name in table.columns if name.startswith(_BEHAVIOR_PREFIX)]
    neurons = [name for name in table.columns if name not in (_TIME, _STATE, *behavior)]
    if table.empty or not neurons:
        raise ValueError(
            f"the table has {len(table)} rows and {len(neurons)} columns of neurons; give one row a frame, and one "
            "column a neuron beside 'time', 'state' and 'behavior:...'"
        )
    time = _numbers(table[_TIME]) if _TIME in table else None
    if time is not None:
        stamped = frame_rate(time)
        if fps is not None and not np.isclose(fps, stamped, rtol=_OTHER_RATE):
            warnings.warn(
                f"worm {worm!r}: fps={fps:.3g} is not used, since the column 'time' has {stamped:.3g} frames a second",
                stacklevel=3,
            )
        fps = stamped
    elif fps is None:
        raise ValueError(
            f"there is no column 'time', so the frame rate is unknown; pass fps=... in frames a second, or name the "
            f"column by columns={{'time': ...}}, one of {list(given.columns[:5])} ..."
        )
    return Recording(
        worm=worm,
        traces=np.column_stack([_numbers(table[name]) for name in neurons]),
        neurons=tuple(neurons),
        fps=fps,
        dataset=dataset,
        time=time,  # type: ignore[arg-type]  # filled from fps
        states=_texts(table[_STATE]) if _STATE in table else None,
        behavior={name.removeprefix(_BEHAVIOR_PREFIX): _numbers(table[name]) for name in behavior},
        source=source,
    )


def _with_roles(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table without clocks, with the roles of columns that are not traces in their names.

    Otherwise a clock would be taken for a neuron that knows the time of each frame, and a velocity or a state for one
    that knows what the worm does.
    """
    for role, wanted in ((_TIME, _TIMES), (_STATE, (_STATE,))):
        found = [name for word in wanted for name in table.columns if _word(name) == word]
        if len(found) > 1 and role == _STATE:
            raise ValueError(f"the columns {found} all hold states; leave one, and call others behavior:...")
        if found and role not in found:
            table = table.rename(columns={found[0]: role})
    flags = [name for name in table.columns if _is_flag(table[name], name)]
    states = [name for name in flags if name != _STATE and translate_states([_word(name)])[0] in STATES]
    if len(states) > 1 and _STATE not in table.columns:
        own = states_of_flags(states, table[states].astype(object).fillna(0).to_numpy(dtype=float))
        table, states = table.assign(**{_STATE: own}).drop(columns=states), []
    others = [name for name in table.columns if name not in (_TIME, _STATE)]
    signals = [
        name
        for name in others
        if name.startswith(_BEHAVIOR_PREFIX)
        or name in states
        or _is_signal(_word(name))
        or (name in flags and table[name].nunique() > 1)
    ]
    signal_of = {name: f"{_BEHAVIOR_PREFIX}{name.removeprefix(_BEHAVIOR_PREFIX)}" for name in signals}
    clocks = [name for name in others if _word(name) in (*_TIMES, *_CLOCKS)]
    return table.drop(columns=clocks).rename(columns=signal_of)


def _word(name: str) -> str:
    return name.strip().lower().replace(" ", "_")


def _is_flag(column: pd.Series, name: str) -> bool:
    """Return whether a column holds nothing but 0, 1 and empty cells, and is called neither a neuron nor a number."""
    is_trace = is_neuron(neuron_name(name)) or name.strip().isdecimal()
    # Where a cell is empty, pandas leaves True and False as objects.
    known = column.dropna().astype(object)
    return not is_trace and len(known) > 0 and bool(known.isin([0, 1]).all())


def _is_signal(word: str) -> bool:
    return word in _SIGNALS or any(word.startswith(f"{name}_") for name in _SIGNALS)


def _texts(column: pd.Series) -> np.ndarray:
    """Return states as text; where a cell is empty, pandas has made 1.0 of every 1."""
    texts = column.astype(object).where(column.notna(), UNKNOWN)
    if all(re.fullmatch(r"-?\d+(\.0*)?", str(text)) for text in texts if text != UNKNOWN):
        texts = texts.map(lambda text: str(text).partition(".")[0])
    return texts.to_numpy(dtype=object)


def _with_time(table: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """Return a table with its index as a column where that is called as the time is."""
    wanted = columns.get(_TIME, _TIME).strip().lower()
    levels = [name for name in table.index.names if str(name).strip().lower() == wanted and name not in table.columns]
    return table.reset_index(levels) if levels else table


def _renamed(table: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    found = [str(name).strip() for name in table.columns]
    absent = [column for column in columns.values() if column.strip() not in found]
    if absent:
        raise ValueError(f"columns={dict(columns)} names {absent}, which the table has not; it has {found}")
    if twice := repeated(columns.values()):
        raise ValueError(f"columns={dict(columns)} gives the columns {twice} two meanings; give each a single one")
    role_of = {column.strip(): role for role, column in columns.items()}
    names = [role_of.get(name, name) for name in found]
    if several := repeated(names):
        raise ValueError(f"the columns {several} repeat; give each neuron one column")
    return table.set_axis(names, axis="columns")


def _text_of(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix.lower() == ".gz":
        limit = check_expansion(0, len(content))
        with gzip.open(path) as file:
            content = file.read(limit + 1)
        check_expansion(len(content), path.stat().st_size)
    return re.sub("\r\n?", "\n", content.decode("utf-8-sig"))


def _parse(text: str, state: str) -> pd.DataFrame:
    """Return the table that a text of comma, semicolon or tab separated values holds."""
    # The first line of a file from Excel may name an unusual separator.
    told = re.match('"?sep=(.)"?\n', text)
    text = text[told.end() :] if told else text
    first, _, rows = text.partition("\n")
    separator = next((mark for mark in "\t;" if mark in first and (mark == "\t" or "," not in first)), ",")
    separator = told[1] if told else separator
    edge = rf"[{re.escape(separator)}\n]"
    number = rf"(?:^|{edge})[ \"]*[+-]?\d*,\d+(?:[eE][+-]?\d+)?[ \"]*(?={edge}|$)"
    decimal = "," if separator != "," and re.search(number, rows) else "."
    if decimal == "," and (point := re.search(number.replace("*,", r"*\."), rows)):
        raise ValueError(
            f"some numbers have a comma, and others a point, such as {point[0].strip(separator)!r}, so that one "
            "divides thousands; export the table without marks between thousands"
        )
    checked = _checked(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    header = next(checked)
    deque(checked, maxlen=0)
    return pd.read_csv(
        io.StringIO(text),
        sep=separator,
        decimal=decimal,
        header=0,
        names=header,
        index_col=False,
        dtype={state.strip(): str},
    )


def _checked(rows: Iterable[list[Any]]) -> Iterator[list[Any]]:
    """Yield the names of columns and the rows, which must be as long, without a blank row between them."""
    rows = iter(rows)
    header = [str(name).strip() for name in next(rows, [])]
    if not header:
        raise ValueError("the file is empty, or its first line is; give a header row and one row a frame")
    if "" in header:
        raise ValueError(
            f"column {header.index('') + 1} has no name; name it, or write the table without an index "
            "(to_csv(..., index=False))"
        )
    if several := repeated(header):
        raise ValueError(f"the columns {several} repeat; give each neuron one column")
    yield header
    is_blank = False
    for line, row in enumerate(rows, start=2):
        if row and (is_blank or len(row) != len(header)):
            raise ValueError(
                f"line {line} has {len(row)} cells, the header of {header[0]!r} has {len(header)}"
                f"{', and a blank line goes before it' if is_blank else ''}; delete all that is not part of the table, "
                "or export the file again where it is truncated or damaged"
            )
        is_blank = not row
        yield row


def _text_of_workbook(path: Path) -> str:
    """Return the first sheet as comma-separated values; the same checks serve both."""
    openpyxl = _optional("openpyxl", "excel", path)
    check_archive(path)
    text = io.StringIO(newline="")
    with closing(openpyxl.load_workbook(path, read_only=True, data_only=True)) as book:
        sheet, *others = book.worksheets
        csv.writer(text, lineterminator="\n").writerows(_checked(_rows_of(sheet)))
        if unread := [other.title for other in others if any(map(any, other.values))]:
            warnings.warn(
                f"{path.name}: the sheets {unread} are not read; copy what is wanted into {sheet.title!r}", stacklevel=2
            )
    return text.getvalue()


def _rows_of(sheet: Any) -> Iterator[list[Any]]:
    """Yield the cells of each row as far as the header or the last filled one goes; a blank row is empty."""
    # The size that a sheet declares counts cells that are formatted and empty.
    sheet.reset_dimensions()
    width = 0
    for row in sheet.rows:
        cells = ["" if cell.value is None or cell.data_type == "e" else cell.value for cell in row]
        filled = max((place for place, cell in enumerate(cells, start=1) if cell != ""), default=0)
        width = width or filled
        yield (cells + [""] * (width - len(cells)))[: max(width, filled)] if filled else []


def _read_parquet(path: Path) -> pd.DataFrame:
    pyarrow, parquet = (_optional(name, "parquet", path) for name in ("pyarrow", "pyarrow.parquet"))
    about = parquet.read_metadata(path)
    stored = sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups))
    check_expansion(max(stored, 8 * about.num_rows * about.num_columns), path.stat().st_size)
    # A text that repeats stays one text.
    kinds = (pyarrow.string(), pyarrow.large_string())
    texts = [field.name for field in parquet.read_schema(path) if field.type in kinds]
    return parquet.read_table(path, read_dictionary=texts).to_pandas()


def _optional(module: str, extra: str, path: Path) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"{path}: reading it needs {module}; pip install skworm[{extra}]") from error


def _numbers(column: pd.Series) -> np.ndarray:
    # Dates would turn into nanoseconds in silence, so all but numbers passes through text.
    texts = column if pd.api.types.is_numeric_dtype(column) else column.astype(str).where(column.notna())
    numbers = pd.to_numeric(texts, errors="coerce")
    wrong = np.flatnonzero(numbers.isna() & column.notna())
    if len(wrong):
        name = str(column.name).removeprefix(_BEHAVIOR_PREFIX)
        is_text = len(wrong) == column.notna().sum() and name != _TIME and not is_neuron(neuron_name(name))
        states = f"; where the column holds states, pass columns={{'state': {name!r}}}" if is_text else ""
        raise ValueError(
            f"column {column.name!r}, row {wrong[0] + 1} below the header, holds {texts.iloc[wrong[0]]!r}, which is "
            f"not a number; correct it, or leave the cell empty{states}"
        )
    return numbers.to_numpy(dtype=float, na_value=np.nan)


def as_recording(
    table: pd.DataFrame,
    worm: str,
    *,
    dataset: str = "",
    fps: float | None = None,
    columns: Mapping[str, str] | None = None,
) -> Recording:
    """Make a recording of a table in memory.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a frame and the columns of a file, see :doc:`/files`; an index named ``"time"`` counts as a column.
    worm : str
        Name of the worm.
    dataset : str, default=""
        Data set of the recording.
    fps : float, optional
        Frames a second, where there is no time.
    columns : mapping of str to str, optional
        Columns that the table calls otherwise, such as ``{"time": "t (s)", "state": "behaviour"}``.

    Returns
    -------
    Recording
        The worm.

    Raises
    ------
    ValueError, TypeError
        If the table has another form, or is not a DataFrame.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.datasets import as_recording
    >>> table = pd.DataFrame({"t (s)": [0.0, 0.5], "AVAL": [0.1, 0.2], "behaviour": ["forward", "turn"]})
    >>> as_recording(table, "worm-a", columns={"time": "t (s)", "state": "behaviour"})
    Recording('worm-a': 2 frames at 2.00 a second, 1 neurons, 1 identified, with states)
    """
    if not isinstance(table, pd.DataFrame):
        raise TypeError(
            f"table is a {type(table).__name__}; pass a pandas DataFrame, or make a Recording of arrays yourself"
        )
    return _recording(table, columns or {}, fps, worm, dataset, type(table).__name__)
