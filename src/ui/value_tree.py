"""A JSON value as a tree to read: bounded in nodes and text, whatever somebody stored."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

MOST_NODES: Final = 400
MOST_CHARACTERS: Final = 20_000
"""Of all texts of a tree together."""
LONGEST_TEXT: Final = 4_000
DEEPEST: Final = 12
"""Levels that open one in another; what lies deeper is shown as JSON."""

Kind = Literal["text", "number", "truth", "null", "object", "list"]


@dataclass(frozen=True, slots=True)
class Node:
    """One value with its name; an object or a list has its parts as `children`."""

    name: str
    kind: Kind
    text: str = ""
    """What a leaf shows."""
    children: tuple[Node, ...] = ()
    left_out: int = 0
    """Of an object or a list: how many parts are not shown."""
    cut: int = 0
    """Of a text: how many characters are not shown."""


def tree_of(value: object) -> tuple[Node, ...]:
    """Return the parts of `value`; a value that has none is itself the only one, without a name."""
    budget = _Budget()
    node = _node("", value, 0, budget)
    return node.children if node.kind in {"object", "list"} else (node,)


class _Budget:
    """What a tree may still show."""

    def __init__(self) -> None:
        self.nodes, self.characters = MOST_NODES, MOST_CHARACTERS

    def text(self, text: str) -> tuple[str, int]:
        """Return as much of `text` as may be shown, and how much is left out."""
        shown = text[: min(LONGEST_TEXT, max(0, self.characters))]
        self.characters -= len(shown)
        return shown, len(text) - len(shown)


def _node(name: str, value: object, depth: int, budget: _Budget) -> Node:
    budget.nodes -= 1
    name, _ = budget.text(name)
    if isinstance(value, Mapping | list) and value and depth < DEEPEST:
        parts = value.items() if isinstance(value, Mapping) else enumerate(value)
        children = tuple(_children(parts, depth, budget))
        kind: Kind = "object" if isinstance(value, Mapping) else "list"
        return Node(name, kind, children=children, left_out=len(value) - len(children))
    text, cut = budget.text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return Node(name, _kind(value), text, cut=cut)


def _children(parts: Any, depth: int, budget: _Budget) -> Iterator[Node]:
    for name, value in parts:
        if budget.nodes <= 0 or budget.characters <= 0:
            return
        yield _node(str(name), value, depth + 1, budget)


def _kind(value: object) -> Kind:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "truth"
    return "number" if isinstance(value, int | float) else "text"
