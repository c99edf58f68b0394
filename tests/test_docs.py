"""The documentation names what there is."""

import re
from pathlib import Path

import pytest

from phash_dagster.settings import Settings

ROOT = Path(__file__).parents[1]
VARIABLES = {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("document", ["docs/configuration.md", ".env.example"])
def test_every_setting_is_documented_with_its_meaning(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for name, field in Settings.model_fields.items():
        assert re.search(rf"\b{name.upper()}\b", text), f"{document} does not name {name.upper()}"
        assert field.description is not None
        assert field.description in text, f"{document} does not explain {name.upper()}"


def test_the_example_environment_names_nothing_that_is_not_read() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^#([A-Z_]+)=", text, flags=re.MULTILINE)) == VARIABLES


def test_the_readme_shows_the_settings_that_people_change() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `([A-Z_]+)`", text, flags=re.MULTILINE))
    assert named
    assert named <= VARIABLES


def test_every_link_between_documents_leads_somewhere() -> None:
    documents = [ROOT / "README.md", *ROOT.glob("docs/*.md"), ROOT / "rules/README.md"]
    for document in documents:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name} → {target}"


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in set(re.findall(r"^\$ make ([a-z]+)", readme, flags=re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), f"make {target}"
