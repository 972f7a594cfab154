"""Write `registry/components.json`, `registry/spec-1.schema.json` and `docs/zoo.md` from the code.

`python -m hpazoo.spec.generate`; a test fails when they are stale.
"""

from __future__ import annotations

import json

from hpazoo.paths import data_folder, replacing
from hpazoo.spec import catalog, schema, zoo_page


def texts() -> dict[str, str]:
    """Path below the checkout -> content, as they should be."""
    components = catalog.generate()
    described = {
        kind: {name: catalog.Description.from_json(entry) for name, entry in entries.items()}
        for kind, entries in components.items()
    }
    return {
        "registry/components.json": _text(components),
        "registry/spec-1.schema.json": _text(schema.build_from(described)),
        "docs/zoo.md": zoo_page.page(described),
    }


def _text(data: object) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    for name, text in texts().items():
        with replacing(data_folder("registry").parent / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
