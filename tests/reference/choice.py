"""What `mechanism = "auto"` means, as a function of a metric's kind, size, goal and epsilon."""

from __future__ import annotations

from cyclotomic import ACCEPTABLE, Cyclotomic, best_cyclotomic
from exact import WORD
from folded_geometric import FoldedGeometric
from subset import Sets, Subset, auto_k, best_sets
from window import Window, best_window

Mechanism = Subset | Sets | Cyclotomic | Window | FoldedGeometric
MAX_SUBSET_VALUES = 256


def auto(kind: str, d: int, m: int | None, goal: str | None, epsilon: str) -> Mechanism:
    """d counts the values of the domain: 2 for a boolean, C + 1 for a count."""
    match kind:
        case "set":
            return best_sets(epsilon, d, m)
        case "ordered":
            return best_window(epsilon, d, goal)
        case "count":
            # The first of equals.
            return min(FoldedGeometric(epsilon, d - 1), best_window(epsilon, d, "mean"), key=lambda law: law.variance)
        case "boolean" | "categorical" if d <= MAX_SUBSET_VALUES:
            return Subset(epsilon, d, auto_k(epsilon, d))
        case "categorical":
            both = sorted((Subset(epsilon, d, 1), best_cyclotomic(epsilon, d)), key=lambda law: law.variance)
            alike = both[1].variance <= ACCEPTABLE * both[0].variance
            return min(both, key=lambda law: law.counters) if alike else both[0]
    raise ValueError(f"kind {kind} does not exist")


def family(mechanism: Mechanism) -> str:
    match mechanism:
        case Subset() | Sets():
            return "subset"
        case Cyclotomic():
            return "cyclotomic"
        case Window():
            return "window"
        case FoldedGeometric():
            return "folded_geometric"


def parameters(mechanism: Mechanism, goal: str | None) -> dict[str, int | str]:
    """The parameters as certificates name them. Integers that may pass 2^53 are text."""
    match mechanism:
        case Subset(d=d, k=k):
            named = {"d": d, "k": k, "m": 1}
        case Sets(d=d, m=m, k=k):
            named = {"D": mechanism.size, "d": d, "k": k, "m": m}
        case Cyclotomic(d=d, e=e, c=c):
            named = {"K": mechanism.K, "c": c, "d": d, "e": e, "g": mechanism.g, "r": mechanism.r}
        case Window(d=d, w=w):
            named = {"K": mechanism.K, "d": d, "goal": goal or "mean", "w": w}
        case FoldedGeometric(max=maximum):
            alpha = str(int(mechanism.alpha * WORD))
            return {"alpha_2_64": alpha, "max": maximum, "weights_sha256": mechanism.digest}
    return named | {"threshold": str(mechanism.threshold)}
