"""Model folders that were damaged or made to hurt: a run loads them, or says in one line why it cannot."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hostile import hostile
from hypothesis import given
from hypothesis import strategies as st
from support import run_spec, save_model, save_reviews, space

from core.model.deltafile import DeltaFile, read_delta, write_delta
from core.run.errors import S3Error
from core.run.rundir import RunDir
from core.runtime.reporter import SilentReporter
from core.sites import describe
from core.training.setup import load

FAMILIES = ("bert", "t5", "gpt2")
WEIGHTS = "model.safetensors"
MEMORY = 3 << 30  # bytes that an example of a few kilobytes may take at most
SECONDS = 60  # after which one is said to hang

WHOLE = st.one_of(st.integers(-3, 70), st.integers(0, 18).map(lambda n: 10**n), st.integers())
SCALAR = st.one_of(st.none(), st.booleans(), WHOLE, st.floats(), st.text(max_size=8))
VALUE = st.one_of(
    SCALAR, st.lists(SCALAR, max_size=3), st.dictionaries(st.text(max_size=4), st.lists(SCALAR, max_size=2), max_size=2)
)
FAMILY = st.sampled_from(FAMILIES)


class Hangs(KeyboardInterrupt):
    """Nothing that an example may swallow."""


@contextmanager
def bounded() -> Iterator[None]:
    """A limit on memory and on time; both end the campaign."""

    def hangs(*given: object) -> None:
        raise Hangs

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))
    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("hostile")
    save_reviews(root / "reviews.jsonl", rows=30)
    return {family: save_model(family, root / family) for family in FAMILIES}


def one_line(do: Callable[[], object]) -> bool:
    """Whether it works; what is raised is an error of ours in one line, or fails the test."""
    try:
        with bounded():
            do()
        return True
    except S3Error as error:
        said = str(error)
    assert said.strip()
    assert "\n" not in said
    return False


def tried(folder: Path, damage: Callable[[Path], object]) -> bool:
    """Whether a run can begin with a copy of the folder after the damage; `s3tui sites` looks at it too."""
    with tempfile.TemporaryDirectory() as place:
        copy = shutil.copytree(folder, Path(place) / "model")
        damage(copy)
        one_line(lambda: describe(str(copy), [space()]))
        spec = run_spec(copy, folder.parent / "reviews.jsonl", budget=None, method="fixed")
        return one_line(lambda: load(RunDir(Path(place) / "run"), spec, None, SilentReporter()))


def set_key(file: str, place: list[int], value: object, deeper: bool = False) -> Callable[[Path], object]:
    """Put the value at some key of a JSON file, found by numbers; deeper goes down into what is there."""

    def change(folder: Path) -> None:
        data: Any = json.loads((folder / file).read_text())
        at = data
        for number in place:
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            key = keys[number % len(keys)]
            if deeper and isinstance(at[key], dict | list) and at[key] and number != place[-1]:
                at = at[key]
                continue
            at[key] = value
            break
        (folder / file).write_text(json.dumps(data))

    return change


@hostile(100)
@given(FAMILY, st.integers(0, 99), VALUE)
def test_any_value_in_a_config_is_used_or_refused_in_one_line(folders, family, key, value):
    tried(folders[family], set_key("config.json", [key], value))


@hostile(40)
@given(FAMILY, st.text(max_size=12), VALUE)
def test_any_key_in_a_config_is_used_or_refused_in_one_line(folders, family, key, value):
    def add(folder: Path) -> None:
        data = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(data | {key: value}))

    tried(folders[family], add)


@hostile(40)
@given(
    FAMILY,
    st.sampled_from(["tokenizer.json", "tokenizer_config.json"]),
    st.lists(st.integers(0, 99), min_size=1, max_size=4),
    VALUE,
)
def test_any_value_in_a_tokenizer_is_used_or_refused_in_one_line(folders, family, file, place, value):
    tried(folders[family], set_key(file, place, value, deeper=True))


@hostile(40)
@given(
    FAMILY,
    st.sampled_from([WEIGHTS, "tokenizer.json", "config.json", "tokenizer_config.json"]),
    st.floats(0, 1),
    st.binary(max_size=6),
    st.booleans(),
)
def test_a_file_cut_or_overwritten_anywhere_is_used_or_refused_in_one_line(folders, family, file, where, written, cut):
    def damage(folder: Path) -> None:
        data = (folder / file).read_bytes()
        at = int(where * len(data))
        (folder / file).write_bytes(data[:at] + written + (b"" if cut else data[at + len(written) :]))

    tried(folders[family], damage)


NUMBERS = st.one_of(st.integers(-1, 70), st.integers(0, 2**64 - 1), st.floats(), st.none())
PARTS: dict[str, st.SearchStrategy[Any]] = {
    "dtype": st.one_of(st.sampled_from(["F32", "F64", "BF16", "I8", "BOOL", "F8_E4M3", "F4", "f32"]), VALUE),
    "shape": st.one_of(st.lists(NUMBERS, max_size=4), VALUE),
    "data_offsets": st.one_of(st.lists(NUMBERS, max_size=3), VALUE),
}
CHANGES = st.lists(
    st.one_of(*(st.tuples(st.integers(0, 99), st.just(part), values) for part, values in PARTS.items()),
              st.tuples(st.integers(0, 99), st.sampled_from(["gone", "renamed", "twice"]), st.text(max_size=6))),
    min_size=1, max_size=3,
)  # fmt: skip


def rewritten(data: bytes, changes: list[tuple[int, str, Any]], length: int | None) -> bytes:
    """A safetensors file with another header: parts of entries changed, entries gone, renamed or there twice."""
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    for number, part, value in changes:
        names = [name for name in header if name != "__metadata__"] or [""]
        name = names[number % len(names)]
        if part in ("gone", "renamed") and name in header:
            entry = header.pop(name)
            header |= {} if part == "gone" else {value: entry}
        elif part == "twice":
            header[value] = header.get(name)
        elif isinstance(header.get(name), dict):
            header[name][part] = value
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data[8 + size :]


LENGTH = st.one_of(st.none(), st.none(), st.integers(0, 2**64 - 1), st.integers(0, 5000))


@hostile(60)
@given(FAMILY, CHANGES, LENGTH)
def test_any_header_of_weights_is_used_or_refused_in_one_line(folders, family, changes, length):
    def damage(folder: Path) -> None:
        (folder / WEIGHTS).write_bytes(rewritten((folder / WEIGHTS).read_bytes(), changes, length))

    tried(folders[family], damage)


def delta() -> bytes:
    place = torch.Generator().manual_seed(0)
    tensors = {f"a.{i}/lora(rank=1)/lora_A": torch.randn(1, 5, generator=place) for i in range(3)}
    return write_delta(tensors | {"head.weight": torch.ones(2, 2, dtype=torch.bfloat16)}, "tiny", "rte", ("a",), ())


@hostile(150)
@given(CHANGES, LENGTH)
def test_any_header_of_a_delta_is_refused_or_says_the_same(tmp_path, changes, length):
    check_delta(tmp_path, rewritten(delta(), changes, length))


@hostile(150)
@given(st.integers(0, 10**6))
def test_a_delta_with_any_bit_turned_is_refused_or_says_the_same(tmp_path, bit):
    data = bytearray(delta())
    bit %= 8 * len(data)
    data[bit // 8] ^= 1 << bit % 8
    check_delta(tmp_path, bytes(data))


def check_delta(folder: Path, data: bytes) -> None:
    whole, changed = (folder / name for name in ("whole", "changed"))
    for place, content in ((whole, delta()), (changed, data)):
        place.mkdir(exist_ok=True)
        (place / "delta.safetensors").write_bytes(content)
    found: list[DeltaFile] = []
    if one_line(lambda: found.append(read_delta(changed))):
        ours, theirs = vars(read_delta(whole)), vars(found[0])
        for key, value in ours.items():
            if key in ("deltas", "own"):
                assert value.keys() == theirs[key].keys()
                assert all(torch.equal(tensor, theirs[key][name]) for name, tensor in value.items())
            else:
                assert value == theirs[key]
