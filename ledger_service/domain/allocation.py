"""Divides an amount by shares so that no minor unit is lost and none is made."""

from collections.abc import Sequence


def allocate(total_minor: int, shares: Sequence[int]) -> list[int]:
    """Return how many of `total_minor` minor units each of `shares` gets, in their order.

    By the largest remainder (Hamilton's method): each gets its exact part without the fraction, and
    what is left over goes, one unit each, to those whose fractions were largest; of equal
    fractions to the one that comes first. Nobody is a whole unit away from the exact part.
    `total_minor` is zero or more, the shares are positive.
    """
    whole = sum(shares)
    parts = [divmod(total_minor * share, whole) for share in shares]
    amounts_minor = [amount_minor for amount_minor, _ in parts]
    left_over = total_minor - sum(amounts_minor)
    by_fraction = sorted(range(len(parts)), key=lambda place: -parts[place][1])
    for place in by_fraction[:left_over]:
        amounts_minor[place] += 1
    return amounts_minor
