"""Reads deploy/Dockerfile, and does in a folder what it would do in an image."""

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"


@dataclass
class Stage:
    """One `FROM` and what follows it."""

    name: str
    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def of(self, kind: str) -> list[str]:
        return [text for found, text in self.instructions if found == kind]


def stages(path: Path = DOCKERFILE) -> list[Stage]:
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found: list[Stage] = []
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append(Stage(name or "final", base))
        elif kind and found:
            found[-1].instructions.append((kind, rest.strip()))
    return found


def ignored_by_docker() -> tuple[str, ...]:
    """What Dockerfile.dockerignore lets through: the names after `!`."""
    lines = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
    return tuple(line[1:] for line in lines if line.startswith("!"))


@dataclass
class Workshop:
    """A folder in the place of an image's root. Paths that the image has of its own lie in it."""

    root: Path
    python: str
    environment: dict[str, str] = field(default_factory=dict)

    OWN_PATHS = ("/opt/phash-dagster", "/app", "/build", "/var/lib/phash-dagster")

    def inside(self, text: str) -> str:
        """A text of the Dockerfile with the image's own paths led into the folder."""
        pattern = "|".join(re.escape(path) for path in self.OWN_PATHS)
        return re.sub(rf"(?<![\w/])({pattern})(?![\w-])", lambda m: f"{self.root}{m[1]}", text)

    def build(self, stage: Stage, *, skip: tuple[str, ...] = ()) -> None:
        """Do what a stage says; commands that begin with one of `skip` are left out."""
        for kind, text in stage.instructions:
            if kind == "ENV":
                self.environment |= dict(
                    pair.split("=", 1) for pair in shlex.split(self.inside(text))
                )
            elif kind == "COPY":
                self._copy(*text.split())
            elif kind == "RUN" and not text.startswith(skip):
                self.run("/bin/sh", "-ec", self.inside(text))

    def run(self, *command: str) -> str:
        build = Path(self.inside("/build"))
        build.mkdir(parents=True, exist_ok=True)
        path = f"{Path(self.python).parent}:{os.environ['PATH']}"
        # How this machine reaches package registries is its own matter, and so is its cache.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("VIRTUAL", "PYTHON"))}
        done = subprocess.run(
            command,
            cwd=build,
            env={**inherited, "PATH": path, **self.environment, "UV_NO_CACHE": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def _copy(self, *arguments: str) -> None:
        *sources, target = arguments
        folder = Path(self.inside("/build"))
        names = ignored_by_docker() if sources == ["."] else sources
        for name in names:
            source = ROOT / name
            if source.is_dir():
                ignore = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, folder / name, dirs_exist_ok=True, ignore=ignore)
            else:
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, folder / target / name)
