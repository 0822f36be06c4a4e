"""Values as trees: whole when small, bounded whatever was stored."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from vigie.ui.value_tree import DEEPEST, LONGEST_TEXT, MOST_CHARACTERS, MOST_NODES, Node, tree_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


def every(nodes: tuple[Node, ...]) -> list[Node]:
    """All nodes of a tree."""
    return [found for node in nodes for found in (node, *every(node.children))]


def test_a_value_is_read_off_its_tree() -> None:
    """Names, kinds and texts of everything in it, in its order."""
    tree = tree_of({"a": 1.5, "b": [True, None, "<x>"], "c": {}})
    assert [(node.name, node.kind, node.text) for node in tree] == [
        ("a", "number", "1.5"), ("b", "list", ""), ("c", "text", "{}"),
    ]  # fmt: skip
    assert [(node.name, node.kind, node.text) for node in tree[1].children] == [
        ("0", "truth", "true"), ("1", "null", "null"), ("2", "text", "<x>"),
    ]  # fmt: skip
    assert tree_of("alone") == (Node("", "text", "alone"),)


@given(VALUES)
def test_every_part_is_shown_or_counted(value: Any) -> None:
    """Objects and lists have as many parts as they show and leave out; texts as many characters."""

    def agree(node: Node, shown: Any) -> None:
        if node.children:
            parts = list(shown.values()) if isinstance(shown, dict) else shown
            assert len(node.children) + node.left_out == len(parts)
            for child, part in zip(node.children, parts, strict=False):
                agree(child, part)
        elif isinstance(shown, str):
            assert node.text + shown[len(node.text) :] == shown
            assert node.cut == len(shown) - len(node.text)

    tree = tree_of(value)
    top = Node("", "list", children=tree) if isinstance(value, dict | list) and value else tree[0]
    agree(
        top if not top.children else Node("", "list", children=tree, left_out=len(value) - len(tree)), value
    )


def test_what_is_huge_is_cut_and_said() -> None:
    """Long lists, long texts, deep nesting: the page stays small."""
    (wide,) = tree_of({"wide": list(range(100_000))})
    assert len(wide.children) + wide.left_out == 100_000
    assert len(every((wide,))) <= MOST_NODES
    (long,) = tree_of({"long": "x" * 1_000_000})
    assert (len(long.text), long.cut) == (LONGEST_TEXT, 1_000_000 - LONGEST_TEXT)
    many = tree_of({str(n): "y" * LONGEST_TEXT for n in range(100)})
    assert sum(len(node.text) + len(node.name) for node in every(many)) <= MOST_CHARACTERS
    deep: Any = "bottom"
    for _ in range(200):
        deep = [deep]
    depth, node = 0, tree_of(deep)[0]
    while node.children:
        depth, node = depth + 1, node.children[0]
    assert depth == DEEPEST - 1
    assert "bottom" in node.text
