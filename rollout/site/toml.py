"""Reads the operator's TOML files, and describes what is wrong with a value in one."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Sequence
from datetime import date, time
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from rollout.errors import Refused

_LONGEST = 200  # characters of a value that are shown
_DEEPEST = 3  # tables within tables that are shown
_IN_WORDS = {
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
    "dict_type": "expected a table",
    "float_parsing": "expected a number",
    "float_type": "expected a number",
    "int_from_float": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_type": "expected a whole number",
    "model_type": "expected a table",  # pydantic would name a class of ours
    "string_type": "expected text in quotes",
    "tuple_type": "expected a list",
}
"""Errors of pydantic that it tells in words of Python."""
_SECRET = re.compile(r"client$|pass|secret|token", re.IGNORECASE)


def load(path: Path, todo: str = "") -> dict[str, Any]:
    """Read a TOML file. Raises Refused, with this `todo`, when it cannot be read."""
    if path.exists() and not path.is_file() and not path.is_dir():  # reading a fifo waits for ever
        raise Refused(f"{path}: is not a file; expected a TOML file", todo=todo)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # an editor may write a BOM
    except IsADirectoryError:
        raise Refused(f"{path}: is a directory; expected a TOML file", todo=todo) from None
    except OSError as error:
        raise Refused(f"{path}: cannot be read: {error.strerror}", todo=todo) from None
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise Refused(
            f"{path}: not TOML: the byte {byte:#04x} at offset {error.start} is not UTF-8",
            todo="save the file as UTF-8",
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise Refused(f"{path}: not TOML: {error}", todo="correct that line") from None
    except RecursionError:
        raise Refused(f"{path}: brackets are nested too deeply", todo=todo) from None
    except ValueError:  # from int(), which reads no more digits than sys.get_int_max_str_digits()
        raise Refused(f"{path}: a number has too many digits", todo=todo) from None


def problems(items: Sequence[Any], model: type[BaseModel], *above: str) -> list[str]:
    """A line for each error of pydantic in this model. `above` is the key of the table.

    Not for a list that pydantic calls too short since it left out what is wrong in it.
    """
    wrong = [item["loc"] for item in items]
    return [
        problem(item, *above, known=_keys(model, item["loc"][:-1]))
        for item in items
        if item["type"] != "too_short" or not any(_within(item["loc"], each) for each in wrong)
    ]


def _within(table: Sequence[Any], key: Sequence[Any]) -> bool:
    return len(key) > len(table) and tuple(key[: len(table)]) == tuple(table)


def problem(item: Any, *above: str, known: Iterable[str] = ()) -> str:
    """A line for one error of pydantic: key, value and what was expected.

    `above` is the key of the table, `known` are the keys that it may have.
    """
    key = _key((*above, *item["loc"]))
    if item["type"] == "missing":
        return f"{key}: missing, and needed"
    value = '"..."' if _SECRET.search(key) else shown(item["input"])  # it is written to logs, too
    return f"{key} = {value}: {_expected(item, known)}"


def _key(parts: Iterable[Any]) -> str:
    """A dotted key; the position in a list is told as people count."""
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f", entry {part + 1}"
        elif text.rpartition(", ")[2].startswith("entry "):
            text += f": {_printable(str(part))}"
        else:
            text += f".{_printable(str(part))}" if text else _printable(str(part))
    return text


def _expected(item: Any, known: Iterable[str]) -> str:
    if item["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(item["loc"][-1]), list(known), n=1)
        return f"unknown key; did you mean {close[0]}?" if close else "unknown key"
    if item["type"] in _IN_WORDS:
        return _IN_WORDS[item["type"]]
    text: str = item["msg"]
    return text.removeprefix("Value error, ").replace("Input should be ", "expected ")


def _keys(model: type[BaseModel], table: Sequence[Any]) -> list[str]:
    """The keys that a table of the file may have; `table` is its place in the model."""
    kind: Any = model
    for part in table:
        fields = _fields(kind)
        kind = fields.get(part) if fields else _table_in(kind)
    return list(_fields(kind))


def _fields(kind: Any) -> dict[str, Any]:
    """The keys of a model, with their types; none of another type."""
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return {}
    found = kind.model_fields.items()
    return {field.alias or name: field.annotation for name, field in found}


def _table_in(kind: Any) -> Any:
    """The model in a list or a dictionary of models."""
    return next((each for each in get_args(kind) if _fields(each)), None)


def shown(value: Any) -> str:
    """A value in TOML syntax, on one line of limited length."""
    text = _text(value, _DEEPEST)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _text(value: Any, depth: int) -> str:
    if isinstance(value, (list, dict)):
        return _nested(value, depth - 1) if depth else "..."
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, int) and abs(value) >= 10**_LONGEST:
        return f"a number of more than {_LONGEST} digits"
    return repr(value)


def _nested(value: list[Any] | dict[str, Any], depth: int) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_text(each, depth) for each in value)}]"
    pairs = [f"{_printable(key)} = {_text(each, depth)}" for key, each in value.items()]
    return f"{{ {', '.join(pairs)} }}" if pairs else "{}"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
