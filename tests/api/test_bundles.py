"""Bundles have each module once, after the modules that it imports."""

import pytest

from api.pages.assets import BUNDLED, modules
from api.pages.bundles import bundle, imports, load_order

SOURCES = {
    "page": 'import { one, two as other } from "./parts.js";\nimport "./base.js";\nother(one);\n',
    "parts": 'import { base } from "./base.js";\n\nexport const one = base;\nexport async function two() {}\n',
    "base": "export class base {}\n",
}
EXPECTED = """\
const $base = (() => {
class base {}
return { base };
})();
const $parts = (() => {
const { base } = $base;

const one = base;
async function two() {}
return { one, two };
})();
const $page = (() => {
const { one, two: other } = $parts;
other(one);
return {  };
})();
"""


def test_a_module_is_a_function_that_returns_its_exports() -> None:
    assert bundle("page", SOURCES) == EXPECTED


@pytest.mark.parametrize("name", BUNDLED)
def test_every_bundle_has_all_imported_modules_in_load_order(name: str) -> None:
    order = load_order(name, modules())
    assert order[-1] == name and "times" in order
    for index, module in enumerate(order):
        assert set(imports(modules()[module])) <= set(order[:index])
    text = bundle(name, modules())
    assert [line for line in text.splitlines() if line.startswith("const $")] == [
        f"const ${module} = (() => {{" for module in order
    ]


@pytest.mark.parametrize(
    "source", ["export default 1;\n", "export let a = 1;\n", "export { a };\n", 'import a from "./base.js";\n']
)
def test_other_forms_of_import_and_export_are_refused(source: str) -> None:
    with pytest.raises(ValueError, match=r"page\.js: cannot be bundled"):
        bundle("page", {"page": source, "base": ""})
