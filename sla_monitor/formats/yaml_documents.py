"""Reads and writes YAML documents that consist of JSON values only.

The reader accepts what YAML and JSON have in common: no aliases (which could expand without bound), no tags, no
repeated keys, and of plain scalars only `null`, `true`, `false` and decimal numbers. Dates and words such as `yes` are
texts, as in YAML 1.2.
"""

import re
from collections.abc import Sequence
from typing import Any

import yaml

MAX_BYTES = 256 * 1024
MAX_DOCUMENTS = 2000
_SCALARS = (
    ("tag:yaml.org,2002:null", re.compile("(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", re.compile("(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    ("tag:yaml.org,2002:int", re.compile("[-+]?[0-9]+$"), list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"),
        list("-+.0123456789"),
    ),
)
"""The plain scalars that are no texts (YAML 1.2, core schema, without octal and hexadecimal numbers): the tag, the
pattern, and the characters that a scalar can begin with."""


class YamlError(ValueError):
    """The text is no YAML, or YAML that this module does not accept. The message is one line."""


def _line(mark: Any) -> int:
    """The number of the line of a place in the text."""
    return int(mark.line) + 1


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # of its base class

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise YamlError(f"line {_line(event.start_mark)}: aliases are not allowed")
        if getattr(event, "tag", None) is not None:
            raise YamlError(f"line {_line(event.start_mark)}: tags are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            line = _line(key_node.start_mark)
            if not isinstance(key, str):
                raise YamlError(f"line {line}: a key must be a text")
            if key in mapping:
                raise YamlError(f"line {line}: the key {key!r} is repeated")
            mapping[key] = self.construct_object(value_node, deep=True)
        return mapping


class _Dumper(yaml.SafeDumper):
    """Quotes all texts that a reader of YAML 1.1 or of YAML 1.2 would take for something else."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # of its base class
        first: list(resolvers) for first, resolvers in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _tag, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(_tag, _pattern, _first)
    _Dumper.add_implicit_resolver(_tag, _pattern, _first)


_Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))  # that of YAML 1.1 reads 010 as 8


def read_documents(content: bytes) -> list[Any]:
    """The documents in `content`, without empty ones, as JSON values. Raises YamlError."""
    if len(content) > MAX_BYTES:
        raise YamlError(f"larger than {MAX_BYTES} bytes")
    documents = []
    try:
        for document in yaml.load_all(content.decode("utf-8-sig"), Loader=_Loader):
            if document is not None:
                documents.append(document)
            if len(documents) > MAX_DOCUMENTS:
                raise YamlError(f"more than {MAX_DOCUMENTS} documents")
    except yaml.MarkedYAMLError as error:
        place = f"line {_line(error.problem_mark)}: " if error.problem_mark is not None else ""
        raise YamlError(f"{place}{error.problem}") from None
    except RecursionError:
        raise YamlError("nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:  # not UTF-8, a control character, a number of 5,000 digits
        raise YamlError(" ".join(str(error).split())) from None
    return documents


def write_documents(documents: Sequence[Any]) -> str:
    """The JSON values as YAML documents, each begins with `---`."""
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, explicit_start=True, width=100)
