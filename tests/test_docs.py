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


DOCUMENTS = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), ROOT / "rules/README.md"]


def links(document: Path) -> list[tuple[Path, str]]:
    """Where the links of a document lead: file and anchor, which may be empty."""
    targets = re.findall(r"\]\(([^)\s]+)\)", without_code(document))
    parts = [target.partition("#") for target in targets if "://" not in target]
    return [(document.parent / path if path else document, anchor) for path, _, anchor in parts]


def without_code(document: Path) -> str:
    text = document.read_text(encoding="utf-8")
    return re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a document."""
    headings = re.findall(r"^#+ (.*)", without_code(document), flags=re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_between_documents_leads_somewhere(document: Path) -> None:
    found = links(document)
    for target, anchor in found:
        assert target.exists(), f"{document.name} → {target}"
        if anchor:
            assert anchor in anchors(target), f"{document.name} → {target.name}#{anchor}"


def test_the_readme_leads_to_every_page() -> None:
    reached = {target.resolve() for target, _ in links(ROOT / "README.md")}
    assert set(DOCUMENTS) - reached == {ROOT / "README.md"}


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in set(re.findall(r"^\$ make ([a-z]+)", readme, flags=re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), f"make {target}"
