"""The log's public pages in the form of C2SP tlog-tiles, as a stranger and a cache see them (L12)."""

import asyncio
from typing import Any

from schemas import api
from schemas.audit import LEAF_SIZE
from schemas.checkpoint import note_lines
from schemas.merkle import Frontier, leaf_hash
from schemas.witness import open_published
from tests.simulated_world import World

OCTETS = "application/octet-stream"
FOREVER = "public, max-age=31536000, immutable"


async def grow(world: World, http: Any, count: int) -> None:
    for at in range(0, count, 50):
        sealed = [world.seal("Peacock", "IDVAS") for _ in range(min(50, count - at))]
        assert (await world.post_envelopes(http, "Peacock", *sealed)).status == 200


async def get(http: Any, path: str) -> tuple[int, dict[str, str], bytes]:
    async with http.get(path) as response:
        return response.status, dict(response.headers), await response.read()


async def tile(http: Any, path: str) -> bytes:
    status, headers, body = await get(http, f"{api.LOG}/tile/{path}")
    assert (status, headers["Content-Type"], headers["Cache-Control"]) == (200, OCTETS, FOREVER), path
    return body


async def test_the_checkpoint_carries_both_of_the_logs_lines_and_is_kept_by_no_cache(world: World, http: Any):
    await grow(world, http, 2)
    status, headers, body = await get(http, api.CHECKPOINT)
    assert (status, headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert headers["Cache-Control"] == "no-store"
    partnership = world.founded.partnership
    published = open_published(body.decode(), partnership.log_key, partnership.log_mldsa_key)
    assert published.checkpoint.size == 2
    assert {name for name, _ in note_lines(body.decode())[1]} == {"relay.test/log"}


async def test_a_checkpoint_is_never_older_than_the_question(world: World, http: Any):
    partnership = world.founded.partnership
    for size in range(1, 6):
        await grow(world, http, 1)
        bodies = await asyncio.gather(*(get(http, api.CHECKPOINT) for _ in range(8)))
        notes = [body.decode() for _, _, body in bodies]
        assert {
            open_published(n, partnership.log_key, partnership.log_mldsa_key).checkpoint.size for n in notes
        } == {size}
        assert len(set(notes)) == 1  # eight who ask at once share one signature


async def test_tiles_of_every_level_hash_into_the_next_and_into_the_checkpoint(world: World, http: Any):
    await grow(world, http, 256 + 7)
    entries = b"".join([await tile(http, "entries/000"), await tile(http, "entries/001.p/7")])
    wide = 2 + LEAF_SIZE
    leaves = [entries[at + 2 : at + wide] for at in range(0, len(entries), wide)]
    assert all(entries[at : at + 2] == LEAF_SIZE.to_bytes(2, "big") for at in range(0, len(entries), wide))
    hashes = [leaf_hash(leaf) for leaf in leaves]
    assert await tile(http, "0/000") == b"".join(hashes[:256])
    assert await tile(http, "0/001.p/7") == b"".join(hashes[256:])
    first, whole = Frontier(), Frontier()
    for at, digest in enumerate(hashes):
        whole = whole.append(digest)
        first = whole if at == 255 else first
    assert await tile(http, "1/000.p/1") == first.root()
    partnership = world.founded.partnership
    _, _, note = await get(http, api.CHECKPOINT)
    head = open_published(note.decode(), partnership.log_key, partnership.log_mldsa_key).checkpoint
    assert (head.size, head.root) == (263, whole.root())


async def test_a_partial_tile_stays_the_same_when_the_log_has_grown_past_it(world: World, http: Any):
    await grow(world, http, 3)
    before = {path: await tile(http, path) for path in ("0/000.p/3", "entries/000.p/3", "0/000.p/1")}
    await grow(world, http, 260)
    assert {path: await tile(http, path) for path in before} == before
    assert (await tile(http, "0/000")).startswith(before["0/000.p/3"])


NO_TILES = (
    "0/000", "0/000.p/4", "entries/000.p/4", "1/000.p/1", "0/000.p/0", "0/000.p/256", "0/000.p/03", "00/000.p/3", "8/000.p/1",
    "63/000.p/1", "0/0.p/3", "0/x000/000.p/3", "data/000.p/3", "entries/000.p/3/", "0/000.p/3?again=1", "0/-01.p/3", "0/٠٠٠.p/3",
    "0/x999/x999/x999/x999/x999/999", "",
)  # fmt: skip


async def test_what_is_no_tile_of_this_log_is_not_found_and_no_cache_remembers_it(world: World, http: Any):
    await grow(world, http, 3)
    for path in NO_TILES:
        status, headers, _ = await get(http, f"{api.LOG}/tile/{path}")
        assert (status, headers["Cache-Control"]) == (404, "no-store"), path
    await tile(http, "0/000.p/3")
