"""Names of what `--strength` can change in the engine. Imports nothing of it, because two virtualenvs read them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SHARES: Final = ("lasting", "moving")  # of the filter, in every language
CONSTANTS: Final[Mapping[str, str]] = MappingProxyType(  # of the filter
    {
        "unvoiced": "_UNVOICED_SHARE",
        "frames": "_SMOOTHED_FRAMES",
        "alike": "_ALIKE",
        "active": "_ACTIVE_NEPERS",
        "harmonics": "_HARMONICS_SHARE",
    }
)
TIMBRE: Final = "timbre"  # not in the languages of HOLD in styles.py, which add a shift instead
NAMES: Final = (*SHARES, *CONSTANTS, TIMBRE)
