"""Pictures of the machines as text: one neutral graph, and a small renderer a format.

Every renderer gives the same text on every run and every Python version. What may not go in here: pixels, subprocesses, files.
"""

from .formats import FORMATS, Wanted
from .graph import MACHINES, Arrow, Graph, Machine, Move, Node, graph_of
from .palette import DARK, LIGHT, Palette
from .paths import conversation_moves, offer_moves

__all__ = [
    "DARK",
    "FORMATS",
    "LIGHT",
    "MACHINES",
    "Arrow",
    "Graph",
    "Machine",
    "Move",
    "Node",
    "Palette",
    "Wanted",
    "conversation_moves",
    "graph_of",
    "offer_moves",
]
