"""Whether an object is what the Kubernetes API has types for: every field known, of its type, none missing.

The types are those of the npm package kubernetes-types, which is generated from the API's own OpenAPI documents
(https://kubernetes.io/docs/reference/kubernetes-api/): TypeScript declarations of one form, a line for a field.
"""

import re
from pathlib import Path
from typing import Iterator, NamedTuple, Optional

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_IMPORT = re.compile(r'import \{([^}]*)\} from "([^"]*)";')
_ALIAS = re.compile(r"export (?:declare )?type (\w+) = ([^;]*);")
_INTERFACE = re.compile(r"export interface (\w+) \{\n(.*?)\n\}", re.DOTALL)
# Indented by four; the braces of a map end on a line of their own.
_FIELD = re.compile(r'^ {4}"?([\w$-]+)"?(\??): (\{.*?^ {4}\}|[^;{]*);', re.DOTALL | re.MULTILINE)
_MAP = re.compile(r"\{\s*\[name: string\]: (.*?);?\s*\}", re.DOTALL)


class Field(NamedTuple):
    type: str
    required: bool


# What the package lacks: fields that the API has inline.
_LEFT_OUT = {"RuleWithOperations": {"resources": Field("Array<string>", False), "scope": Field("string", False)}}


class Module:
    """One file: a version of a group."""

    def __init__(self, file: Path):
        text = _COMMENT.sub("", file.read_text())
        self.imported = {name.strip(): (file.parent / f"{path}.d.ts").resolve()
                         for names, path in _IMPORT.findall(text) for name in names.split(",")}
        self.aliases = dict(_ALIAS.findall(text))
        self.interfaces = {name: {**dict(_fields(body)), **_LEFT_OUT.get(name, {})}
                           for name, body in _INTERFACE.findall(text)}


def _fields(body: str) -> Iterator[tuple[str, Field]]:
    for name, optional, type_ in _FIELD.findall(body + "\n"):
        yield name, Field(type_, required=not optional)


class ApiTypes:
    def __init__(self, folder: Path):
        self._folder = folder
        self._modules: dict[Path, Module] = {}

    def faults(self, obj: dict) -> list[str]:
        """What an API server would not know or not take; empty for an object that is well formed."""
        # Its types are not among those that can be read here: test_definitions.py.
        if obj["kind"] == "CustomResourceDefinition":
            return []
        group, _, version = obj["apiVersion"].rpartition("/")
        file = self._folder / (group.split(".")[0] or "core") / f"{version}.d.ts"
        if not file.exists() or obj["kind"] not in self._module(file).interfaces:
            return [f"no kind {obj['kind']} in {obj['apiVersion']}"]
        return list(self._check(obj, obj["kind"], self._module(file), obj["kind"]))

    def _module(self, file: Path) -> Module:
        if file not in self._modules:
            self._modules[file] = Module(file)
        return self._modules[file]

    def _check(self, value, type_: str, module: Module, at: str) -> Iterator[str]:
        if " | " in type_:
            branches = [list(self._check(value, branch, module, at)) for branch in type_.split(" | ")]
            yield from min(branches, key=len)
        elif type_ in ("string", "number", "boolean"):
            if _word_for(value) != type_:
                yield f"{at}: {value!r} is no {type_}"
        elif type_.startswith('"'):
            if value != type_.strip('"'):
                yield f"{at}: {value!r} is not {type_}"
        elif type_.startswith("Array<"):
            yield from self._check_list(value, type_[len("Array<"):-1], module, at)
        elif type_.startswith("{"):
            yield from self._check_map(value, _MAP.fullmatch(type_)[1], module, at)
        else:
            yield from self._check_named(value, type_, module, at)

    def _check_list(self, value, type_: str, module: Module, at: str) -> Iterator[str]:
        if not isinstance(value, list):
            yield f"{at}: {value!r} is no list"
            return
        for index, item in enumerate(value):
            yield from self._check(item, type_, module, f"{at}[{index}]")

    def _check_map(self, value, type_: str, module: Module, at: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{at}: {value!r} is no map"
            return
        for key, item in value.items():
            yield from self._check(item, type_, module, f"{at}.{key}")

    def _check_named(self, value, name: str, module: Module, at: str) -> Iterator[str]:
        if name in module.imported:
            module = self._module(module.imported[name])
        if name in module.aliases:
            yield from self._check(value, module.aliases[name], module, at)
            return
        fields: Optional[dict[str, Field]] = module.interfaces.get(name)
        assert fields is not None, f"no type {name}"
        if not isinstance(value, dict):
            yield f"{at}: {value!r} is no {name}"
            return
        for missing in (key for key, field in fields.items() if field.required and key not in value):
            yield f"{at}: {missing} is missing"
        for key, item in value.items():
            if key not in fields:
                yield f"{at}: {name} has no field {key}"
            else:
                yield from self._check(item, fields[key].type, module, f"{at}.{key}")


def _word_for(value) -> str:
    if isinstance(value, bool):
        return "boolean"
    return {str: "string", int: "number", float: "number"}.get(type(value), type(value).__name__)
