"""What the source says of the fields of a class."""

from __future__ import annotations

import ast
import inspect


def field_notes(kind: type) -> dict[str, str]:
    """The strings that stand below fields in the source, each as one line."""
    tree = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(tree, ast.ClassDef)
    found, name = {}, None
    for node in tree.body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=field)):
                name = field
            case ast.Expr(value=ast.Constant(value=str(text))) if name:
                found[name] = " ".join(text.split())
    return found
