"""One worm's recording, validated once, and the names that identify a neuron."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

_NUMBERED = {"AS": 11, "DA": 9, "DB": 7, "DD": 6, "VA": 12, "VB": 11, "VC": 6, "VD": 13}
_OTHERS = """
    ADAL ADAR ADEL ADER ADFL ADFR ADLL ADLR AFDL AFDR AIAL AIAR AIBL AIBR AIML AIMR AINL AINR AIYL AIYR AIZL AIZR
    ALA ALML ALMR ALNL ALNR AQR ASEL ASER ASGL ASGR ASHL ASHR ASIL ASIR ASJL ASJR ASKL ASKR AUAL AUAR AVAL AVAR AVBL
    AVBR AVDL AVDR AVEL AVER AVFL AVFR AVG AVHL AVHR AVJL AVJR AVKL AVKR AVL AVM AWAL AWAR AWBL AWBR AWCL AWCR BAGL
    BAGR BDUL BDUR CANL CANR CEPDL CEPDR CEPVL CEPVR DVA DVB DVC FLPL FLPR HSNL HSNR I1L I1R I2L I2R I3 I4 I5 I6
    IL1DL IL1DR IL1L IL1R IL1VL IL1VR IL2DL IL2DR IL2L IL2R IL2VL IL2VR LUAL LUAR M1 M2L M2R M3L M3R M4 M5 MCL MCR
    MI NSML NSMR OLLL OLLR OLQDL OLQDR OLQVL OLQVR PDA PDB PDEL PDER PHAL PHAR PHBL PHBR PHCL PHCR PLML PLMR PLNL
    PLNR PQR PVCL PVCR PVDL PVDR PVM PVNL PVNR PVPL PVPR PVQL PVQR PVR PVT PVWL PVWR RIAL RIAR RIBL RIBR RICL RICR
    RID RIFL RIFR RIGL RIGR RIH RIML RIMR RIPL RIPR RIR RIS RIVL RIVR RMDDL RMDDR RMDL RMDR RMDVL RMDVR RMED RMEL
    RMER RMEV RMFL RMFR RMGL RMGR RMHL RMHR SAADL SAADR SAAVL SAAVR SABD SABVL SABVR SDQL SDQR SIADL SIADR SIAVL
    SIAVR SIBDL SIBDR SIBVL SIBVR SMBDL SMBDR SMBVL SMBVR SMDDL SMDDR SMDVL SMDVR URADL URADR URAVL URAVR URBL URBR
    URXL URXR URYDL URYDR URYVL URYVR
"""
_OF_THE_MALE = """
    CEMDL CEMDR CEMVL CEMVR DVE DVF DX1 DX2 DX3 DX4 EF1 EF2 EF3 EF4 HOA HOB MCML MCMR PCAL PCAR PCBL PCBR PCCL PCCR
    PDC PGA PHDL PHDR PVV PVX PVY PVZ SPCL SPCR SPDL SPDR SPVL SPVR
"""

HERMAPHRODITE = frozenset(
    [*_OTHERS.split(), *(f"{name}{number:02}" for name, most in _NUMBERED.items() for number in range(1, most + 1))]
)
"""The 302 neurons of the hermaphrodite; motor neurons of one digit are written with two."""

MALE = frozenset(
    [
        *_OF_THE_MALE.split(),
        *(f"CA{number:02}" for number in range(1, 10)),
        *(f"CP{number:02}" for number in range(10)),
        *(f"R{number}{kind}{side}" for number in range(1, 10) for kind in "AB" for side in "LR"),
    ]
)
"""The neurons that only the male has."""

_ONE_DIGIT = re.compile(r"^(AS|DA|DB|DD|VA|VB|VC|VD|CA|CP)(\d)$")


def neuron_name(name: Any) -> str:
    """Return the name of a neuron as skworm writes it; any other text as it is.

    Parameters
    ----------
    name : str
        The name, of any case; motor neurons may have one digit.

    Returns
    -------
    str
        The name in capital letters, motor neurons with two digits.

    Examples
    --------
    >>> from skworm.recording import neuron_name
    >>> neuron_name("VB1"), neuron_name(" aval"), neuron_name("cell 3")
    ('VB01', 'AVAL', 'cell 3')
    """
    text = str(name)
    plain = _ONE_DIGIT.sub(r"\g<1>0\2", text.strip().upper())
    return plain if is_neuron(plain) else text


def is_neuron(name: str) -> bool:
    """Return whether a name, as skworm writes it, is that of a neuron of either sex: not ``"AVAL?"`` or ``"ROI_1"``."""
    return name in HERMAPHRODITE or name in MALE


# Control characters, which a terminal obeys, and formulas, which a spreadsheet runs.
_OBEYED = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]|^[=@]|^[+-].*[(|!]")

UNKNOWN = "unknown"
_LONGEST_STATE = 1000

STATES = (
    "forward",
    "slowing",
    "reverse_1",
    "reverse_2",
    "sustained_reverse",
    "reverse",
    "dorsal_turn",
    "ventral_turn",
    "turn",
    "quiescence",
    UNKNOWN,
)
"""Every state name that skworm knows, in the order of tables, axes and legends."""

_MOVING = ("forward", "forward", *["reverse"] * 4)
_TURNS = ("dorsal_turn", "ventral_turn", "turn")

VOCABULARIES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "7": {**{name: name for name in (*STATES[:5], *_TURNS[:2], UNKNOWN)}, "quiescence": UNKNOWN},
        "4": dict(zip(STATES, (*_MOVING, *_TURNS, UNKNOWN, UNKNOWN), strict=True)),
        "nichols": dict(zip(STATES, (*_MOVING, *["turn"] * 3, "quiescence", UNKNOWN), strict=True)),
        "2": dict(zip(STATES, (*_MOVING, *[UNKNOWN] * 5), strict=True)),
    }
)
"""What each state of :data:`STATES` becomes in each vocabulary.

