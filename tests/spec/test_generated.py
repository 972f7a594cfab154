"""What the project publishes about its components is what the code says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from hpazoo.paths import data_folder
from hpazoo.spec import find, load, schema, strict_yaml
from hpazoo.spec.generate import texts

SPECS = sorted(path.stem for path in data_folder("specs").glob("*.yaml"))
INVALID = sorted((Path(__file__).parent.parent / "specs" / "invalid").glob("*.yaml"))


def test_generated_files_are_up_to_date(root: Path) -> None:
    """Stale: run `make generate`."""
    for name, text in texts().items():
        assert (root / name).read_text(encoding="utf-8") == text, name


@pytest.mark.parametrize("name", SPECS)
def test_shipped_specs_are_valid_and_say_so_to_editors(name: str) -> None:
    spec = load(name)
    assert spec.name == name
    first = find(name).read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=../registry/spec-1.schema.json"


def test_the_schema_is_a_schema() -> None:
    Draft7Validator.check_schema(schema.build())


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_what_the_schema_refuses_is_refused(path: Path) -> None:
    text = strict_yaml.decode(path.read_bytes(), path.name)
    if isinstance(text, str):
        document = strict_yaml.read(text, path.name)
        published = json.loads((data_folder("registry") / "spec-1.schema.json").read_text())
        if not document.problems and not Draft7Validator(published).is_valid(document.data):
            assert path.with_suffix(".err").exists()


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["validate", "hpa2021-6th"], ["list"], ["show", "head", "attention"]],
    ids=lambda arguments: arguments[0],
)
def test_light_commands_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom hpazoo.cli import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        "heavy = {'torch', 'torchvision', 'timm', 'umap', 'sklearn', 'pandas', 'cv2', 'skimage'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_an_independent_validator_agrees_on_valid_specs(root: Path) -> None:
    specs = [*(root / "specs").glob("*.yaml"), *(root / "tests/specs/valid").glob("*.yaml")]
    schema_file = root / "registry" / "spec-1.schema.json"
    command = [sys.executable, "-m", "check_jsonschema", "--schemafile", str(schema_file)]
    done = subprocess.run([*command, *map(str, specs)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
