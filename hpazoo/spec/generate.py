"""Write `registry/components.json` and `registry/spec-1.schema.json` from the code.

`python -m hpazoo.spec.generate`; a test fails when they are stale.
"""

from __future__ import annotations

import json

from hpazoo.paths import data_folder, replacing
from hpazoo.spec import catalog, schema


def texts() -> dict[str, str]:
    """File name -> content, as they should be."""
    components = catalog.generate()
    described = {
        kind: {name: catalog.Description.from_json(entry) for name, entry in entries.items()}
        for kind, entries in components.items()
    }
    return {
        "components.json": _text(components),
        "spec-1.schema.json": _text(schema.build_from(described)),
    }


def _text(data: object) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    for name, text in texts().items():
        with replacing(data_folder("registry") / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
