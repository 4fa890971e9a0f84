"""Keys for hash tables whose entries others choose.

Whoever knows how a table places its entries can publish ids that all want one place, so that each look-up
walks past all others (Crosby and Wallach, "Denial of service via algorithmic complexity attacks", USENIX
Security 2003). The places therefore depend on keys that differ from process to process. Of two different
entries in a table of n places, the chance that they want the same one is 1 in n whatever their bytes are
(the vector multiply-shift scheme; M. Thorup, "High speed hashing for integers and strings", 2015, 3.5).

Nothing that is stored or published depends on the keys: numbers follow from the order of the log.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_ALL = (1 << 64) - 1


def keys(seed: int, n: int) -> npt.NDArray[np.uint64]:
    """Return n keys that follow from a seed (SplitMix64: Steele, Lea and Flood, OOPSLA 2014).

    >>> keys(1, 2).tolist() == keys(1, 2).tolist() != keys(2, 2).tolist()
    True
    """
    found = []
    for i in range(1, n + 1):
        z = (seed + i * 0x9E3779B97F4A7C15) & _ALL
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _ALL
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _ALL
        found.append(z ^ (z >> 31))
    return np.array(found, np.uint64)
