"""What a careless hand could change in one line: the mutants of a module, each one small change in one function.

Only what decides something is changed: comparisons, conditions, numbers, booleans, arithmetic, calls that act, what is
returned. Words for a person are left alone: whether a sentence is right is for the tests of the surface.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.Mod: ast.Mult,
}
SWAPPED_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """One change: in which function (`qualname`, and the line on which its code begins), where, and what was made of what.

    `number` counts the changes of the module, in the order in which `mutants` gives them.
    """

    path: Path
    number: int
    qualname: str
    first_line: int
    line: int
    before: str
    after: str

    @property
    def told(self) -> str:
        """For a person: file, line, function, and the change."""
        return f"{self.path}:{self.line} {self.qualname}: {self.before}  →  {self.after}"


Function = ast.FunctionDef | ast.AsyncFunctionDef


def mutants(path: Path, source: str) -> list[Mutant]:
    """All mutants of a module's functions."""
    found: list[Mutant] = []
    for function, qualname in _functions(ast.parse(source)):
        for node, changed in _changes(function):
            found.append(
                Mutant(
                    path,
                    len(found),
                    qualname,
                    _first_line(function),
                    getattr(node, "lineno", function.lineno),
                    _short(node),
                    _short(changed),
                )
            )
    return found


def mutated_code(mutant: Mutant, source: str) -> CodeType:
    """The code object of the mutant's function, with the change made."""
    tree = ast.parse(source)
    number = 0
    for function, _ in _functions(tree):
        for node, changed in _changes(function):
            if number == mutant.number:
                _replace(function, node, changed)
                ast.fix_missing_locations(tree)
                return _find(compile(tree, str(mutant.path.resolve()), "exec"), mutant)
            number += 1
    raise LookupError(mutant.told)


def _functions(tree: ast.Module) -> Iterator[tuple[Function, str]]:
    """The functions at the top of the module and of its classes; those inside of them belong to them."""
    yield from _in(tree.body, "")


def _in(body: list[ast.stmt], prefix: str) -> Iterator[tuple[Function, str]]:
    for node in body:
        if isinstance(node, Function):
            yield node, prefix + node.name
        elif isinstance(node, ast.ClassDef):
            yield from _in(node.body, f"{prefix}{node.name}.")


def _first_line(function: Function) -> int:
    return min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])


def _find(code: CodeType, mutant: Mutant) -> CodeType:
    for constant in code.co_consts:
        if not isinstance(constant, CodeType):
            continue
        if (constant.co_qualname, constant.co_firstlineno) == (mutant.qualname, mutant.first_line):
            return constant
        if mutant.qualname.startswith(constant.co_qualname + "."):
            return _find(constant, mutant)
    raise LookupError(mutant.told)


def _changes(function: Function) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Every node that is changed, with what it becomes."""
    quiet = set(map(id, _not_deciding(function)))
    for statement in function.body:
        for node in ast.walk(statement):
            if id(node) not in quiet:
                for changed in _changed(node):
                    yield node, changed


def _not_deciding(function: Function) -> Iterator[ast.AST]:
    """What no mutant is made of: words (what is raised or formatted), what only a type checker reads, asserts."""
    for node in ast.walk(function):
        if isinstance(node, ast.JoinedStr | ast.Assert):
            yield from ast.walk(node)
        elif isinstance(node, ast.Raise) and node.exc is not None:
            yield from ast.walk(node.exc)
        elif isinstance(node, ast.AnnAssign):
            yield from ast.walk(node.annotation)
        elif isinstance(node, ast.arguments):
            yield from ast.walk(node)
        elif isinstance(node, Function) and node.returns is not None:
            yield from ast.walk(node.returns)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr) and _is_none(node.left, node.right):
            yield node
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "cast":
            yield from ast.walk(node.args[0])


def _changed(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(left=left, ops=[first, *more], comparators=comparators):
            for other in COMPARISONS.get(type(first), ()):
                yield ast.Compare(left, [other(), *more], comparators)
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            for at in range(len(values)):
                rest = values[:at] + values[at + 1 :]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.If(test=test) | ast.IfExp(test=test) if not isinstance(test, ast.Compare | ast.UnaryOp):
            changed = copy.copy(node)
            changed.test = ast.UnaryOp(ast.Not(), test)
            yield changed
        case ast.comprehension(ifs=[_, *_] as conditions):
            for at in range(len(conditions)):
                shorter = copy.copy(node)
                shorter.ifs = conditions[:at] + conditions[at + 1 :]
                yield shorter
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC and not _is_text(left, right):
            yield ast.BinOp(left, ARITHMETIC[type(op)](), right)
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
        case ast.Call(func=ast.Name(id=name)) if name in SWAPPED_NAMES:
            yield ast.Call(ast.Name(SWAPPED_NAMES[name], ast.Load()), node.args, node.keywords)
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise():
            yield ast.Pass()
        case ast.Continue():
            yield ast.Pass()
        case ast.Return(value=ast.Call() | ast.ListComp() | ast.GeneratorExp()):
            yield ast.Return(ast.Constant(None))


def _is_none(*sides: ast.expr) -> bool:
    """Whether it is the type `X | None`."""
    return any(isinstance(side, ast.Constant) and side.value is None for side in sides)


def _is_text(*sides: ast.expr) -> bool:
    return any(
        isinstance(side, ast.JoinedStr) or isinstance(getattr(side, "value", None), str | bytes) for side in sides
    )


def _replace(function: Function, old: ast.AST, new: ast.AST) -> None:
    class Replace(ast.NodeTransformer):
        def generic_visit(self, node: ast.AST) -> ast.AST:
            return ast.copy_location(new, old) if node is old else super().generic_visit(node)

    new_body = [Replace().visit(statement) for statement in function.body]
    function.body = new_body


def _short(node: ast.AST) -> str:
    if isinstance(node, ast.If | ast.IfExp):
        return f"if {ast.unparse(node.test)}"
    if isinstance(node, ast.comprehension):
        return f"for {ast.unparse(node.target)} … {' '.join('if ' + ast.unparse(each) for each in node.ifs)}".rstrip()
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 100 else text[:97] + "…"
