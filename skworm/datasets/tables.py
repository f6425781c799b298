"""Read recordings from CSV, Parquet and Excel tables, and from tables in memory."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skworm.recording import STATES, UNKNOWN, Recording

_NAMES_IN_FILES = {name: name for name in STATES} | {
    "fwd": "forward",
    "slow": "slowing",
    "rev1": "reverse_1",
    "rev2": "reverse_2",
    "revsus": "sustained_reverse",
    "dt": "dorsal_turn",
    "vt": "ventral_turn",
    "nostate": UNKNOWN,
    "rev": "reverse",
    "reversal": "reverse",
    "quiescent": "quiescence",
}


def translate_states(states: Any, rename_states: Mapping[str, str] | None = None) -> np.ndarray:
    """Give states the names that skworm uses.

    Upper and lower case, spaces and hyphens make no difference. A name that neither `rename_states` nor skworm knows
    stays as it is.

    Parameters
    ----------
    states : array-like of str, shape (n_frames,)
        Names as a file gives them, such as ``"REVSUS"``.
    rename_states : mapping of str to str, optional
        Name in the file to skworm's name; goes before skworm's own table.

    Returns
    -------
    numpy.ndarray of str, shape (n_frames,)
        The translated names.

    Examples
    --------
    >>> from skworm.datasets.tables import translate_states
    >>> translate_states(["REVSUS", "Quiescence", "nostate", "feeding"]).tolist()
    ['sustained_reverse', 'quiescence', 'unknown', 'feeding']
    """
    names, codes = np.unique(np.asarray(states, dtype=str), return_inverse=True)
    renamed = dict(rename_states or {})
    translated = [renamed.get(name, _NAMES_IN_FILES.get(_plain(name), name)) for name in names.tolist()]
    return np.array(translated, dtype=str)[codes]


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def frame_rate(time: np.ndarray) -> float:
    """Compute the frames a second from time stamps: one over the median step.

    Parameters
    ----------
    time : numpy.ndarray of shape (n_frames,)
        Seconds, strictly increasing.

    Returns
    -------
    float
        Frames a second.

    Raises
    ------
    ValueError
        If there are fewer than two time stamps, or they do not increase.

    Examples
    --------
    >>> import numpy as np
    >>> from skworm.datasets.tables import frame_rate
    >>> frame_rate(np.array([0.0, 0.5, 1.0, 2.5]))
    2.0
    """
    if len(time) < 2:
        raise ValueError(f"{len(time)} time stamps give no frame rate; at least two frames are expected")
    steps = np.diff(time)
    if not np.all(steps > 0):
        frame = int(np.flatnonzero(~(steps > 0))[0]) + 1
        raise ValueError(f"time does not increase at frame {frame}; give it in seconds, one value a frame")
    return float(1 / np.median(steps))


def one_name_each(worm: str, names: Sequence[str]) -> list[str]:
    """Give numbers to the neurons that have no name, or one that another trace of the worm has too.

    Parameters
    ----------
    worm : str
        Name of the worm, for the warning.
    names : sequence of str
        Names, ``""`` where there is none.

    Returns
    -------
    list of str
        Unique names; numbers count from 1.

    Warns
    -----
    UserWarning
        If a name occurs twice.

    Examples
    --------
    >>> from skworm.datasets.tables import one_name_each
    >>> one_name_each("worm-a", ["AVAL", "", "RID"])
    ['AVAL', '2', 'RID']
    """
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated:
        warnings.warn(
            f"worm {worm!r}: the neurons {repeated} occur on several traces, which all count as unidentified; "
            "correct the names in the file to keep one",
            UserWarning,
            stacklevel=3,
        )
    return [name if name and name not in repeated else str(column) for column, name in enumerate(names, start=1)]


def frames_first(matrix: np.ndarray, field: str, n_neurons: int, n_frames: tuple[int, ...] | None) -> np.ndarray:
    """Turn a matrix so that frames come first.

    Parameters
    ----------
    matrix : numpy.ndarray of shape (n_frames, n_neurons) or (n_neurons, n_frames)
        Traces or derivatives.
    field : str
        What it is, for errors.
    n_neurons : int
        Neurons.
    n_frames : tuple of int or None
        Numbers of frames that are right; None where they are not known.

    Returns
    -------
    numpy.ndarray of shape (n_frames, n_neurons)
        The same values.

    Raises
    ------
    ValueError
        If neither or both of the orientations fit.
    """
    fitting = [
        table
        for table in (matrix, matrix.T)
        if table.shape[1] == n_neurons and (n_frames is None or table.shape[0] in n_frames)
    ]
    if len(fitting) == 1:
        return fitting[0]
    expected = f"{n_neurons} neuron names" + ("" if n_frames is None else f" and {n_frames[0]} frames")
    if not fitting:
        raise ValueError(
            f"{field} of shape {matrix.shape} fit {expected} neither as frames x neurons nor as neurons x frames; save "
            "one name for each trace and one time stamp for each frame"
        )
    raise ValueError(
        f"{field} of shape {matrix.shape} fit {expected} both as frames x neurons and as neurons x frames; save the "
        "worm as .npz or .csv, where the orientation is fixed"
    )


_TIME = "time"
_STATE = "state"
_BEHAVIOR_PREFIX = "behavior:"


def read_table(
    path: Path, *, dataset: str, fps: float | None = None, columns: Mapping[str, str] | None = None
) -> Recording:
    r"""Read one worm from a table with one row a frame.

    Parameters
    ----------
    path : pathlib.Path
        A ``.csv``, ``.parquet`` or ``.xlsx`` file, of the last its first sheet. The columns ``time`` (seconds),
        ``state`` and ``behavior:<name>`` are optional; every other column is a neuron's dF/F. An empty cell is NaN, an
        empty state is unknown.
    dataset : str
        Data set of the recording.
    fps : float, optional
        Frames a second, for a table without ``time``.
    columns : mapping of str to str, optional
        Columns that the table calls otherwise, such as ``{"time": "t (s)", "AVAL": "cell 3"}``.

    Returns
    -------
    Recording
        The worm, named by the stem of the file.

    Raises
    ------
    ValueError
        If the table is truncated, a cell is no number, a column is absent or repeats, or there is no frame rate.
    ImportError
        If a Parquet file is read without pyarrow, or an Excel file without openpyxl.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from skworm.datasets.tables import read_table
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "worm-a.csv")
    ...     _ = path.write_text("t (s),state,AVAL,behavior:velocity\n0.0,fwd,0.1,12\n0.5,rev1,0.2,-9\n")
    ...     read_table(path, dataset="mine", columns={"time": "t (s)"})
    Recording('worm-a': 2 frames at 2.00 a second, 1 neurons, 1 identified, with states)
    """
    suffix = path.suffix.lower()
    if suffix == ".csv":
        table = _read_csv(path, (columns or {}).get(_STATE, _STATE))
    else:
        table = _read_parquet(path) if suffix == ".parquet" else _read_excel(path)
    return recording_of_table(table, worm=path.stem, dataset=dataset, fps=fps, columns=columns, source=str(path))


def recording_of_table(
    table: pd.DataFrame,
    *,
    worm: str,
    dataset: str = "",
    fps: float | None = None,
    columns: Mapping[str, str] | None = None,
    source: str = "",
) -> Recording:
    """Make a recording of a table with one row a frame; columns are those of :func:`read_table`.

    Parameters
    ----------
    table : pandas.DataFrame
        The table.
    worm : str
        Name of the worm.
    dataset, source : str, default=""
        As in :class:`skworm.recording.Recording`.
    fps, columns
        As in :func:`read_table`.

    Returns
    -------
    Recording
        The worm.

    Raises
    ------
    ValueError
        As :func:`read_table` does.
    """
    table = _renamed(table, columns or {})
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
        raise ValueError(
            f"there is no column 'time', so the frame rate is unknown; pass fps=... in frames a second, or name the "
            f"column by columns={{'time': ...}}, one of {list(table.columns[:4])} ..."
        )
    return Recording(
        worm=worm,
        traces=np.column_stack([_numbers(table[name]) for name in neurons]),
        neurons=tuple(neurons),
        fps=fps,
        dataset=dataset,
        time=time,  # type: ignore[arg-type]  # filled from fps
        states=table[_STATE].astype(object).fillna(UNKNOWN).to_numpy(dtype=str) if _STATE in table else None,
        behavior={name.removeprefix(_BEHAVIOR_PREFIX): _numbers(table[name]) for name in behavior},
        source=source,
    )


def _renamed(table: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    found = [str(name).strip() for name in table.columns]
    absent = [column for column in columns.values() if column.strip() not in found]
    if absent:
        raise ValueError(f"columns={dict(columns)} names {absent}, which the table has not; it has {found}")
    twice = sorted({column for column in columns.values() if list(columns.values()).count(column) > 1})
    if twice:
        raise ValueError(f"columns={dict(columns)} gives the columns {twice} two meanings; give each one")
    role_of = {column.strip(): role for role, column in columns.items()}
    names = [role_of.get(name, name) for name in found]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"the columns {repeated} repeat; give each neuron one column")
    renamed = table.copy(deep=False)
    renamed.columns = pd.Index(names)
    return renamed


def _read_csv(path: Path, state: str) -> pd.DataFrame:
    try:
        header = _check_rows(path)
        return pd.read_csv(
            path, encoding="utf-8-sig", header=0, names=header, index_col=False, dtype={state.strip(): str}
        )
    except (UnicodeDecodeError, csv.Error, pd.errors.ParserError) as error:
        raise ValueError(f"this is no CSV text in UTF-8 ({error}); export the table again") from error


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
    except (ValueError, OSError, NotImplementedError) as error:
        raise ValueError(f"this is no whole Parquet file ({error}); export it again") from error
    return table


def _read_excel(path: Path) -> pd.DataFrame:
    try:
        import openpyxl  # noqa: F401  # pandas reads through it
    except ImportError as error:
        raise ImportError(f"{path}: reading Excel needs openpyxl; pip install skworm[excel]") from error
    try:
        table = pd.read_excel(path, engine="openpyxl")
    # The parser of a damaged workbook fails in many ways, in the archive, the XML or the cells.
    except Exception as error:
        raise ValueError(f"this is no whole Excel workbook (.xlsx) ({error}); save it again, or as CSV") from error
    unnamed = [place for place, name in enumerate(table.columns, start=1) if str(name).startswith("Unnamed: ")]
    if unnamed:
        raise ValueError(f"column {unnamed[0]} of the first sheet has no name; name it, or delete the column")
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


def as_recording(
    table: Any,
    worm: str,
    *,
    dataset: str = "",
    fps: float | None = None,
    columns: Mapping[str, str] | None = None,
) -> Recording:
    """Make a recording of a table in memory.

    Parameters
    ----------
    table : pandas.DataFrame, xarray.DataArray or xarray.Dataset
        A DataFrame has one row a frame and the columns of :func:`skworm.datasets.load_recordings`; an index named
        ``"time"`` counts as a column. A DataArray has the dimensions ``"time"`` and one of neurons, whose coordinate
        names them. A Dataset has one such variable; its variable ``"state"`` over time tells states, and every other
        over time is behaviour.
    worm : str
        Name of the worm.
    dataset : str, default=""
        Data set of the recording.
    fps : float, optional
        Frames a second, where there is no time.
    columns : mapping of str to str, optional
        Columns or variables that the table calls otherwise, such as ``{"time": "t (s)", "state": "behaviour"}``.

    Returns
    -------
    Recording
        The worm.

    Raises
    ------
    ValueError
        If the table has another form.
    TypeError
        If it is none of these.

    Examples
    --------
    >>> import pandas as pd
    >>> from skworm.datasets import as_recording
    >>> table = pd.DataFrame({"t (s)": [0.0, 0.5], "AVAL": [0.1, 0.2], "behaviour": ["forward", "turn"]})
    >>> as_recording(table, "worm-a", columns={"time": "t (s)", "state": "behaviour"})
    Recording('worm-a': 2 frames at 2.00 a second, 1 neurons, 1 identified, with states)
    """
    # An object of xarray exists only where xarray was imported already.
    module = type(table).__module__.partition(".")[0]
    if module == "xarray":
        table = _frame_of_xarray(table, dict(columns or {}))
    elif not isinstance(table, pd.DataFrame):
        raise TypeError(
            f"table is a {type(table).__name__}; pass a pandas DataFrame, an xarray DataArray or Dataset, or make a "
            "Recording of arrays yourself"
        )
    wanted = {_TIME, (columns or {}).get(_TIME)}
    if table.index.name in wanted and table.index.name not in table.columns:
        table = table.reset_index()
    return recording_of_table(table, worm=worm, dataset=dataset, fps=fps, columns=columns, source=type(table).__name__)


def _frame_of_xarray(data: Any, columns: dict[str, str]) -> pd.DataFrame:
    time, state = columns.get(_TIME, _TIME), columns.get(_STATE, _STATE)
    variables = (
        {str(name): array for name, array in data.data_vars.items()} if hasattr(data, "data_vars") else {"": data}
    )
    tables = {name: array for name, array in variables.items() if array.ndim == 2 and time in array.dims}
    if len(tables) != 1:
        dimensions = {name: array.dims for name, array in variables.items()}
        raise ValueError(
            f"{len(tables)} variables have the dimension {time!r} and one of neurons, and one is expected; the "
            f"dimensions are {dimensions}: select one, or name that of time by columns={{'time': ...}}"
        )
    ((name, traces),) = tables.items()
    (dimension,) = (dimension for dimension in traces.dims if dimension != time)
    if dimension not in traces.coords:
        raise ValueError(f"the dimension {dimension!r} has no coordinate; assign the names of the neurons to it")
    frame = pd.DataFrame(
        traces.transpose(time, dimension).to_numpy(), columns=list(map(str, traces.coords[dimension].to_numpy()))
    )
    if time in data.coords:
        frame[time] = data.coords[time].to_numpy()
    for other, array in variables.items():
        if other != name and array.dims == (time,):
            role = other if other == state or other in columns.values() else f"{_BEHAVIOR_PREFIX}{other}"
            frame[role] = array.to_numpy()
    return frame
