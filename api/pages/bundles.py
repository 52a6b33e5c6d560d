"""JavaScript bundles: a module with all modules that it imports, as one file.

A page that loads eight modules is ready later than one that loads a single file: a browser has six connections to a
server (HTTP/1.1), and each request costs it CPU time. The modules of this package use few forms of the syntax, and only
these are supported: `import { a, b as c } from "./x.js";`, `import "./x.js";` and `export` before a declaration.
"""

import re
from collections.abc import Mapping

_IMPORT = re.compile(r'^import (?:\{ ([^}]+) \} from )?"\./([^"/]+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function|class|const) (\w+)", re.MULTILINE)
_OTHER = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


def imports(source: str) -> list[str]:
    """The names, without ".js", of the modules that a module imports."""
    return [name for _, name in _IMPORT.findall(source)]


def load_order(name: str, sources: Mapping[str, str]) -> list[str]:
    """A module and all that it imports, each after those that it imports itself. Circles are not supported."""
    order: dict[str, None] = {}
    for imported in imports(sources[name]):
        order |= dict.fromkeys(load_order(imported, sources))
    return [*order, *([name] if name not in order else [])]


def bundle(name: str, sources: Mapping[str, str]) -> str:
    """The bundle of a module: each module is the body of a function that returns its exports, and is called once."""
    return "".join(_as_function(module, sources[module]) for module in load_order(name, sources))


def _as_function(name: str, source: str) -> str:
    """Raises ValueError for an import or export of another form."""
    exported = [declared for _, declared in _EXPORT.findall(source)]
    body = _EXPORT.sub(r"\1 \2", _IMPORT.sub(lambda found: _destructured(found[1], found[2]), source))
    if other := _OTHER.search(body):
        raise ValueError(f"{name}.js: cannot be bundled: {other[0]}")
    return f"const ${name} = (() => {{\n{body}return {{ {', '.join(exported)} }};\n}})();\n"


def _destructured(names: str | None, module: str) -> str:
    return f"const {{ {names.replace(' as ', ': ')} }} = ${module};\n" if names else ""
