"""A pytest plugin: runs the suite once to see which test enters which function, then each mutant against just those tests.

A mutant lives in a forked child: its function's code is exchanged there, so nothing is imported anew and nothing is
written. It is killed by the first test that fails, or by taking far longer than its tests did without it.
"""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import sys
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, TextIO

import pytest
from _pytest.runner import runtestprotocol

from tests.mutation.equivalent import LISTED, read, split
from tests.mutation.operators import Mutant, mutants, mutated_code

Place = tuple[str, int]
"""A function: its file, and the line on which its code begins."""

KILLED, LIVED = 0, 3
TELL = 20
"""After so many mutants it is said how far it is: they are taken as they were drawn, so that a part is a sample, too."""
MORE_TIME = 5.0
"""A mutant with which a test takes so many times as long as without it (and some seconds) hangs."""


@dataclass
class Runner:
    """One run over the mutants of `paths`. `sample`: how many of them, drawn by `seed`; 0 means all."""

    paths: tuple[Path, ...]
    sample: int
    seed: int
    jobs: int
    out: Path
    entered: dict[Place, set[int]] = field(default_factory=lambda: defaultdict(set))
    took: dict[int, float] = field(default_factory=dict)

    def pytest_configure(self, config: pytest.Config) -> None:
        """The mark of pytest-timeout, which is left out: its alarm is that of a mutant's child."""
        config.addinivalue_line("markers", "timeout(seconds): as pytest-timeout has it; not kept here")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of pytest's own loop."""
        screen = os.fdopen(os.dup(2), "w", buffering=1)
        broken = self.watch(session)
        session.testsfailed = len(broken)
        for number in broken:  # it would kill every mutant
            print(f"fails without any mutant, so it judges none: {session.items[number].nodeid}", file=screen)
            for tests in self.entered.values():
                tests.discard(number)
        chosen, unseen = split(self.choose(), read(LISTED.read_text()))
        for mutant in unseen:
            print(f"equivalent: {mutant.told}", file=screen)
        print(f"{len(chosen)} mutants, seed {self.seed}, {len(session.items)} tests", file=screen)
        lived = self.run(session, chosen, screen)
        killed = len(chosen) - len(lived)
        share = 100 * killed / max(len(chosen), 1)
        left = f", {len(unseen)} more are listed as equivalent" if unseen else ""
        print(f"{killed} of {len(chosen)} mutants killed, {share:.1f} %, seed {self.seed}{left}", file=screen)
        for path in self.paths:
            of, living = (sum(1 for mutant in some if mutant.path == path) for some in (chosen, lived))
            if of:
                print(f"{path}: {of} mutants, {of - living} killed, {living} lived", file=screen)
        return True

    # --- the first pass ---

    def watch(self, session: pytest.Session) -> set[int]:
        """Run every test, noting what it enters and how long it takes. Returns which ones failed."""
        wanted = {str(path.resolve()) for path in self.paths}
        failed: set[int] = set()
        for number, item in enumerate(session.items):
            places: set[Place] = set()

            def note(frame: FrameType, event: str, _: Any, into: set[Place] = places) -> None:
                code = frame.f_code
                if event == "call" and code.co_filename in wanted:
                    into.add((code.co_filename, code.co_firstlineno))

            following = session.items[number + 1] if number + 1 < len(session.items) else None
            begun = time.monotonic()
            threading.setprofile(note)
            sys.setprofile(note)
            try:
                reports = runtestprotocol(item, log=False, nextitem=following)
            finally:
                sys.setprofile(None)
                threading.setprofile(None)
            self.took[number] = time.monotonic() - begun
            for report in reports:
                if report.failed:
                    failed.add(number)
                    print(report.longreprtext, file=sys.__stderr__)
            for place in places:
                self.entered[place].add(number)
        return failed

    def choose(self) -> list[Mutant]:
        found = [mutant for path in self.paths for mutant in mutants(path, path.read_text())]
        if self.sample and self.sample < len(found):
            found = random.Random(self.seed).sample(found, self.sample)
        return found

    # --- the mutants ---

    def run(self, session: pytest.Session, chosen: list[Mutant], screen: TextIO) -> list[Mutant]:
        functions = _functions()
        running: dict[int, Mutant] = {}
        lived: list[Mutant] = []
        done = 0
        waiting = list(reversed(chosen))
        with self.out.open("w") as out:
            while waiting or running:
                while waiting and len(running) < self.jobs:
                    mutant = waiting.pop()
                    running[self.start(session, mutant, functions)] = mutant
                pid, status = os.wait()
                if pid not in running:
                    continue  # a child that a test has left behind
                mutant = running.pop(pid)
                if os.WIFEXITED(status) and os.WEXITSTATUS(status) == LIVED:
                    lived.append(mutant)
                    print(f"lived: {mutant.told}", file=screen)
                    out.write(json.dumps({"lived": mutant.told}, ensure_ascii=False) + "\n")
                    out.flush()
                done += 1
                if done % TELL == 0:
                    print(f"{done} of {len(chosen)} done, {len(lived)} lived", file=screen)
        return sorted(lived, key=lambda mutant: (str(mutant.path), mutant.line, mutant.number))

    def start(self, session: pytest.Session, mutant: Mutant, functions: dict[Place, list[FunctionType]]) -> int:
        """Fork a child in which the mutant lives; returns its pid."""
        place = (str(mutant.path.resolve()), mutant.first_line)
        tests = sorted(self.entered.get(place, ()), key=self.took.__getitem__)
        pid = os.fork()
        if pid:
            return pid
        code = LIVED
        try:
            os.setpgid(0, 0)
            null = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(null, stream)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            exchanged = mutated_code(mutant, mutant.path.read_text())
            for function in functions.get(place, []):
                function.__code__ = exchanged
            code = KILLED if self.kills(session, tests) else LIVED
        except BaseException:  # whatever a mutant raises outside of a test has been noticed
            code = KILLED
        finally:
            os._exit(code)
        raise AssertionError

    def kills(self, session: pytest.Session, tests: list[int]) -> bool:
        for at, number in enumerate(tests):
            following = session.items[tests[at + 1]] if at + 1 < len(tests) else None
            signal.alarm(int(MORE_TIME * self.took[number]) + 20)
            if any(report.failed for report in runtestprotocol(session.items[number], log=False, nextitem=following)):
                return True
        return False


def _functions() -> dict[Place, list[FunctionType]]:
    """Every function object that is alive, by where its code begins; one may stand in several (a decorator's copies)."""
    found: dict[Place, list[FunctionType]] = defaultdict(list)
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and isinstance(each.__code__, CodeType):
            found[each.__code__.co_filename, each.__code__.co_firstlineno].append(each)
    return found
