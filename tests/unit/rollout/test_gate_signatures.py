"""Which changes of a signature break a promise to clients, and which signatures take held-out images."""

from __future__ import annotations

import dataclasses

import pytest

from rollout.gate.signatures import Signature, Tensor, broken_promises, common, takes_images

ENCODED = Tensor("DT_STRING", True, ())
PIXELS = Tensor("DT_FLOAT", False, (-1, -1, -1, 3))
LOGITS = Tensor("DT_FLOAT", False, (-1, 10))
LIVE = {
    "serving_bytes": Signature({"image": ENCODED}, {"output_0": LOGITS}),
    "serving_default": Signature({"x": PIXELS}, {"output_0": LOGITS}),
}


def changed(**inputs: Tensor) -> dict[str, Signature]:
    return {**LIVE, "serving_default": dataclasses.replace(LIVE["serving_default"], inputs=inputs)}


@pytest.mark.parametrize(
    ("offered", "said"),
    [
        (changed(z=PIXELS), "input x: expected DT_FLOAT [-1, -1, -1, 3] as live, found no such input, only z"),
        (changed(x=Tensor("DT_UINT8", False, (-1, -1, -1, 3))), "as live, found DT_UINT8 [-1, -1, -1, 3]"),
        (changed(x=Tensor("DT_FLOAT", False, (-1, 32, 32, 3))), "as live, found DT_FLOAT [-1, 32, 32, 3]"),
        (changed(x=PIXELS, extra=LOGITS), "serving_default wants inputs that the live version does not: extra"),
        ({"serving_bytes": LIVE["serving_bytes"]}, "serving_default of the live version is missing; it has serving_b"),
        (
            {**LIVE, "serving_bytes": Signature({"image": ENCODED}, {})},
            "serving_bytes, output output_0: expected DT_FLOAT [-1, 10] as live, found no such output, only none",
        ),
    ],
)
def test_what_clients_would_miss_is_named(offered: dict[str, Signature], said: str) -> None:
    (problem,) = [each for each in broken_promises(offered, LIVE) if said in each]
    assert problem.startswith("signature serving_")


def test_what_a_candidate_adds_is_welcome() -> None:
    more = Signature({"image": ENCODED}, {"output_0": LOGITS, "label": Tensor("DT_STRING", False, (-1,))})
    assert broken_promises({**LIVE, "serving_bytes": more, "new": more}, LIVE) == []


def test_images_go_into_a_vector_of_strings_or_a_batch_of_pixels_and_nothing_else() -> None:
    assert takes_images(LIVE["serving_bytes"])
    assert takes_images(LIVE["serving_default"])
    assert not takes_images(Signature({"image": ENCODED, "size": LOGITS}, {}))
    assert not takes_images(Signature({"x": LOGITS}, {}))
    assert not takes_images(Signature({"x": Tensor("DT_FLOAT", False, (1, 32, 32, 3))}, {}))


def test_only_signatures_with_the_same_inputs_are_compared() -> None:
    assert common(changed(x=LOGITS), LIVE) == ["serving_bytes"]
    assert common(LIVE, LIVE) == ["serving_bytes", "serving_default"]
