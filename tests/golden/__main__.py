"""`python -m tests.golden --write`: make what is kept anew. Then read the difference as if you were called at night."""

from __future__ import annotations

import argparse
import sys

from tests.golden.answers import answers_text
from tests.golden.commands import MADE, module_text
from tests.golden.scenes import names, scene
from tests.golden.terminals import SHOTS, shot_text
from tests.golden.texts import ANSWERS, SCRIPTS, TEXTS, scene_text, scripts_text


def main() -> int:
    """Write everything, or say that nothing was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", required=True, help="write all files anew")
    parser.parse_args()
    TEXTS.mkdir(exist_ok=True)
    for old in TEXTS.iterdir():
        old.unlink()
    scripts: dict[str, str] = {}
    for name in names():
        (TEXTS / f"{name}.txt").write_text(scene_text(name, scene(name), scripts))
    SCRIPTS.write_text(scripts_text(scripts))
    for module in MADE:
        (TEXTS / f"{module}.sh").write_text(module_text(module))
    ANSWERS.write_text(answers_text())
    for name, shot in SHOTS.items():
        (TEXTS / f"{name}.term").write_text(shot_text(shot))
    size = sum(each.stat().st_size for each in TEXTS.iterdir())
    print(f"{len(list(TEXTS.iterdir()))} files, {size / 1000:.0f} kB, in {TEXTS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
