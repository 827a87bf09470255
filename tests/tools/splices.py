"""One vector's bytes as another's with pieces replaced, so that a hundred faults do not take a hundred copies."""

from tests.tools.forge import b, unb


def changed(base: bytes, data: bytes) -> list[list[object]]:
    """`data` as pieces of `base` replaced: [from, to, new bytes], the last first, so that offsets stay true."""
    if len(base) != len(data):
        front = next(
            (at for at, (x, y) in enumerate(zip(base, data, strict=False)) if x != y),
            min(len(base), len(data)),
        )
        back = 0
        while back < min(len(base), len(data)) - front and base[-1 - back] == data[-1 - back]:
            back += 1
        return [[front, len(base) - back, b(data[front : len(data) - back])]]
    pieces: list[list[object]] = []
    at = 0
    while at < len(base):
        if base[at] == data[at]:
            at += 1
            continue
        end = at + 1
        while end < len(base) and base[end : end + 12] != data[end : end + 12]:
            end += 1
        pieces.insert(0, [at, end, b(data[at:end])])
        at = end
    return pieces


def applied(base: bytes, change: list[list[object]]) -> bytes:
    """The bytes that `changed` described."""
    for start, end, new in change:
        base = base[:start] + unb(new) + base[end:]
    return base
