"""Why a packet goes where it goes."""

from svcsim.explain.asking import Explanation, explain, why_dropped, why_not

__all__ = ["Explanation", "explain", "why_dropped", "why_not"]
