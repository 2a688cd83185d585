"""Numbers as the real server reads and writes them: three roundings that are all off by design, and must match.

It reads JSON numbers with one rounding for the digits and one for the power of ten, prints doubles in messages with
Grisu2, and prints tensors with the fewest of 6 or 9 (17) digits that read back.
"""

from __future__ import annotations

import math
import re
import struct
from array import array
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

_NUMBER = re.compile(r"(-?)(\d+)(?:\.(\d+))?(?:[eE]([-+]?\d+))?")
_EXACT_SIGNIFICAND = 2**53 - 1
_SIGNIFICANT_DIGITS = 17

# The real server converts in threads that flush denormal numbers to zero, rounding first.
SMALLEST_DOUBLE = 2.0**-1022
SMALLEST_FLOAT = 2.0**-126
LARGEST_FLUSHED = 2.0**-126 - 2.0**-151

_POWERS = [float(f"1e{n}") for n in range(309)]


class TooBig(ValueError):
    """A number token that no double can hold."""


def read_number(token: str) -> int | float:
    """Return the value that the real server gives to a JSON number token.

    An integer token is an int when 64 bits hold it (signed if it has a minus), otherwise a float. Raises
    TooBig for what is rejected as a parse error.
    """
    match = _NUMBER.fullmatch(token)
    if match is None:
        raise ValueError(f"not a JSON number: {token!r}")
    sign, digits, fraction, exponent = match.groups()
    limit = 2**63 if sign else 2**64 - 1
    if fraction is None and exponent is None and len(digits) < 21 and int(digits) <= limit:
        return -int(digits) if sign else int(digits)
    value = _scale(*_significand(digits, fraction, limit), exponent)
    return -value if sign else value


def _significand(digits: str, fraction: str | None, limit: int) -> tuple[float, int]:
    """The digits as a double, and the power of ten that puts the point right."""
    whole, used = _leading_integer(digits, limit)
    if used < len(digits):
        value = _append_digits(float(whole), digits[used:])
        significant = used - 1
        return _append_fraction(value, significant, fraction or "", 0)
    if fraction is None:
        return float(whole), 0
    significant, position = len(digits) - 1, 0
    while position < len(fraction) and whole <= _EXACT_SIGNIFICAND:
        whole = whole * 10 + int(fraction[position])
        position += 1
        significant += whole != 0
    return _append_fraction(float(whole), significant, fraction[position:], -position)


def _leading_integer(digits: str, limit: int) -> tuple[int, int]:
    """As many leading digits as fit `limit`, and how many those are."""
    value = int(digits[:18])
    used = min(len(digits), 18)
    while used < len(digits) and value * 10 + int(digits[used]) <= limit:
        value = value * 10 + int(digits[used])
        used += 1
    return value, used


def _append_digits(value: float, digits: str) -> float:
    for digit in digits:
        if value >= 1.7976931348623157e307:
            raise TooBig
        value = value * 10 + int(digit)
    return value


def _append_fraction(value: float, significant: int, fraction: str, power: int) -> tuple[float, int]:
    for digit in fraction:
        if significant >= _SIGNIFICANT_DIGITS:
            break
        value = value * 10.0 + int(digit)
        power -= 1
        significant += value > 0.0
    return value, power


def _scale(value: float, power: int, exponent: str | None) -> float:
    shift = 0
    if exponent is not None:
        shift = _exponent(exponent, 308 - power)
    power += shift
    if power < -308:
        return _times_power(_times_power(value, -308), power + 308)
    return _times_power(value, power)


def _exponent(text: str, highest: int) -> int:
    digits = text.lstrip("+-")
    if text.startswith("-"):
        return -int(digits[:12]) if int(digits[:12]) < 214748364 else -214748364
    value = int(digits[0])
    for digit in digits[1:]:
        value = value * 10 + int(digit)
        if value > highest:
            raise TooBig
    return value


def _times_power(value: float, power: int) -> float:
    if power < -308:
        return 0.0
    if power >= 0:
        return value * _POWERS[power]
    quotient = value / _POWERS[-power]
    return quotient if quotient >= SMALLEST_DOUBLE else 0.0


def float32_text(value: float) -> str:
    """Print a float32 (given as the equal Python float) as the real server does in replies."""
    if -SMALLEST_FLOAT < value < SMALLEST_FLOAT:
        value = math.copysign(0.0, value)
    return _reply_text(value, _round_to_float32, "%.9g")


def float64_text(value: float) -> str:
    """Print a float64 as the real server does in replies."""
    if -SMALLEST_DOUBLE < value < SMALLEST_DOUBLE:
        value = math.copysign(0.0, value)
    return _reply_text(value, float, "%.17g")


