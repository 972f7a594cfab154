"""Files made to run code, to fill the memory, to hang or to mislead: a message each, no more."""

import io
import json
import os
import pickle
import resource
import stat
import struct
import tarfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from hpazoo.checkpoints import sha256
from hpazoo.checkpoints.reading import pickles
from hpazoo.checkpoints.reading.files import is_program_file, read_state
from hpazoo.checkpoints.reading.header import read_card
from hpazoo.errors import CheckpointError

torch.set_num_threads(1)
HUGE = 1 << 40


@dataclass
class Name:
    """A global of a pickle."""

    name: str


@dataclass
class After:
    """Values on the stack, then an operation."""

    values: tuple
    operation: bytes


def call(name, *given):
    return After((Name(name), given), b"R")


def dump(value):
    """Pickle operations that make a value, honest or not."""
    match value:
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            data = pickle.encode_long(value)
            return b"\x8a" + bytes([len(data)]) + data
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case bytes():
            return value
        case tuple():
            return b"(" + b"".join(map(dump, value)) + b"t"
        case list():
            return b"](" + b"".join(map(dump, value)) + b"e"
        case dict():
            return b"}(" + b"".join(dump(k) + dump(v) for k, v in value.items()) + b"u"
        case Name():
            module, _, name = value.name.rpartition(".")
            return f"c{module}\n{name}\n".encode()
        case After():
            return b"".join(map(dump, value.values)) + value.operation
    raise TypeError(value)


def pickled(value):
    return b"\x80\x02" + dump(value) + b"."


def storage(count=6, key="0", *view):
    return After((("storage", Name("torch.FloatStorage"), key, "cpu", count, *view),), b"Q")


def tensor(size=(2, 3), stride=(3, 1), offset=0, of=None, version="_v2"):
    of = of or storage()
    more = (False, {}) if version else ()
    return call(f"torch._utils._rebuild_tensor{version}", of, offset, size, stride, *more)


def archive(value, storages=None, compression=zipfile.ZIP_STORED, more=()):
    storages = {"0": np.arange(6, dtype="<f4").tobytes()} if storages is None else storages
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as made:
        made.writestr("a/version", "3\n")
        made.writestr("a/data.pkl", value if isinstance(value, bytes) else pickled(value))
        for key, content in storages.items():
            made.writestr(f"a/data/{key}", content)
        for name, content in more:
            made.writestr(name, content)
    return out.getvalue()


