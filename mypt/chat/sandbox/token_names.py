"""The special tokens that a template names, as one character each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

if TYPE_CHECKING:
    from collections.abc import Mapping

# Filters whose arguments are written; those of others are looked for.
_WRITTEN = ("d", "default", "join")


class NamedTokens(NodeTransformer):
    """Replaces the names of special tokens in a template where it writes them.

    Where it looks for them in what it reads, as in comparisons and in arguments of methods, they
    stay as they are.
    """

    def __init__(self, char_of: Mapping[str, str]) -> None:
        """Create it for special tokens, each with its character; the longest come first."""
        self._char_of = char_of
        self._pattern = re.compile("|".join(map(re.escape, char_of)) or "(?!)")

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Node:  # noqa: N802
        """Replace the names in text."""
        node.data = self._replace(node.data)
        return node

    def visit_Const(self, node: nodes.Const) -> nodes.Node:  # noqa: N802
        """Replace the names in a constant."""
        if isinstance(node.value, str):
            node.value = self._replace(node.value)
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        """Leave what is compared as it is."""
        return node

    visit_Test = visit_Compare  # noqa: N815 - the visitor looks for these

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:  # noqa: N802
        """Replace the names in what is filtered."""
        if node.name in _WRITTEN:
            return self.generic_visit(node)
        if node.node is not None:
            node.node = self.visit(node.node)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        """Leave the name of an item as it is."""
        node.node = self.visit(node.node)
        return node

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802
        """Leave the arguments of a method as they are."""
        if not isinstance(node.node, nodes.Getattr):
            return self.generic_visit(node)
        node.node = self.visit(node.node)
        return node

    def visit_Pair(self, node: nodes.Pair) -> nodes.Node:  # noqa: N802
        """Leave the key of a dictionary as it is."""
        node.value = self.visit(node.value)
        return node

    def _replace(self, text: str) -> str:
        return self._pattern.sub(lambda found: self._char_of[found[0]], text)
