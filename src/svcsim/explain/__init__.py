"""Why a packet goes where it goes: hook by hook, rule by rule, with every branch of chance and the way back."""

from svcsim.explain.asking import explain, why_dropped
from svcsim.explain.branches import Branch, Branches
from svcsim.explain.explanation import Explanation
from svcsim.explain.shares import Share
from svcsim.explain.unmatched import why_not

__all__ = ["Branch", "Branches", "Explanation", "Share", "explain", "why_dropped", "why_not"]