def legacy(value, keys=("0",), storages=None):
    storages = [np.arange(6, dtype="<f4").tobytes()] if storages is None else storages
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, value, list(keys)]
    lengths = [struct.pack("<q", len(content) // 4) + content for content in storages]
    return b"".join(map(pickled, head)) + b"".join(lengths)


def safetensors(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def saved(value, **options):
    out = io.BytesIO()
    torch.save(value, out, **options)
    return out.getvalue()


GOOD = {"a": tensor()}
TOUCH = [
    ("os.system", ("touch made",)),
    ("posix.system", ("touch made",)),
    ("builtins.eval", ("open('made', 'w')",)),
    ("builtins.getattr", (Name("os"), "system")),
    ("torch.hub.load", ("x", "y")),
    ("torch.serialization.load", ("other.pth",)),
    ("torch.storage._load_from_bytes", (b"N",)),
    ("torch._utils._import_dotted_name", ("os.system",)),
    ("numpy.fromfile", ("/etc/passwd",)),
    ("numpy.testing._private.utils.runstring", ("open('made', 'w')", {})),
    ("__builtin__.execfile", ("made.py",)),
]


def test_the_files_of_these_tests_are_read_when_they_are_honest(tmp_path):
    expected = torch.arange(6.0).reshape(2, 3)
    layout = {"a": entry([2, 3], 0, 24)}
    for data in (
        archive(GOOD),
        legacy(GOOD),
        archive({"state_dict": After((call("collections.OrderedDict"), "a", tensor()), b"s")}),
        archive({"a": tensor(version="")}),
        archive({"a": call("torch._utils._rebuild_parameter", tensor(), True, {})}),
        safetensors(layout, np.arange(6, dtype="<f4").tobytes()),
    ):
        (tmp_path / "x").write_bytes(data)
        assert torch.equal(read_state(tmp_path / "x")["a"], expected)
    for data in (archive(GOOD), legacy({"a": tensor(of=storage(6, "0", None))})):
        # and they are what torch itself reads
        assert torch.equal(torch.load(io.BytesIO(data), weights_only=True)["a"], expected)


def test_what_lies_beside_the_weights_is_not_made(tmp_path):
    beside = {
        "bytes": call("builtins.bytearray", 1 << 36),
        "array": call("numpy.ndarray", (HUGE,)),
        "size": call("torch.Size", (HUGE,)),
        "options": After((call("argparse.Namespace"), {"lr": 1}), b"b"),
    }
    (tmp_path / "x").write_bytes(archive({"state_dict": GOOD, **beside}))
    assert list(read_state(tmp_path / "x")) == ["a"]
    (tmp_path / "x").write_bytes(archive({**GOOD, **beside}))
    assert list(read_state(tmp_path / "x")) == ["a", *beside]


@pytest.mark.parametrize("nested", [lambda x: x, lambda x: {"epoch": [{"y": (1, x)}]}])
@pytest.mark.parametrize(("name", "given"), TOUCH, ids=[name for name, _ in TOUCH])
def test_nothing_is_called(tmp_path, monkeypatch, name, given, nested):
    monkeypatch.chdir(tmp_path)
    evil = [
        call(name, *given),
        After((Name(name), given), b"\x81"),  # NEWOBJ
        After((Name(name), given, {}), b"\x92"),  # NEWOBJ_EX
        After((call("collections.OrderedDict"), Name(name)), b"b"),  # BUILD
        Name(name),
    ]
    module, _, last = name.rpartition(".")
    evil += [
        After((After((module, last), b"\x93"), given), b"R"),  # STACK_GLOBAL
        b"(" + dump("touch made") + f"i{module}\n{last}\n".encode(),  # INST
        b"(" + dump(Name(name)) + dump("touch made") + b"o",  # OBJ
    ]
    for thing in evil:
        for file in (archive, legacy):
            refused(tmp_path / "x", file({**GOOD, "x": nested(thing)}), "was not opened: it")
    refused(tmp_path / "x", pickled(evil[0]), "was not opened: it")
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


def refused(path, data, *messages):
    """Refused with a message, at once, in little memory."""
    path.write_bytes(data)
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(CheckpointError) as caught:
        read_state(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    assert len(text) < len(str(path)) + 500
    for message in messages:
        assert message in text, text
    assert time.monotonic() - begun < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # KiB


def wide(size, stride, **options):
    return archive({"a": tensor(size, stride, **options)})


BOMBS = {
    "strides of 0": (wide((HUGE,), (0,)), f"a tensor of {HUGE} values"),
    "a little too wide": (
        wide((7,), (1,)),
        "a tensor of 7 values (shape (7,)) over a storage of 6",
    ),
    "an expanded row": (wide((2, 6), (0, 1)), "a tensor of 12 values"),
    "beyond the end": (wide((2, 3), (3, 2)), "over a storage of 6"),
    "an offset": (wide((2,), (1,), offset=5), "over a storage of 6"),
    "a negative offset": (wide((2,), (1,), offset=-1), "is damaged"),
    "a negative stride": (wide((2,), (-1,), offset=1), "is damaged"),
    "many dimensions": (wide((1,) * 99, (1,) * 99), "99 dimensions"),
    "a product that wraps around": (wide((1 << 32, 1 << 32), (0, 0)), "over a storage of 6"),
    "a long number": (wide((1 << 2000,), (1,)), "no whole number"),
    "old version": (archive({"a": tensor((HUGE,), (0,), version="")}), "over a storage of 6"),
    "a storage longer than the file": (
        archive({"a": tensor((HUGE,), (1,), of=storage(HUGE))}),
        f"declared as {4 * HUGE} bytes and holds 24",
    ),
    "a storage longer than the old file": (
        legacy({"a": tensor((HUGE,), (1,), of=storage(HUGE))}),
        "is not there",
    ),
    "an old storage that lies of its length": (
        legacy({"a": tensor((5,), (1,), of=storage(5))}),
        "is not there",
    ),
    "a storage that is not listed": (legacy(GOOD, keys=()), "is not complete"),
    "a storage that is not there": (archive(GOOD, {}), "a/data/0 is not in the archive"),
    "a storage out of the archive": (
        archive({"a": tensor(of=storage(6, "../../../etc/passwd"))}),
        "is not in the archive",
    ),
    "two lengths of one storage": (
        archive({"a": tensor(), "b": tensor((2,), (1,), of=storage(9))}),
        "declares its storage '0' as 24 and as 36 bytes",
    ),
    "a tensor made by its type": (archive({"a": call("torch.FloatTensor", HUGE)}), "FloatTensor"),
    "an array of numpy": (
        archive({"x": call("numpy.ndarray", (HUGE,))}),
        "holds no weights: expected a state dict",
    ),
    "a place in the memo": (b"\x80\x02}r\xff\xff\xff\xff.", "torch.save did not write"),
    "a place beyond the memo": (b"\x80\x02}p99999999999999\n.", "is damaged"),
    "text that is not there": (b"\x80\x04\x8d" + struct.pack("<Q", HUGE) + b"x.", "is damaged"),
    "bytes that are not there": (b"\x80\x05\x96" + struct.pack("<Q", HUGE) + b"x.", "is damaged"),
    "a number of digits": (b"\x80\x02L" + b"9" * 100_000 + b"L\n.", "is damaged"),
    "operations without end": (b"\x80\x02" + b"N0" * 160_000 + b".", "300,000 operations"),
    "nothing but marks": (b"\x80\x02" + b"(" * 100_000 + b".", "is damaged"),
    "a tower as a key": (
        archive(b"\x80\x02}" + b")" + b"\x85" * 200_000 + b"Ns."),
        "holds no weights",
    ),
    "a list that holds itself": (
        archive(b"\x80\x02}X\x01\x00\x00\x00a]q\x00h\x00as."),
        "no weights",
    ),
    "a short zip": (b"PK\x03\x04", "is damaged"),
    "a short pickle": (b"\x80", "is damaged"),
    "a stack that is empty": (b"\x80\x02.", "is damaged"),
    "a memo that is empty": (b"\x80\x02h\x00.", "is damaged"),
    "an extension": (b"\x80\x02\x82\x01.", "uses EXT1"),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_sizes_that_are_only_promised(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(pickles, "MOST_OPERATIONS", 300_000)
    data, message = BOMBS[kind]
    refused(tmp_path / "x", data, message)


def deflated():
    return archive(GOOD, {"0": bytes(50 << 20)}, zipfile.ZIP_DEFLATED)


def overlapping():
    """100,000 records in the directory, all of the same megabyte."""
    data = archive(GOOD, {"0": bytes(1 << 20)})
    out = io.BytesIO(data)
    with zipfile.ZipFile(out, "a") as made:
        one = made.getinfo("a/data/0")
        for number in range(20_000):
            other = zipfile.ZipInfo(f"a/data/{number + 1}")
            other.header_offset, other.CRC = one.header_offset, one.CRC
            other.file_size, other.compress_size = one.file_size, one.compress_size
            made.filelist.append(other)
        made._didModify = True
    return out.getvalue()


def linked():
    link = zipfile.ZipInfo("a/data/0")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    return archive(GOOD, {}, more=[(link, "/dev/zero")])


def locked():
    data = bytearray(archive(GOOD))
    for sign, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(sign) + place] |= 1
    return bytes(data)


def lying():
    """A record of 6 numbers whose directory says a terabyte."""
    data = bytearray(archive(GOOD))
    place = data.rindex(b"PK\x01\x02")
    data[place + 20 : place + 28] = struct.pack("<II", 0xFFFFFFF0, 0xFFFFFFF0)
    return bytes(data)


def twice():
    with pytest.warns(UserWarning, match="Duplicate name"):
        return archive(GOOD, more=[("a/data/0", bytes(24))])


ARCHIVES = {
    "compressed": (deflated, "more than the whole file"),
    "compressed a little": (lambda: archive(GOOD, None, zipfile.ZIP_BZIP2), "compressed zip archi"),
    "overlapping": (overlapping, "more than the whole file"),
    "a link": (linked, "declared as 24 bytes and holds 9"),
    "locked": (locked, "locked with a password"),
    "lying": (lying, "more than the whole file"),
    "two of a name": (twice, "two records called 'a/data/0'"),
    "a way out": (lambda: archive(GOOD, more=[("a/../../x", b"")]), "points out of the archive"),
    "a way to the root": (lambda: archive(GOOD, more=[("/etc/x", b"")]), "points out of"),
    "a way of Windows": (lambda: archive(GOOD, more=[("a\\..\\x", b"")]), "points out of"),
    "two pickles": (lambda: archive(GOOD, more=[("b/data.pkl", b"")]), "not weights"),
    "of the other byte order": (
        lambda: archive(GOOD, more=[("a/byteorder", b"big")]),
        "other byte order",
    ),
    "tar": (lambda: tarred(pickled(call("os.mkdir", "made"))), "is a tar archive"),
}


def tarred(content):
    """As torch wrote before 0.1.10: pickles called storages, tensors and pickle; with links."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for name in ("storages", "tensors", "pickle"):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("storages")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        made.addfile(link)
    return out.getvalue()


@pytest.mark.parametrize("kind", ARCHIVES)
def test_archives(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    make, message = ARCHIVES[kind]
    refused(tmp_path / "x", make(), message)
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


def test_truth_values_are_0_or_1(tmp_path):
    """Another byte in a tensor of truth values is none that torch could compute with."""
    place = After((("storage", Name("torch.BoolStorage"), "0", "cpu", 3),), b"Q")
    data = archive({"a": tensor((3,), (1,), of=place)}, {"0": b"\x00\x07\xff"})
    (tmp_path / "x").write_bytes(data)
    found = read_state(tmp_path / "x")["a"]
    assert found.view(torch.uint8).tolist() == [0, 1, 1]


KINDS = {
    "sparse": lambda: torch.eye(3).to_sparse(),
    "quantized": lambda: call("torch._utils._rebuild_qtensor", storage(), 0, (6,), (1,), ()),
    "without values": lambda: torch.empty(3, device="meta"),
    "complex": lambda: torch.zeros(3, dtype=torch.complex64),
    "negated": lambda: torch.zeros(3, dtype=torch.complex64).conj().imag,
}


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_of_other_kinds(tmp_path, kind):
    value = KINDS[kind]()
    data = saved({"a": value}) if isinstance(value, torch.Tensor) else archive({"a": value})
    refused(tmp_path / "x", data, kind, "expected plain tensors")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({3: torch.ones(1)}, "keys that are no text (type int)"),
        ({("a",): torch.ones(1), "b": torch.ones(1)}, "no text (type tuple)"),
        ({"\x1b[2Jevil": torch.ones(1)}, r"names a tensor '\x1b[2Jevil'"),
        ({"a\nb": torch.ones(1)}, r"names a tensor 'a\nb'"),
        ({"x" * 5000: torch.ones(1)}, "names a tensor"),
        ({"a": torch.ones(1), "module.a": torch.ones(1)}, "with and without the prefix 'module.'"),
    ],
)
def test_names_that_are_none(tmp_path, state, message):
    refused(tmp_path / "x", saved(state), message)


LAYOUTS = {
    "8 exabytes": safetensors({}, length=(1 << 63) - 1),
    "longer than the file": safetensors({"a": entry([1], 0, 4)}, b"1234", length=5000),
    "over the end": safetensors({"a": entry([2], 0, 8)}, b"1234"),
    "overlapping": safetensors({"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, bytes(12)),
    "with a gap": safetensors({"a": entry([1], 4, 8)}, bytes(8)),
    "with a rest": safetensors({"a": entry([1], 0, 4)}, bytes(8)),
    "of another shape": safetensors({"a": entry([3], 0, 8)}, bytes(8)),
    "of terabytes": safetensors({"a": entry([HUGE], 0, 4 * HUGE)}, bytes(8)),
    "that wraps around": safetensors({"a": entry([1 << 62, 4], 0, 0)}),
    "of no type": safetensors({"a": entry([1], 0, 4, "X32")}, bytes(4)),
    "of a negative size": safetensors({"a": entry([-1, -1], 0, 4)}, bytes(4)),
    "of a broken number": safetensors({"a": entry([1.5], 0, 6)}, bytes(6)),
    "backwards": safetensors({"a": entry([1], 4, 0)}, bytes(4)),
    "of lists": safetensors(b"{" + b'"a":[' * 30_000),
    "of nothing": safetensors(b"{nonsense}"),
    "of other bytes": safetensors(b'{"\xff\xff": 1}'),
    "of texts that are none": safetensors({"__metadata__": {"a": [1]}, "a": entry([0], 0, 0)}),
    "with a name twice": safetensors(
        b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
        b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
        b"1",
    ),
    "with a long number": safetensors(b'{"a":' + b"9" * 10_000 + b"}"),
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_safetensors_that_lie(tmp_path, kind):
    refused(tmp_path / "x", LAYOUTS[kind], "is damaged")
    assert read_card(tmp_path / "x") is None


@pytest.mark.parametrize("form", ["zip", "old", "safetensors"])
def test_truncated_at_every_length(tmp_path, form):
    """And with any byte changed: other numbers at most, never another failure than a message."""
    whole = {"zip": archive(GOOD), "old": legacy(GOOD)}
    layout = {"a": entry([2, 3], 0, 24)}
    data = (whole | {"safetensors": safetensors(layout, bytes(24))})[form]
    path = tmp_path / "x"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(CheckpointError):
            read_state(path)
    rng = np.random.default_rng(7)
    for place in range(0, len(data), 2):
        broken = bytearray(data)
        broken[place] ^= int(rng.integers(1, 256))
        path.write_bytes(broken)
        try:
            state = read_state(path)
        except CheckpointError as error:
            assert "\n" not in str(error)
        else:
            assert all(value.numel() <= 6 for value in state.values() if torch.is_tensor(value))


def test_swapped_files(tmp_path):
    import cv2

    image = cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))[1].tobytes()
    refused(tmp_path / "final.pth", image, "no file of weights begins with b'\\x89PNG'")
    refused(tmp_path / "final.pth", b"Id,Target\n1,2 3\n", "text file that begins with 'id,target'")
    refused(tmp_path / "final.pth", b"\x1f\x8b" + bytes(100), "is damaged or not a file of weigh")


def test_what_is_no_file(tmp_path):
    """A pipe or a device is never opened: reading would wait, or never end."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path, what in [
        (tmp_path / "pipe", "is a pipe, not a file"),
        (tmp_path / "link", "is a device, not a file"),
        (tmp_path, "is a folder, not a file"),
        (tmp_path / "loop", "cannot be read: Too many levels of symbolic links; check the path"),
        (tmp_path / "none", "does not exist"),
        (Path("a\0b"), "cannot be read"),
    ]:
        for read in (read_state, sha256, read_card, is_program_file):
            with pytest.raises(CheckpointError, match=what):
                read(path)


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(archive(GOOD))

    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(CheckpointError, match="cannot be read: Permission denied; check its perm"):
        read_state(path)


def test_a_name_that_becomes_a_pipe_while_it_is_opened(tmp_path, monkeypatch):
    path, real = tmp_path / "x", os.open
    path.write_bytes(archive(GOOD))

    def swapped(name, flags):
        path.unlink()
        os.mkfifo(path)
        return real(name, flags)

    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(CheckpointError, match="is a pipe"):
        read_state(path)
