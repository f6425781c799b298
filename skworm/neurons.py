"""Names of the neurons of C. elegans."""

from __future__ import annotations

import re
from typing import Any

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

    Motor neurons of one digit have two, letters are capital, and nothing stands around them.

    Parameters
    ----------
    name : str
        The name.

    Returns
    -------
    str
        The same name as skworm writes it.

    Examples
    --------
    >>> from skworm.neurons import neuron_name
    >>> neuron_name("VB1"), neuron_name("VB01"), neuron_name(" aval"), neuron_name("cell 3")
    ('VB01', 'VB01', 'AVAL', 'cell 3')
    """
    text = str(name)
    plain = _ONE_DIGIT.sub(r"\g<1>0\2", text.strip().upper())
    return plain if is_neuron(plain) else text


def is_neuron(name: str) -> bool:
    """Return whether a name, as skworm writes it, is that of a neuron of either sex: not ``"AVAL?"`` or ``"ROI_1"``."""
    return name in HERMAPHRODITE or name in MALE