def float32_texts(values: Sequence[float]) -> list[str]:
    """Print float32 numbers as `float32_text` does each of them."""
    count = len(values)
    joined = ("%.6g " * count) % tuple(values)
    if "n" in joined or "e-3" in joined or "e-4" in joined:
        return list(map(float32_text, values))  # Among them is one that is infinite, no number, or denormal.
    short = joined.split()
    read_back = array("f", map(float, short)).tolist()
    full = (("%.9g " * count) % tuple(values)).split()
    texts = [s if back == v else f for s, f, back, v in zip(short, full, read_back, values, strict=True)]
    return [text if "." in text or "e" in text else text + ".0" for text in texts]


def to_float32(wide: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Narrow an array as the real server does: overflow is infinite, what would be denormal is zero."""
    with np.errstate(all="ignore"):
        narrow = wide.astype(np.float32)
    tiny = np.abs(wide) < LARGEST_FLUSHED
    if tiny.any():
        narrow = np.where(tiny, np.copysign(np.float32(0), narrow), narrow)
    return narrow


def _reply_text(value: float, narrow: Callable[[float], float], full: str) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    text = "%.6g" % value  # noqa: UP031 - C's %g is what is being reproduced
    if narrow(float(text)) != value:
        text = full % value
    return text if "." in text or "e" in text else text + ".0"


_FLOAT32 = struct.Struct("<f")


def _round_to_float32(value: float) -> float:
    try:
        return float(_FLOAT32.unpack(_FLOAT32.pack(value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def grisu(value: float) -> str:
    """Print a finite double as the real server does in messages: Grisu2's digits, which are not always the nearest."""
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    if value == 0:
        return sign + "0.0"
    digits, power = _grisu_digits(abs(value))
    return sign + _place_point(digits, power)


def _place_point(digits: str, power: int) -> str:
    point = len(digits) + power
    if power >= 0 and point <= 21:
        return digits + "0" * power + ".0"
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    if len(digits) == 1:
        return f"{digits}e{point - 1}"
    return f"{digits[0]}.{digits[1:]}e{point - 1}"


_HIDDEN_BIT = 1 << 52
_MASK64 = (1 << 64) - 1


def _grisu_digits(value: float) -> tuple[str, int]:
    bits = struct.unpack("<Q", struct.pack("<d", value))[0]
    biased, fraction = bits >> 52, bits & (_HIDDEN_BIT - 1)
    f, e = (fraction + _HIDDEN_BIT, biased - 1075) if biased else (fraction, -1074)
    high, high_e = _normalise(2 * f + 1, e - 1)
    low = (4 * f - 1) << (e - 2 - high_e) if f == _HIDDEN_BIT else (2 * f - 1) << (e - 1 - high_e)
    power_f, power_e, k = _cached_power(high_e)
    w = _multiply(_normalise(f, e)[0], power_f)
    upper = _multiply(high, power_f) - 1
    lower = _multiply(low, power_f) + 1
    return _generate(w, upper, upper - lower, -(high_e + power_e + 64), k)


def _normalise(f: int, e: int) -> tuple[int, int]:
    shift = 64 - f.bit_length()
    return f << shift, e - shift


def _multiply(a: int, b: int) -> int:
    return ((a * b + (1 << 63)) >> 64) & _MASK64


def _cached_power(e: int) -> tuple[int, int, int]:
    """A power of ten, every eighth, that brings the exponent `e` into reach of 32-bit digits."""
    estimate = (-61 - e) * 0.30102999566398114 + 347
    index = (math.ceil(estimate) >> 3) + 1
    exponent = -348 + (index << 3)
    exact = Fraction(10) ** exponent
    shift = math.floor(math.log2(10) * exponent) - 63
    f = round(exact / Fraction(2) ** shift)
    while f >= 1 << 64:
        shift += 1
        f = round(exact / Fraction(2) ** shift)
    while f < 1 << 63:
        shift -= 1
        f = round(exact / Fraction(2) ** shift)
    return f, shift, -exponent


def _generate(w: int, upper: int, delta: int, shift: int, k: int) -> tuple[str, int]:
    """Digits of a number between the boundaries; `shift` is where the binary point is."""
    one = 1 << shift
    gap = upper - w
    integral, rest = upper >> shift, upper & (one - 1)
    digits: list[int] = []
    kappa = len(str(integral))
    while kappa > 0:
        kappa -= 1
        digit, integral = divmod(integral, 10**kappa)
        if digit or digits:
            digits.append(digit)
        left = (integral << shift) + rest
        if left <= delta:
            _round_down(digits, delta, left, 10**kappa << shift, gap)
            return "".join(map(str, digits)), k + kappa
    while True:
        rest, delta = rest * 10, delta * 10
        digit, rest = rest >> shift, rest & (one - 1)
        if digit or digits:
            digits.append(digit)
        kappa -= 1
        if rest < delta:
            scaled = gap * 10**-kappa if -kappa < 9 else 0
            _round_down(digits, delta, rest, one, scaled & _MASK64)
            return "".join(map(str, digits)), k + kappa


def _round_down(digits: list[int], delta: int, rest: int, unit: int, gap: int) -> None:
    while rest < gap and delta - rest >= unit and (rest + unit < gap or gap - rest > rest + unit - gap):
        digits[-1] -= 1
        rest += unit
