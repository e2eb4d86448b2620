"""Files of the cache, whole and damaged."""

from pathlib import Path

import pytest

from support.agent_rig import DEVICE
from underlace.agent.cache import Cache, Candidate, Rejected
from underlace.agent.files import write_file
from underlace.model.device import Vrf, encode_fragment, hash_fragment
from underlace.model.wire import Manifest, manifest_digest

BODY = encode_fragment([Vrf("red", l3vni=7)])
SCOPES = {"vrf:red": hash_fragment(BODY)}
MANIFEST = Manifest(DEVICE, 4, manifest_digest(SCOPES), SCOPES)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return opened(tmp_path)


def opened(directory: Path) -> Cache:
    made = Cache(directory, DEVICE)
    made.open()
    return made


def test_empty_cache_holds_nothing_and_complains_of_nothing(cache: Cache) -> None:
    assert (cache.good(), cache.candidate(), cache.rejected(), cache.saved()) == (None, None, None, "")
    assert cache.found == []


def test_what_is_kept_comes_back(cache: Cache, tmp_path: Path) -> None:
    cache.add({SCOPES["vrf:red"]: BODY})
    cache.begin(Candidate(MANIFEST, 2))
    cache.reject(Rejected("x", 3))
    assert opened(tmp_path).candidate() == Candidate(MANIFEST, 2)
    assert opened(tmp_path).good() is None
    cache.keep(MANIFEST, ["vrf red", " vni 7"])
    cache.mark_saved(MANIFEST.digest)
    again = opened(tmp_path)
    kept = again.good()
    assert kept is not None
    assert (kept.manifest, dict(kept.bodies)) == (MANIFEST, {"vrf:red": BODY})
    assert again.candidate() is None
    assert again.rejected() == Rejected("x", 3)
    assert again.saved() == MANIFEST.digest
    assert (tmp_path / "good.txt").read_text() == "vrf red\n vni 7\n"


def test_fragments_that_nothing_names_are_dropped_on_keep(cache: Cache, tmp_path: Path) -> None:
    other = encode_fragment([Vrf("blue")])
    cache.add({SCOPES["vrf:red"]: BODY, hash_fragment(other): other})
    cache.keep(MANIFEST, [])
    assert [p.name for p in (tmp_path / "fragments").iterdir()] == list(SCOPES.values())


@pytest.mark.parametrize("name", ["good.json", "candidate.json", "rejected.json", "saved.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "zeros", "edit", "shape", "directory"])
def test_damaged_file_is_set_aside_and_named(cache: Cache, tmp_path: Path, name: str, damage: str) -> None:
    cache.add({SCOPES["vrf:red"]: BODY})
    cache.keep(MANIFEST, [])
    cache.begin(Candidate(MANIFEST))
    cache.reject(Rejected("x"))
    cache.mark_saved("x")
    path = tmp_path / name
    whole = path.read_bytes()
    if damage == "directory":
        path.unlink()
        path.mkdir()
    elif damage == "edit":
        other = Manifest(DEVICE, 5, MANIFEST.digest, SCOPES)
        values = {"good.json": other, "candidate.json": Candidate(other), "rejected.json": Rejected("y")}
        cache._write(name, values.get(name, "y"))
        path.write_bytes(whole.split(b"\n")[0] + b"\n" + path.read_bytes().split(b"\n")[1])
    elif damage == "shape":
        write_file(path, b"")
        cache._write(name, {"an": "other thing"})
    else:
        path.write_bytes(
            {"cut": whole[:-3], "flip": whole[:-3] + b"\x00" + whole[-2:], "empty": b"", "zeros": bytes(len(whole))}[
                damage
            ]
        )
    again = opened(tmp_path)
    read = {"good.json": again.good, "candidate.json": again.candidate, "rejected.json": again.rejected}
    assert not read.get(name, again.saved)()
    [found] = again.found
    assert found.code == "agent-cache-damaged"
    assert (found.where.device, found.where.file) == (DEVICE, str(path))
    assert (tmp_path / f"{name}.corrupt").exists()
    assert not path.exists()


def test_damaged_fragment_is_lacking_and_set_aside(cache: Cache, tmp_path: Path) -> None:
    cache.add({SCOPES["vrf:red"]: BODY})
    cache.keep(MANIFEST, [])
    path = tmp_path / "fragments" / SCOPES["vrf:red"]
    path.write_bytes(BODY[:-1])
    assert cache.good() is None
    assert cache.lacking(SCOPES.values()) == list(SCOPES.values())
    assert [d.where.file for d in cache.found] == [str(path)]
    cache.add({SCOPES["vrf:red"]: BODY})
    assert cache.good() is not None


def test_half_written_files_of_a_crash_are_cleared(cache: Cache, tmp_path: Path) -> None:
    cache.add({SCOPES["vrf:red"]: BODY})
    cache.keep(MANIFEST, [])
    (tmp_path / "good.json.new").write_bytes(b"half")
    (tmp_path / "fragments" / ("a" * 64 + ".new")).write_bytes(b"half")
    again = opened(tmp_path)
    assert again.good() is not None
    assert not list(tmp_path.glob("**/*.new"))


def test_mode_does_not_depend_on_what_a_crash_left(tmp_path: Path) -> None:
    (tmp_path / "secret.new").write_bytes(b"half")
    (tmp_path / "secret.new").chmod(0o644)
    write_file(tmp_path / "secret", b"whole", mode=0o600)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "a" * 63, "a" * 64 + "/", "\x00" * 64])
def test_only_a_hash_becomes_a_file_name(cache: Cache, name: str) -> None:
    assert cache.lacking([name]) == [name]


def test_nobody_else_reads_the_cache(cache: Cache, tmp_path: Path) -> None:
    cache.add({SCOPES["vrf:red"]: BODY})
    cache.keep(MANIFEST, ["x"])
    modes = {p.stat().st_mode & 0o077 for p in tmp_path.rglob("*")}
    assert modes == {0}
