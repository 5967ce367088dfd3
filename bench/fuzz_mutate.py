"""Files made hostile: bytes, text, JSON trees, tables, and the headers of PNG, NPY, MAT, safetensors and tar files."""

import gzip
import io
import json
import random
import re
import struct
import tarfile
import zlib
from collections.abc import Callable
from typing import Any

Draw = random.Random
NUMBERS = (
    "0", "-1", "1e999", "-1e308", "nan", "NaN", "inf", "-inf", "1e30", "4294967296", "2147483648", "99999999999",
    "9223372036854775808", "9" * 25, "9" * 5000, "0x10", "1_000", "1e-320", "0.5", "-0", "00", "١٢", "1,5", "True",
)  # fmt: skip
TOKENS = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b'"', b"'", b",", b"\n", b"\r", b"\t", b"{", b"}", b"[",
    b"]",
    b":", b"- ", b"&a ", b"*a", b"<<: *a", b"!!python/object/apply:os.system ['true']", b"null", b"{}", b"[]", b'""',
    b"../../outside", b"/etc/passwd", b"=1+1", b"<script>", "café".encode("latin-1"), "\u202e".encode(), b"%s%n", b"#",
    b"!!timestamp 2024-99-99", b"2024-99-99", b"? ", b"|", b"~", b"\\u0000", b"\\ud800", b"\x1f\x8b", b"PK\x03\x04",
)  # fmt: skip
LONG = "x" * 5000
DEEP = 60_000  # far more than Python's own limit of nested calls
# what may stand where something else was expected, in a tree of JSON or YAML
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.5, -1.5, 1e308, 2**31, 2**63, 10**30, float("nan"), float("inf"), "", "0", "abc",
    LONG, "\x00", "\ud800", "../x", "/etc/passwd", [], {}, [[]], [None], {"a": None}, [1, 2],
    ["a", 1], [1e999], {"size": [1]},
)  # fmt: skip


def flipped(content: bytes, draw: Draw) -> bytes:
    """A few bits turned over."""
    found = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 8, 64))):
        if found:
            found[draw.randrange(len(found))] ^= 1 << draw.randrange(8)
    return bytes(found)


def cut(content: bytes, draw: Draw) -> bytes:
    """The end, the beginning or something in between is gone."""
    at, to = sorted((draw.randrange(len(content) + 1), draw.randrange(len(content) + 1)))
    return draw.choice((content[:at], content[at:], content[:at] + content[to:]))


def doubled(content: bytes, draw: Draw) -> bytes:
    """A piece stands many times."""
    at = draw.randrange(len(content) + 1)
    piece = content[at : at + draw.choice((1, 10, 1000))]
    return content[:at] + piece * draw.choice((2, 20)) + content[at:]


def inserted(content: bytes, draw: Draw) -> bytes:
    """A token of some format, or random bytes, in the middle."""
    at = draw.randrange(len(content) + 1)
    return content[:at] + draw.choice((*TOKENS, draw.randbytes(8))) + content[at:]


