"""Which things are linked, over any number of others: disjoint sets that grow by pairs."""

from __future__ import annotations

import numpy as np


class Forest:
    """Disjoint sets of 0 to count - 1 that grow by links; ``root`` [count] tells the set of each."""

    def __init__(self, count: int) -> None:
        self.root = np.arange(count)
        self._links: list[tuple[int, int]] = []

    def add(self, pairs: np.ndarray) -> None:
        """Join what pairs int64 [m, 2] link, keeping those that are needed for it."""
        parent: dict[int, int] = {}

        def top(name: int) -> int:
            while name in parent:
                name = parent[name]
            return name

        for one, other in pairs.tolist():
            a, b = top(int(self.root[one])), top(int(self.root[other]))
            if a != b:
                parent[max(a, b)] = min(a, b)
                self._links.append((one, other))
        if parent:
            to = np.arange(len(self.root))
            for name in parent:
                to[name] = top(name)
            self.root = to[self.root]

    def links(self) -> np.ndarray:
        """int64 [M, 2], sorted: the pairs that were needed; fewer than ``count``."""
        return np.array(sorted(self._links), dtype=np.int64).reshape(-1, 2)
