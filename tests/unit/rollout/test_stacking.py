"""What `make status` says about requests that share a batch, from the page of a server."""

from __future__ import annotations

import dataclasses

import pytest

from bundle.errors import BundleError
from rollout import stacking
from rollout.client import Client

PAGE = """\
# TYPE :tensorflow:serving:request_count counter
:tensorflow:serving:request_count{model_name="m",status="OK"} 3
# TYPE bundle_stacking gauge
bundle_stacking{model="m",version="2",signature="bytes",grounds="declared",reason=""} 1
bundle_stacking{model="m",version="2",signature="default",grounds="proved",reason=""} 1
bundle_stacking{model="m",version="2",signature="mean",grounds="none",reason="`Mean` at node a/\\"b\\" reduces"} 1
bundle_stacking{model="m",version="1",signature="mean",grounds="none",reason="`Mean` at node x reduces"} 1
bundle_stacking{model="other",version="1",signature="default",grounds="ordered",reason=""} 1
# TYPE bundle_stacking_differences_total counter
bundle_stacking_differences_total{model="m",version="2",signature="mean"} 0
"""


@dataclasses.dataclass(frozen=True)
class Answering(Client):
    page: str | None = PAGE

    def metrics(self) -> str | None:
        if self.page == "broken":
            raise BundleError("nothing answers")
        return self.page


def test_versions_of_the_model_alone_are_told_about() -> None:
    assert stacking.told(Answering("h", 1, 2), "m") == {
        2: [
            "stacks requests for bytes (declared), default (proved)",
            'mean runs one by one: `Mean` at node a/"b" reduces',
        ],
        1: ["mean runs one by one: `Mean` at node x reduces"],
    }


@pytest.mark.parametrize("page", [None, "", "broken", "# TYPE x counter\nx 1\n"])
def test_a_server_that_does_not_say_is_no_error(page: str | None) -> None:
    assert stacking.told(Answering("h", 1, 2, page=page), "m") == {}
    assert stacking.told(None, "m") == {}
