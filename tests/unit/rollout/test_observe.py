"""What the server's metrics say of a version, and when that is bad enough to go back."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from bundle.errors import RefusedVersion
from rollout import gate, ledger, observe, release
from rollout.model import Model
from rollout.observe import Counters
from rollout.service import periods
from tests.unit.bundle.parts import MODEL, make_version
from tests.unit.rollout.stand_in import StandIn

BOUNDS_US = (1000.0, 10_000.0, 100_000.0, float("inf"))


def page(fast: int, slow: int = 0, failed: int = 0, not_found: int = 0) -> str:
    """Metrics as the server writes them, with `fast` answers below 10 ms and `slow` ones below 100."""
    counts = {"1000": 0, "10000": fast, "100000": fast + slow, "+Inf": fast + slow}
    requests, latency = ":tensorflow:serving:request_count", ":tensorflow:serving:request_latency"
    lines = [f"# TYPE {requests} counter", f'{requests}{{model_name="{MODEL}",status="OK"}} {fast + slow + 99}']
    lines += [f'{requests}{{model_name="{MODEL}",status="INTERNAL"}} {failed}']
    lines += [f'{requests}{{model_name="{MODEL}",status="NOT_FOUND"}} {not_found}']
    lines += [f'{requests}{{model_name="other",status="INTERNAL"}} 1000', f"# TYPE {latency} histogram"]
    for api in ("predict", "Predict", ""):  # The last are looks at the status.
        labels = f'model_name="{MODEL}",API="{api}",entrypoint="REST"'
        lines += [f'{latency}_bucket{{{labels},le="{bound}"}} {count // 2}' for bound, count in counts.items()]
        lines += [f"{latency}_sum{{{labels}}} 7", f"{latency}_count{{{labels}}} {(fast + slow) // 2}"]
    return "\n".join([*lines, "# TYPE :tensorflow:other counter", ":tensorflow:other{} 3"]) + "\n"


def test_a_page_is_read_over_both_protocols_without_the_looks_at_the_status() -> None:
    read = observe.read(page(fast=60, slow=40, failed=3, not_found=5), MODEL)
    assert read == Counters(100, 3, dict(zip(BOUNDS_US, (0, 60, 40, 0), strict=True)))
    assert observe.from_figures(read.figures()).figures() == read.figures()
    assert observe.read(page(4), "unknown") == Counters()


def test_quantiles_lie_straight_within_their_bucket() -> None:
    counters = observe.read(page(fast=60, slow=40), MODEL)
    assert counters.quantile_ms(0.3) == pytest.approx(5.5)
    assert counters.quantile_ms(0.6) == pytest.approx(10)
    assert counters.quantile_ms(0.99) == pytest.approx(97.75)
    assert Counters().quantile_ms(0.5) == 0


def test_a_server_that_was_started_anew_counts_from_zero() -> None:
    before, after = Counters(100, 3, {1.0: 100}), Counters(7, 0, {1.0: 7})
    assert after.since(before) == after
    assert before.since(after).answered == 93


BAD = {
    "failures": (page(200, failed=20), r"20 of 120 requests failed \(16\.7%\); 0\.0% did before"),
    "latency": (page(100, slow=200), r"its median latency is .* ms over 200 requests, 5\.5 ms before"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_version_that_does_worse_is_rolled_back_by_itself(
    kind: str, model: Model, server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worse, says = BAD[kind]
    model = dataclasses.replace(model, settings=dataclasses.replace(model.settings, watch_seconds=5))
    monkeypatch.setattr(gate, "run", lambda *_, **__: gate.Report.of([]))
    server.page = page(100)
    make_version(model.base_path / "1")

    def get_worse() -> None:
        looks = iter([page(100), page(100)])  # When it went live, and when its watch begins.
        server.next_page = lambda: next(looks, worse)

    source = make_version(tmp_path / "source", b"new")
    with pytest.raises(RefusedVersion, match=f"version 2 was rolled back to 1: {says}"):
        release.release(model, release.Order(source, "a test", published=get_worse))
    assert model.live() == 1
    last = [entry for entry in model.ledger.entries() if entry.event == ledger.ROLLED_BACK][-1]
    assert last.reason.startswith("automatic: ")


def test_a_version_that_does_well_stays(
    model: Model, server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = dataclasses.replace(model, settings=dataclasses.replace(model.settings, watch_seconds=1))
    monkeypatch.setattr(gate, "run", lambda *_, **__: gate.Report.of([]))
    server.page = page(100, failed=10)
    make_version(model.base_path / "1")

    def go_on() -> None:
        server.page = page(300, slow=10, failed=20)  # As many failures as ever.

    release.release(model, release.Order(make_version(tmp_path / "source"), "a test", published=go_on))
    assert model.live() == 2


def test_periods_tell_who_answered_what(model: Model) -> None:
    model.ledger.append(ledger.AVAILABLE, 1)
    model.ledger.append(ledger.AVAILABLE, 2, figures=Counters(100, 1, {1000.0: 100}).figures())
    model.ledger.append(ledger.ROLLED_BACK, 2)
    model.ledger.append(ledger.AVAILABLE, 1, figures=Counters(150, 3, {1000.0: 150}).figures())
    found = periods(model.ledger.entries(), Counters(157, 3, {1000.0: 157}))
    assert {version: (p.requests.answered, p.requests.failed) for version, p in found.items()} == {
        1: (7, 0),
        2: (50, 2),
    }
    assert found[1].until == ""
    assert found[2].until != ""