def replaced(content: bytes, draw: Draw) -> bytes:
    """Aligned words set to extreme values: sizes, offsets, dimensions."""
    found = bytearray(content)
    for _ in range(draw.choice((1, 3))):
        at = draw.randrange(max(1, len(found) // 4)) * 4
        word = draw.choice((0, 1, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x10000, 0x80000000))
        found[at : at + 4] = struct.pack(draw.choice("<>") + "I", word)
    return bytes(found)


def other_kind(content: bytes, draw: Draw) -> bytes:
    """Empty, all zeros, packed once more, or in another encoding."""
    text = content.decode("utf-8", errors="replace")
    return draw.choice(
        (
            b"", bytes(len(content)), bytes(5000), gzip.compress(content, 1), b"\xef\xbb\xbf" + content,
            text.encode("utf-16"), text.encode("utf-32"), b"\xff\xd8\xff\xe0" + content, b"%!PS-Adobe-3.0 EPSF-3.0\n",
        )
    )  # fmt: skip


BYTES = (flipped, flipped, cut, cut, doubled, inserted, inserted, replaced, other_kind)


def any_bytes(content: bytes, draw: Draw) -> bytes:
    """One to three of the mutations of bytes."""
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        content = draw.choice(BYTES)(content, draw)
    return content


def numbers(content: bytes, draw: Draw) -> bytes:
    """A number of a text is another."""
    places = list(re.finditer(rb"-?\d+(\.\d+)?", content))
    if not places:
        return content
    place = draw.choice(places)
    return content[: place.start()] + draw.choice(NUMBERS).encode() + content[place.end() :]


def table(content: bytes, draw: Draw) -> bytes:
    """A CSV with odd cells, columns that are gone, doubled or renamed, rows too long or too short."""
    rows = [line.split(",") for line in content.decode().splitlines()]
    for _ in range(draw.choice((1, 1, 2, 5))):
        row, column = draw.randrange(len(rows)), draw.randrange(len(rows[0]))
        what = draw.randrange(8)
        if what < 4:
            rows[row][column % len(rows[row])] = draw.choice(
                (
                    *NUMBERS,
                    "",
                    " ",
                    LONG,
                    "\x00",
                    '"',
                    '"a\nb"',
                    "=1+1",
                    "../../x",
                    "NA",
                    "a;b",
                    "\ud7ff",
                    "/etc/passwd",
                )
            )
        elif what == 4:  # a whole column
            value = draw.choice((*NUMBERS, "", "x", "../x"))
            for line in rows[1:]:
                line[column % len(line)] = value
        elif what == 5:
            rows[row] = rows[row] * 2 if draw.random() < 0.5 else rows[row][: column or 1]
        elif what == 6 and len(rows[0]) > 1:
            rows = [[cell for k, cell in enumerate(line) if k != column] or [""] for line in rows]
        else:
            rows[0][column % len(rows[0])] = draw.choice(rows[0])
    return "\n".join(",".join(row) for row in rows).encode("utf-8", "surrogatepass") + b"\n"


def tree(value: Any, draw: Draw) -> Any:
    """A tree of JSON with one to three of its nodes put in the place of others, doubled or gone."""
    value = json.loads(json.dumps(value))
    for _ in range(draw.choice((1, 1, 2, 3))):
        nodes = list(_nodes(value))
        if not nodes:
            return draw.choice(ODD)
        holder, key = draw.choice(nodes)
        what = draw.random()
        if what < 0.7:
            holder[key] = draw.choice((*ODD, draw.choice(nodes)[0]) if what < 0.05 else ODD)
        elif what < 0.85:
            del holder[key]
        elif isinstance(holder, list):
            holder.append(holder[key])
        else:
            holder[draw.choice((f"{key}x", "", "\x00", LONG))] = holder.pop(key)
        if draw.random() < 0.05:
            break
    return value


def _nodes(value: Any, depth: int = 0) -> list[tuple[Any, Any]]:
    if depth > 30:  # a node may have been put inside itself
        return []
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = []
    for key, item in list(inside):
        found.append((value, key))
        found += _nodes(item, depth + 1)
    return found


def as_json(value: Any, draw: Draw) -> bytes:
    """A tree as text: changed as a tree, in a number, in its bytes, or nested too deep."""
    what = draw.random()
    if what < 0.55:
        try:
            return json.dumps(tree(value, draw), ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass")
        except (ValueError, RecursionError):  # inside itself
            pass
    plain = json.dumps(value).encode()
    if what < 0.75:
        return numbers(plain, draw)
    if what < 0.82:
        places = [m.start() for m in re.finditer(rb"[\[{\d\"]", plain)]
        at, opened = draw.choice(places), draw.choice((b"[", b'{"a":'))
        closed = draw.choice((b"", (b"]" if opened == b"[" else b"}") * DEEP))
        return plain[:at] + opened * DEEP + b"1" + closed + plain[at:]
    return any_bytes(plain, draw)


def png_header(content: bytes, draw: Draw) -> bytes:
    """A PNG that says it is of another size, depth or kind, with a right checksum."""
    width, height = draw.choice(
        ((50_000, 50_000), (2**31 - 1, 2**31 - 1), (0, 0), (1, 2**31 - 1), (20_000, 20_000), (9_000, 9_000), (65, 47))
    )
    depth, kind = draw.choice(((8, 2), (8, 0), (16, 0), (16, 2), (8, 6), (8, 3), (1, 0), (8, 9), (3, 0)))
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, draw.choice((0, 0, 1)))
    return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]


def png_bomb(side: int, kind: int, depth: int = 8) -> bytes:
    """A whole PNG of side x side zeros: kind 0 grey, 2 RGB, 6 RGBA."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, depth, kind, 0, 0, 0)
    row = bytes(1 + side * {0: 1, 2: 3, 6: 4}[kind] * depth // 8)
    packer = zlib.compressobj(1)
    data = b"IDAT" + b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    chunks = (header, data, b"IEND")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks
    )


def npy_header(content: bytes, draw: Draw) -> bytes:
    """An NPY whose header says another shape, type or nothing that is one."""
    shape = draw.choice(("(1000000, 1000000)", "(2, 3)", "(-1, 8)", "()", "(9,)", "(1e9, 2)", "'a'", "(1,)*9",
                         "(0, 5)", "(30000, 30000)", "(" + "1," * 70 + ")", "((" * 3000,
                         "(99999999999999999999, 1)"))  # fmt: skip
    kind = draw.choice(
        (
            "'<f4'",
            "'|O'",
            "'<f8'",
            "'<c16'",
            "'|V100000'",
            "'<U9'",
            "[('a', '<f4')]",
            "'<M8[s]'",
            "None",
            "'|u1'",
            "'>i2'",
        )
    )
    order = draw.choice(("False", "True", "2"))
    said = f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    length = draw.choice((len(said), len(said), len(said), 0, 65535))
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", min(length, 65535)) + said + content[128:]


def safetensors_header(content: bytes, draw: Draw) -> bytes:
    """A safetensors file whose header, as a tree, is another; its length is mostly right."""
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    if draw.random() < 0.4 and "__metadata__" in header:  # what the file says of itself, as a tree inside the tree
        about = header["__metadata__"]
        key = draw.choice(sorted(about))
        about[key] = as_json(_parsed(about[key]), draw).decode("utf-8", "replace")
        said = json.dumps(header).encode()
    else:
        said = as_json(header, draw)
        for known in (b"F32", b"F16", b"I64", b"F64"):
            if draw.random() < 0.2:
                said = said.replace(known, draw.choice((b"BF16", b"F8_E4M3", b"I32", b"U16", b"BOOL", b"F64", b"X")), 1)
    length = draw.choice((len(said),) * 6 + (0, 2**40, 2**63, len(said) - 1))
    return struct.pack("<Q", length) + said + content[8 + size :]


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def mat_bomb(megabytes: int) -> bytes:
    """A .mat file of a few kilobytes that unpacks to a matrix of so many megabytes of zeros."""
    n = megabytes << 20
    start = struct.pack("<II", 6, 8) + struct.pack("<II", 6, 0) + struct.pack("<IIii", 5, 8, 1, n // 8)
    start += struct.pack("<II", 1, 4) + b"gaze" + bytes(4) + struct.pack("<II", 9, n)
    packer = zlib.compressobj(1)
    body = packer.compress(struct.pack("<II", 14, len(start) + n) + start)
    body += b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()
    return _mat_file(struct.pack("<II", 15, len(body)) + body)


def mat_deep(depth: int, packed: bool = True) -> bytes:
    """A .mat file with a cell in a cell in a cell."""
    inside = b""
    for level in range(depth):
        n = 1 if level else 0  # the innermost is empty
        shell = struct.pack("<II", 6, 8) + struct.pack("<II", 1, 0) + struct.pack("<IIii", 5, 8, n, n)
        shell += struct.pack("<II", 1, 0)
        inside = struct.pack("<II", 14, len(shell) + len(inside)) + shell + inside
        if len(inside) > 1 << 22:
            break
    if not packed:
        return _mat_file(inside)
    body = zlib.compress(inside)
    return _mat_file(struct.pack("<II", 15, len(body)) + body)


def _mat_file(body: bytes) -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<HH", 0x0100, 0x4D49) + body


def mat(content: bytes, draw: Draw) -> bytes:
    """A .mat file changed in what it packs, or in its bytes."""
    if draw.random() < 0.3:
        return any_bytes(content, draw)
    found, at = content[:128], 128
    while at + 8 <= len(content):
        kind, n = struct.unpack("<II", content[at : at + 8])
        part = content[at + 8 : at + 8 + n]
        if kind == 15:
            inner = draw.choice((flipped, replaced, replaced, cut, inserted))(zlib.decompress(part), draw)
            part = zlib.compress(inner)
        else:
            part = draw.choice((flipped, replaced, replaced, cut))(part, draw)
        found += struct.pack("<II", kind, len(part)) + part
        at += 8 + n
    return found


Member = tuple[str, bytes, dict[str, Any]]


def tar(members: list[Member], mode: str = "w:gz") -> bytes:
    """A tar of these members: name, content, and fields of their headers."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=mode) as opened:  # type: ignore[call-overload]
        for name, content, fields in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for field, value in fields.items():
                setattr(info, field, value)
            opened.addfile(info, io.BytesIO(content))
    return target.getvalue()


Mutation = Callable[[bytes, Draw], bytes]