``"4"`` keeps ``turn`` where a recording does not say to which side the worm turned.
"""


def map_states(states: Any, vocabulary: str | Mapping[str, str]) -> Any:
    """Translate state names into a coarser vocabulary.

    Parameters
    ----------
    states : pandas.Series or array-like of str, shape (n_frames,)
        State names.
    vocabulary : {"7", "4", "nichols", "2"} or mapping of str to str
        ``"7"`` keeps the seven states of Kato et al. 2015; ``"4"`` is reverse, forward, dorsal_turn and ventral_turn;
        ``"nichols"`` is reverse, forward, turn and quiescence; ``"2"`` is forward (with slowing) against reverse. What
        a vocabulary leaves out becomes ``"unknown"``. A mapping translates by itself.

    Returns
    -------
    pandas.Series or numpy.ndarray of str, shape (n_frames,)
        The translated names; a Series keeps its index.

    Raises
    ------
    ValueError
        If the vocabulary does not exist, or a state has no translation in it.

    References
    ----------
    Wang et al. 2021, Supplementary Information, "Experimental Procedures".

    Examples
    --------
    >>> from skworm.frames import map_states
    >>> map_states(["slowing", "reverse_2", "dorsal_turn"], "2")
    array(['forward', 'reverse', 'unknown'], dtype='<U7')
    """
    translation = vocabulary if isinstance(vocabulary, Mapping) else VOCABULARIES.get(vocabulary)
    if translation is None:
        raise ValueError(
            f"{vocabulary!r} is not a vocabulary of states; choose one of {sorted(VOCABULARIES)}, or pass a mapping "
            "of your state names"
        )
    names, codes = np.unique(np.asarray(states, dtype=str), return_inverse=True)
    if missing := [str(name) for name in names if name not in translation]:
        raise ValueError(
            f"states {missing} have no translation into the vocabulary {vocabulary!r}, which knows "
            f"{sorted(translation)}; rename each to one of these with "
            f"load_recordings(..., rename_states={{{missing[0]!r}: ...}}), or pass a mapping of your state names"
        )
    translated = np.array([translation[name] for name in names], dtype=str)[codes]
    if isinstance(states, pd.Series):
        return pd.Series(translated, index=states.index, name=states.name)
    return translated


def repeated(names: Iterable[str]) -> list[str]:
    """Return the names that occur more than once, sorted."""
    return sorted(name for name, count in Counter(names).items() if count > 1)


@dataclass(frozen=True, eq=False, repr=False)
class Recording:
    """Calcium traces of one worm, with neuron names and behavioural states.

    Parameters
    ----------
    worm : str
        Name of the worm, unique within an analysis.
    traces : array-like of shape (n_frames, n_neurons)
        Fluorescence change dF/F of every neuron. NaN where a neuron was not measured.
    neurons : sequence of str, length n_neurons
        Unique names, written by :func:`neuron_name`. One that is not of a neuron, such as ``"ROI_1"`` or a number, is
        a trace that nobody identified.
    fps : float
        Frames a second.
    dataset : str, default=""
        The study or folder that the recording belongs to.
    time : array-like of shape (n_frames,), optional
        Seconds since the first frame, strictly increasing; from `fps` where absent.
    states : array-like of str, shape (n_frames,), optional
        Behavioural state of each frame, ``"unknown"`` where none is known.
    derivatives : array-like of shape (n_frames, n_neurons), optional
        The file's own time derivatives of `traces`, in dF/F a second.
    behavior : mapping of str to array-like of shape (n_frames,), optional
        Continuous signals, such as a velocity.
    source : str, default=""
        Where the recording came from.

    Raises
    ------
    ValueError
        If shapes disagree, names repeat, time runs backwards, or a trace is infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from skworm.recording import Recording
    >>> recording = Recording("worm-a", np.zeros((5, 2)), ["AVAL", "7"], fps=3.0, states=["forward"] * 5)
    >>> recording
    Recording('worm-a': 5 frames at 3.00 a second, 2 neurons, 1 identified, with states)
    >>> recording.identified
    ('AVAL',)
    """

    worm: str
    traces: np.ndarray
    neurons: tuple[str, ...]
    fps: float
    dataset: str = ""
    time: np.ndarray = None  # type: ignore[assignment]  # filled from fps
    states: np.ndarray | None = None
    derivatives: np.ndarray | None = None
    behavior: Mapping[str, np.ndarray] = field(default_factory=dict)
    source: str = ""

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        if not isinstance(self.worm, str) or not self.worm:
            raise ValueError(f"worm={self.worm!r} must be a non-empty name, such as 'kato-0'")
        traces = self._table("traces", self.traces)
        set_field(self, "traces", traces)
        set_field(self, "neurons", self._names(self.neurons, traces.shape[1]))
        if not np.isfinite(self.fps) or self.fps <= 0:
            raise ValueError(f"worm {self.worm!r}: fps={self.fps!r} must be a positive number of frames a second")
        set_field(self, "fps", float(self.fps))
        set_field(self, "time", self._times(self.time))
        if self.states is not None:
            # Every frame takes as much memory as the longest name.
            if longest := next((name for name in map(str, self.states) if len(name) > _LONGEST_STATE), ""):
                raise ValueError(
                    f"worm {self.worm!r}: the state {longest[:20]!r} has {len(longest)} letters; shorten it to at most "
                    f"{_LONGEST_STATE}"
                )
            states = self._per_frame("states", self.states, dtype=str)
            set_field(self, "states", np.where(states == "", UNKNOWN, states))
        if self.derivatives is not None:
            derivatives = self._table("derivatives", self.derivatives)
            if derivatives.shape != traces.shape:
                raise ValueError(
                    f"worm {self.worm!r}: derivatives have shape {derivatives.shape}, traces {traces.shape}; "
                    "both are (n_frames, n_neurons)"
                )
            set_field(self, "derivatives", derivatives)
        signals = {name: self._per_frame(name, values, dtype=float) for name, values in self.behavior.items()}
        set_field(self, "behavior", MappingProxyType(signals))
        found = [] if self.states is None else np.unique(self.states).tolist()
        for name in (self.worm, self.dataset, *self.neurons, *self.behavior, *found):
            if _OBEYED.search(str(name)):
                raise ValueError(
                    f"worm {self.worm!r}: the name {str(name)!r} holds characters that a terminal or a spreadsheet "
                    "would obey; rename it"
                )

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return self.traces.shape[0]

    @property
    def n_neurons(self) -> int:
        """Number of neurons, identified or not."""
        return self.traces.shape[1]

    @property
    def identified(self) -> tuple[str, ...]:
        """Names of the neurons that were identified, in the order of the columns."""
        return tuple(filter(is_neuron, self.neurons))

    def __repr__(self) -> str:
        states = "no states" if self.states is None else "with states"
        return (
            f"Recording({self.worm!r}: {self.n_frames} frames at {self.fps:.2f} a second, {self.n_neurons} neurons, "
            f"{len(self.identified)} identified, {states})"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        values = vars(self) | {"behavior": dict(self.behavior)}
        return type(self), tuple(values[each.name] for each in fields(self))

    def _table(self, name: str, values: Any) -> np.ndarray:
        table = np.array(values, dtype=np.float64)
        if table.ndim != 2 or 0 in table.shape:
            raise ValueError(
                f"worm {self.worm!r}: {name} have shape {table.shape}; a table (n_frames, n_neurons) with at least "
                "one of each is expected"
            )
        if np.isinf(table).any():
            frame, neuron = np.argwhere(np.isinf(table))[0]
            raise ValueError(
                f"worm {self.worm!r}: {name} are infinite at frame {frame} of neuron {self.neurons[neuron]!r}; "
                "replace the value by NaN or a number"
            )
        table.setflags(write=False)
        return table

    def _names(self, neurons: Any, n_neurons: int) -> tuple[str, ...]:
        names = tuple(map(neuron_name, neurons))
        if len(names) != n_neurons:
            raise ValueError(
                f"worm {self.worm!r}: {len(names)} neuron names for {n_neurons} traces; traces are "
                "(n_frames, n_neurons): transpose them if neurons come first"
            )
        if several := repeated(names):
            raise ValueError(
                f"worm {self.worm!r}: neuron names repeat: {several}; give each neuron one name, and an unidentified "
                "one a decimal number"
            )
        return names

    def _times(self, time: Any) -> np.ndarray:
        if time is None:
            return np.arange(self.n_frames) / self.fps
        times = self._per_frame("time", time, dtype=float)
        is_infinite, is_late = np.isinf(times), np.append(True, np.diff(times) > 0)
        if is_infinite.any():
            raise ValueError(f"worm {self.worm!r}: time is infinite at frame {is_infinite.argmax()}; it is in seconds")
        if not is_late.all():
            raise ValueError(
                f"worm {self.worm!r}: time does not increase at frame {is_late.argmin()}; it is in seconds, one value "
                "a frame"
            )
        return times

    def _per_frame(self, name: str, values: Any, dtype: type) -> np.ndarray:
        array: np.ndarray = np.array(values, dtype=dtype)
        if array.shape != (self.n_frames,):
            raise ValueError(
                f"worm {self.worm!r}: {name} has shape {array.shape}, but there are {self.n_frames} frames; "
                "give one value a frame"
            )
        array.setflags(write=False)
        return array
