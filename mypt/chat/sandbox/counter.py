"""What templates are made to do before they do what they say: to count it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jinja2 import nodes, pass_context
from jinja2.ext import Extension
from jinja2.visitor import NodeTransformer

from mypt.chat.sandbox.budget import STEP, Budget, measure

if TYPE_CHECKING:
    from jinja2.runtime import Context

# Not a name in Jinja, so that no template can read or set it.
BUDGET = "the budget"


def find_budget(context: Context) -> Budget:
    """Return the budget of a rendering."""
    budget: Budget = context.parent[BUDGET]
    return budget


class Counter(Extension):
    """What a prepared template calls."""

    @pass_context
    def step(self, context: Context, size: int) -> str:
        """Count one turn of a loop, or one call of a macro, which writes at least so much."""
        find_budget(context).use(size)
        return ""

    @pass_context
    def concat(self, context: Context, *parts: Any) -> str:
        """Return what `~` makes of its parts."""
        budget = find_budget(context)
        budget.allow(measure(parts, budget.largest))
        return "".join(map(str, parts))

    def cut(self, value: Any, *bounds: Any) -> Any:
        """Return a slice."""
        return value[slice(*bounds)]

    def made(self, value: Any) -> Any:
        """Return a list or dictionary that a template writes; `call` counts it."""
        return value


class CountingTransformer(NodeTransformer):
    """Puts calls of `Counter` into a template."""

    def __init__(self, counter: Extension) -> None:
        """Create it; `counter` is the `Counter` of the environment."""
        self._counter = counter

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        """Count each turn of a loop."""
        self.generic_visit(node)
        node.body.insert(0, self._step(node, node.body))
        return node

    visit_Macro = visit_CallBlock = visit_For  # noqa: N815 - the visitor looks for these

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        """Count what `~` makes."""
        self.generic_visit(node)
        return self._call("concat", node.nodes, node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        """Count what a slice makes."""
        self.generic_visit(node)
        if not isinstance(node.arg, nodes.Slice):
            return node
        bounds = (node.arg.start, node.arg.stop, node.arg.step)
        none = nodes.Const(None)
        return self._call("cut", [node.node, *(one or none for one in bounds)], node)

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802
        """Count a list that is written."""
        self.generic_visit(node)
        return self._call("made", [node], node)

    visit_Dict = visit_List  # noqa: N815

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802
        """Count a tuple that is written."""
        self.generic_visit(node)
        return self._call("made", [node], node) if node.ctx == "load" else node

    def _step(self, node: nodes.Node, body: list[nodes.Node]) -> nodes.Node:
        written = sum(len(one.data) for part in body for one in part.find_all(nodes.TemplateData))
        call = self._call("step", [nodes.Const(STEP + written)], node)
        return nodes.ExprStmt(call).set_lineno(node.lineno)

    def _call(self, name: str, arguments: list[nodes.Expr], node: nodes.Node) -> nodes.Call:
        return self._counter.call_method(name, arguments, lineno=node.lineno)
