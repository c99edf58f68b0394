"""What is said about costs, and what is said not to be known."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from phash_dagster.reports.costs import Costs, Machine, disk_use, folder_bytes
from phash_dagster.reports.data import MatchReport
from phash_dagster.reports.render import cost_lines
from tests.reports.conftest import MACHINE, SINCE


def lines(report: MatchReport, costs: Costs) -> str:
    return "\n".join(cost_lines(costs, report))


def test_disk_use_is_the_size_of_files_by_name_the_largest_first(tmp_path: Path) -> None:
    (tmp_path / "folder" / "deeper").mkdir(parents=True)
    (tmp_path / "folder" / "one").write_bytes(b"x" * 300)
    (tmp_path / "folder" / "deeper" / "two").write_bytes(b"x" * 200)
    (tmp_path / "file").write_bytes(b"x" * 100)
    found = disk_use(tmp_path)
    assert [(use.name, use.bytes, use.files) for use in found] == [
        ("folder", 500, 2),
        ("file", 100, 1),
    ]
    assert folder_bytes(tmp_path) == 600


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 10_000)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    assert folder_bytes(folder) < 1_000


def test_a_folder_that_does_not_exist_has_nothing(tmp_path: Path) -> None:
    assert disk_use(tmp_path / "nowhere") == ()


def test_bytes_fetched_are_said_to_be_unknown_beside_what_posts_claim(report: MatchReport) -> None:
    fetched = ({"source": "cdn", "images": 3, "images_with_size": 2, "claimed_bytes": 2_500_000},)
    said = lines(report, Costs(fetched, MACHINE))
    assert "3 images were fetched and hashed: 3 from the CDN." in said
    assert "How many bytes that were is not recorded." in said
    assert "the originals of 2 of them have 2.5 MB" in said


def test_runs_that_were_deleted_are_spoken_of(report: MatchReport) -> None:
    said = lines(report, Costs((), MACHINE))
    assert "Dagster still has 4 finished runs of this period, which took 10.0 s." in said
    assert "so there were more" in said
    assert MACHINE.runs is not None
    older = replace(MACHINE, runs=replace(MACHINE.runs, oldest=SINCE - timedelta(days=1)))
    assert "so there were more" not in lines(report, Costs((), older))


def test_what_nobody_asked_is_unknown(empty: MatchReport) -> None:
    said = lines(empty, Costs((), Machine()))
    assert said.splitlines() == [
        "No image was fetched.",
        "Runs are unknown: Dagster was not asked.",
        "The size of Dagster's storage is unknown: it is not in files here.",
    ]
