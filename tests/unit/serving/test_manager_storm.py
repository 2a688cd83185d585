"""Random changes on disk and in the config, from several threads at once; then the server must come to rest."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.errors import ServingError
from serving.manager import Manager
from tests.unit.serving.fakes import FakeLoader, answering, config_of, make_version, states
from tests.waiting import until

NewManager = Callable[..., Manager]

POLICIES = (
    "",
    "model_version_policy { latest { num_versions: 2 } }",
    "model_version_policy { all {} }",
    "model_version_policy { specific { versions: 1 versions: 3 } }",
)


class Storm:
    """Two models whose folders come, go, break and are mended, under a manager that is asked all the while."""

    def __init__(self, manager: Manager, root: Path, seed: int) -> None:
        self.manager = manager
        self.bases = (root / "a", root / "b")
        for base in self.bases:
            base.mkdir()
        self.policy = dict.fromkeys(self.bases, "")
        self.listed = set(self.bases)
        self.wrong: list[str] = []
        self._random = random.Random(seed)
        self._stop = threading.Event()
        self.reload()

    def reload(self) -> None:
        entries = [f'name: "{base.name}" base_path: "{base}" {self.policy[base]}' for base in sorted(self.listed)]
        self.manager.apply(config_of(*entries))

    def step(self) -> None:
        base, number = self._random.choice(self.bases), self._random.randint(1, 5)
        folder = base / str(number)
        choice = self._random.random()
        if choice < 0.45 and not folder.exists():
            make_version(base, str(number), self._random.choice(["good", "good", "bad", None]))
        elif choice < 0.6 and folder.exists():
            shutil.rmtree(folder)
        elif choice < 0.8 and folder.exists():
            (folder / "model").write_text(self._random.choice(["good", "bad"]))
        elif choice < 0.9:
            self.policy[base] = self._random.choice(POLICIES)
            self.reload()
        elif choice < 0.95:
            self.listed ^= {base}
            self.reload()

    def run(self, steps: int) -> None:
        threads = [threading.Thread(target=work) for work in (self._ask, self._ask, self._poll)]
        for thread in threads:
            thread.start()
        for _ in range(steps):
            self.step()
        self._stop.set()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive(), "a thread is stuck"

    def at_rest(self) -> bool:
        self.manager.poll()
        return all(self._is_right(base) for base in self.bases)

    def _is_right(self, base: Path) -> bool:
        served, expected = self.served(base), self.expected(base)
        # The last one stays until another one that is wanted can answer.
        left_over = not expected and len(served) == 1 and -1 not in served and self._tries(base)
        return served == expected or left_over

    def _tries(self, base: Path) -> bool:
        on_disk = {int(folder.name) for folder in base.iterdir() if folder.name.isdigit()}
        return base in self.listed and bool(on_disk & {1, 3} if "specific" in self.policy[base] else on_disk)

    def expected(self, base: Path) -> set[int]:
        # What is loaded stays so when its files are spoilt: loaded is as good as good.
        loaded = self.served(base)
        found = {int(folder.name): folder for folder in base.iterdir() if folder.name.isdigit()}
        good = {number for number, folder in found.items() if number in loaded or self._is_good(folder)}
        if base not in self.listed:
            return set()
        if "specific" in self.policy[base]:
            return good & {1, 3}
        count = 5 if "all" in self.policy[base] else 2 if "latest" in self.policy[base] else 1
        return set(sorted(good)[-count:])

    def served(self, base: Path) -> set[int]:
        try:
            listed = states(self.manager, base.name)
        except ServingError:
            return set()
        busy = {"START", "LOADING", "UNLOADING"} & {state for _, state in listed}
        return {-1} if busy else {version for version, state in listed if state == "AVAILABLE"}

    def _is_good(self, folder: Path) -> bool:
        return (folder / "model").is_file() and (folder / "model").read_text() == "good"

    def _ask(self) -> None:
        while not self._stop.is_set():
            for base in self.bases:
                try:
                    with self.manager.acquire(base.name) as handle:
                        if handle.servable.closed:  # type: ignore[attr-defined]
                            self.wrong.append(f"{base.name} {handle.version} was closed while in use")
                except ServingError:
                    continue

    def _poll(self) -> None:
        while not self._stop.wait(0.002):
            self.manager.poll()


@pytest.mark.parametrize("seed", range(6))
def test_after_a_storm_exactly_the_right_versions_serve(
    new_manager: NewManager, loader: FakeLoader, tmp_path: Path, seed: int, hasty_threads: None
) -> None:
    manager = new_manager(max_num_load_retries=seed % 2, load_retry_interval_micros=20_000)
    storm = Storm(manager, tmp_path, seed)
    storm.run(150)
    until(storm.at_rest)
    assert storm.wrong == []
    serving = {base: storm.served(base) for base in storm.bases}
    for base, versions in serving.items():
        if versions:
            assert answering(manager, base.name) == max(versions)
    until(lambda: sum(not made.closed for made in loader.made) == sum(map(len, serving.values())))
