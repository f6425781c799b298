"""Read recordings from MATLAB files, in the layouts of Kato et al. 2015 and Nichols et al. 2017."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skworm.datasets.matlab_v5 import read_matlab_values
from skworm.datasets.tables import frame_rate, frames_first, one_name_each
from skworm.recording import UNKNOWN, Recording

_LARGEST_EXPANSION = 2000
_SMALLEST_LIMIT = 10_000_000


def read_dataset(node: Any) -> np.ndarray:
    """Read a data set, unless it declares more than its file can hold."""
    limit = max(_SMALLEST_LIMIT, _LARGEST_EXPANSION * node.file.id.get_filesize())
    if node.shape is None or node.nbytes > limit:
        raise ValueError(f"{node.name} declares the shape {node.shape}, more than the file holds; download it again")
    return np.asarray(node[()])


_FIELDS = {
    "traces": ("deltaFOverF_bc", "traces"),
    "neurons": ("NeuronNames", "IDs"),
    "time": ("tv", "timeVectorSeconds", "timVectorSeconds"),
    "fps": ("fps",),
    "derivatives": ("derivs", "tracesDif"),
    "states": ("States", "FourStates"),
    "state_names": ("States_key", "FourStatesNames"),
    "worm": ("dataset", "trialname"),
}
_ALL_FIELDS = frozenset(name for names in _FIELDS.values() for name in names)
_FOUR_STATES = ("reversal", "forward", "quiescence", "turn")


def read_matlab(path: Path, *, dataset: str) -> list[Recording]:
    """Read worms from a MATLAB file of version 5 or 7.3.

    The file holds one struct, whose fields are cells of one entry a worm, or plain values of a single worm:

    ===============================================  =====================================================
    ``deltaFOverF_bc`` or ``traces``                 dF/F, frames x neurons or neurons x frames
    ``NeuronNames`` or ``IDs``                       a name, none, or several candidates for each neuron
    ``tv``, ``timeVectorSeconds``                    seconds (also ``timVectorSeconds``)
    ``fps``                                          frames a second; from the time stamps where absent
    ``derivs`` or ``tracesDif``                      derivatives of the traces (optional)
    ``States``                                       a struct of 0/1 vectors, or whole numbers (optional)
    ``FourStates``                                   whole numbers (optional)
    ``States_key``, ``FourStatesNames``              names of those numbers, counted from 1
    ``dataset`` or ``trialname``                     name of the worm (optional)
    ===============================================  =====================================================

    - A neuron without a name, with several candidates, or with a name that occurs twice in the worm, counts as
      unidentified: it is called by its column, counted from 1.
    - Derivatives of as many frames as the traces are taken as they are. One frame fewer means differences
      ``x[t + 1] - x[t]``: divided by the time step they become the derivative at ``t + 1``, and the first frame repeats
      the second.
    - ``FourStates`` without names are reversal, forward, quiescence, turn, in this order. A frame without any flag,
      or with the number NaN, is unknown.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    dataset : str
        Data set of the recordings.

    Returns
    -------
    list of Recording
        The worms, named by the file, else after its stem; states have the file's names.

    Raises
    ------
    ValueError
        If the file is damaged, no struct is known, or its fields do not fit together.

    Warns
    -----
    UserWarning
        If a name occurs twice in a worm.

    References
    ----------
    Kato et al. 2015, Cell 163, 656-669. Nichols et al. 2017, Science 356, eaam6851.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from scipy.io import savemat
    >>> from skworm.datasets.matlab import read_matlab
    >>> worm = {"traces": np.zeros((5, 2)), "IDs": np.array(["AVAL", ""], dtype=object), "fps": 3.0}
    >>> with TemporaryDirectory() as folder:
    ...     savemat(Path(folder, "mine.mat"), {"mine": worm})
    ...     read_matlab(Path(folder, "mine.mat"), dataset="mine")
    [Recording('mine': 5 frames at 3.00 a second, 2 neurons, 1 identified, no states)]
    """
    worms = _worms_of(_find_struct(read_matlab_values(path, _ALL_FIELDS)))
    names = _worm_names(worms, path.stem)
    return [_recording(name, worm, dataset, str(path)) for name, worm in zip(names, worms, strict=True)]


def _find_struct(variables: dict[str, Any]) -> Any:
    structs = {name: value for name, value in variables.items() if _is_known(value)}
    if not structs and _is_known(variables):
        return variables
    if len(structs) != 1:
        found = {name: list(value) if isinstance(value, dict) else type(value) for name, value in variables.items()}
        problem = f"several structs {list(structs)} hold" if structs else "no struct holds"
        raise ValueError(
            f"{problem} traces and neuron names: the variables and their fields are {found}; save one struct with a "
            f"field of each of {_FIELDS['traces']} and {_FIELDS['neurons']}"
        )
    return next(iter(structs.values()))


def _is_known(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, dict) and _is_known(item) for item in value)
    return (
        isinstance(value, dict) and _field_of(value, "traces") is not None and _field_of(value, "neurons") is not None
    )


def _field_of(struct: Mapping[str, Any], role: str) -> str | None:
    return next((name for name in _FIELDS[role] if not _is_empty(struct.get(name))), None)


def _is_empty(value: Any) -> bool:
    return value is None or (value.size if isinstance(value, np.ndarray) else len(value)) == 0


def _worms_of(struct: Any) -> list[dict[str, Any]]:
    if isinstance(struct, list):
        return [worm for item in struct for worm in _worms_of(item)]
    fields = {role: name for role in _FIELDS if (name := _field_of(struct, role)) is not None}
    values = {role: struct[name] for role, name in fields.items()}
    values["states_field"] = fields.get("states")
    if not isinstance(values["traces"], list):
        return [values]
    n_worms = len(values["traces"])
    for role, value in values.items():
        if role != "state_names" and isinstance(value, list) and len(value) != n_worms:
            raise ValueError(
                f"field {fields[role]!r} has {len(value)} cells, {fields['traces']!r} has {n_worms}; give each worm one"
            )
    return [{role: _share(role, value, worm, n_worms) for role, value in values.items()} for worm in range(n_worms)]


def _share(role: str, value: Any, worm: int, n_worms: int) -> Any:
    if role == "state_names" and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    if isinstance(value, list) and len(value) == n_worms:
        return value[worm]
    if role == "fps" and isinstance(value, np.ndarray) and value.size == n_worms:
        return value.ravel()[worm : worm + 1]
    return value


def _worm_names(worms: Sequence[Mapping[str, Any]], stem: str) -> list[str]:
    own = [_only_item(worm.get("worm")) for worm in worms]
    if len(set(map(str, own))) == len(worms) and all(isinstance(name, str) and name.strip() for name in own):
        return [name.strip() for name in own]
    return [stem] if len(worms) == 1 else [f"{stem}-{worm}" for worm in range(len(worms))]


def _recording(name: str, worm: Mapping[str, Any], dataset: str, source: str) -> Recording:
    try:
        neurons = _neuron_names(name, worm["neurons"])
        time = None if _is_empty(worm.get("time")) else _numbers(worm["time"], "time").ravel()
        n_frames = None if time is None else (len(time),)
        traces = frames_first(_numbers(worm["traces"], "traces"), "traces", len(neurons), n_frames)
        fps = _frame_rate(worm.get("fps"), time)
        steps = np.full(len(traces) - 1, 1 / fps) if time is None else np.diff(time)
        states = None if _is_empty(worm.get("states")) else _states(worm, len(traces))
        derivatives = None
        if not _is_empty(worm.get("derivatives")):
            derivatives = _derivatives(worm["derivatives"], traces.shape, steps)
    except ValueError as error:
        raise ValueError(f"worm {name!r}: {error}") from error
    return Recording(
        worm=name,
        traces=traces,
        neurons=tuple(neurons),
        fps=fps,
        dataset=dataset,
        time=time,  # type: ignore[arg-type]  # filled from fps
        states=states,
        derivatives=derivatives,
        source=source,
    )


def _only_item(value: Any) -> Any:
    while isinstance(value, (list, dict)) and len(value) == 1:
        value = value[0] if isinstance(value, list) else next(iter(value.values()))
    return value


def _numbers(value: Any, field: str) -> np.ndarray:
    array = _only_item(value)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        raise ValueError(f"{field} are {type(array).__name__}, not an array of numbers; save a numeric matrix")
    return array.astype(float)


def _neuron_names(worm: str, value: Any) -> list[str]:
    while isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
    cells = value if isinstance(value, list) else [value]
    candidates = [list(dict.fromkeys(_candidates(cell))) for cell in cells]
    names = [found[0] if len(found) == 1 else "" for found in candidates]
    return one_name_each(worm, names)


def _candidates(value: Any) -> list[str]:
    if isinstance(value, (list, dict)):
        items = value if isinstance(value, list) else value.values()
        return [name for item in items for name in _candidates(item)]
    is_name = isinstance(value, str) and any(map(str.isalpha, value))
    return [value.strip()] if is_name else []


def _frame_rate(value: Any, time: np.ndarray | None) -> float:
    if _is_empty(value):
        if time is None:
            raise ValueError(f"neither 'fps' nor a time vector is there; save 'fps' or one of {_FIELDS['time']}")
        return frame_rate(time)
    fps = _numbers(value, "fps").ravel()
    if fps.size != 1:
        raise ValueError(f"fps has {fps.size} values; save one number of frames a second for each worm")
    return float(fps[0])


def _derivatives(value: Any, shape: tuple[int, ...], steps: np.ndarray) -> np.ndarray:
    if isinstance(value, dict) and "traces" in value:
        value = value["traces"]
    n_frames, n_neurons = shape
    table = frames_first(_numbers(value, "derivatives"), "derivatives", n_neurons, (n_frames, n_frames - 1))
    if len(table) == n_frames:
        return table
    rates = table / steps[:, np.newaxis]
    return np.concatenate([rates[:1], rates])


def _states(worm: Mapping[str, Any], n_frames: int) -> np.ndarray:
    value = _only_item(worm["states"])
    if isinstance(value, dict):
        return _states_from_flags(value, n_frames)
    codes = _numbers(value, worm["states_field"]).ravel()
    if len(codes) != n_frames:
        raise ValueError(f"{worm['states_field']} have {len(codes)} values for {n_frames} frames; save one a frame")
    names, numbers = _state_key(worm)
    unknown = np.isnan(codes)
    wrong = np.flatnonzero(~unknown & ~np.isin(codes, numbers))
    if len(wrong):
        raise ValueError(
            f"state {codes[wrong[0]]:g} at frame {wrong[0]} is none of {dict(zip(numbers, names, strict=True))}; "
            f"save its name in one of {_FIELDS['state_names']}, or NaN where no state is known"
        )
    name_of = dict(zip(numbers, names, strict=True))
    return np.array([UNKNOWN if np.isnan(code) else name_of[int(code)] for code in codes], dtype=str)


def _state_key(worm: Mapping[str, Any]) -> tuple[list[str], list[int]]:
    key = worm.get("state_names")
    if isinstance(key, dict) and len(key) > 1:
        return list(key), [int(_numbers(number, "states key").item()) for number in key.values()]
    if _is_empty(key) and worm["states_field"] != "FourStates":
        raise ValueError("the states are numbers without names; save 'States_key', the name of each number")
    names = list(_FOUR_STATES) if _is_empty(key) else _only_item(key)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"the names of the states are {names!r}; save a cell of text, one name a state")
    return names, list(range(1, len(names) + 1))


def _states_from_flags(flags: Mapping[str, Any], n_frames: int) -> np.ndarray:
    columns = {name: _numbers(flag, f"flags of state {name!r}").ravel() for name, flag in flags.items()}
    for name, column in columns.items():
        if len(column) != n_frames or not np.isin(column, (0, 1)).all():
            raise ValueError(
                f"the flags of state {name!r} are {len(column)} values for {n_frames} frames; save a 0 or 1 a frame"
            )
    names, table = np.array([*columns, UNKNOWN]), np.column_stack(list(columns.values()))
    several = np.flatnonzero(table.sum(axis=1) > 1)
    if len(several):
        both = names[:-1][table[several[0]] == 1].tolist()
        raise ValueError(f"frame {several[0]} is in the states {both} at once; leave one flag a frame")
    return names[np.where(table.any(axis=1), table.argmax(axis=1), len(columns))]
