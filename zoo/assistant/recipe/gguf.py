"""Writes and reads GGUF version 3 files, with the kinds of values and tensors needed here."""

import struct

MAGIC, VERSION, ALIGNMENT = b"GGUF", 3, 32
U32, F32_VALUE, BOOL, STRING, ARRAY, I32 = 4, 6, 7, 8, 9, 5
F32, Q8_0 = 0, 8  # tensor types
Q8_BLOCK, Q8_BYTES = 32, 34  # values in a block; bytes: an f16 scale and 32 signed bytes


def _string(text):
    raw = text.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def _value(value):
    """Type tag and bytes of one metadata value; lists hold strings or ints."""
    if isinstance(value, bool):
        return struct.pack("<I?", BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", U32, value)
    if isinstance(value, float):
        return struct.pack("<If", F32_VALUE, value)
    if isinstance(value, str):
        return struct.pack("<I", STRING) + _string(value)
    kind = STRING if isinstance(value[0], str) else I32
    items = [_string(v) if kind == STRING else struct.pack("<i", v) for v in value]
    return struct.pack("<IIQ", ARRAY, kind, len(value)) + b"".join(items)


def _padded(size):
    return -(-size // ALIGNMENT) * ALIGNMENT


def write(path, metadata, tensors):
    """`tensors`: (name, shape in rows-first order, type, bytes). Returns the file's size."""
    infos, offset = b"", 0
    for name, shape, kind, data in tensors:
        dims = struct.pack(f"<{len(shape)}Q", *reversed(shape))
        infos += _string(name) + struct.pack("<I", len(shape)) + dims
        infos += struct.pack("<IQ", kind, offset)
        offset += _padded(len(data))
    pairs = b"".join(_string(key) + _value(value) for key, value in metadata.items())
    head = MAGIC + struct.pack("<IQQ", VERSION, len(tensors), len(metadata)) + pairs + infos
    with open(path, "wb") as out:
        out.write(head.ljust(_padded(len(head)), b"\0"))
        for _, _, _, data in tensors:
            out.write(data.ljust(_padded(len(data)), b"\0"))
        return out.tell()


class _Cursor:
    def __init__(self, raw):
        self.raw, self.at = raw, 0

    def take(self, form):
        values = struct.unpack_from("<" + form, self.raw, self.at)
        self.at += struct.calcsize("<" + form)
        return values[0] if len(values) == 1 else values

    def string(self):
        size = self.take("Q")
        self.at += size
        return self.raw[self.at - size:self.at].decode("utf-8")

    def value(self, kind=None):
        kind = self.take("I") if kind is None else kind
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            item, count = self.take("IQ")
            return [self.value(item) for _ in range(count)]
        return self.take({U32: "I", F32_VALUE: "f", BOOL: "?", I32: "i"}[kind])


def read(path):
    """The metadata and the tensors as `write` took them, tensor bytes cut to their true size."""
    with open(path, "rb") as file:
        raw = file.read()
    cursor = _Cursor(raw)
    assert raw[:4] == MAGIC
    cursor.at = 4
    _, tensor_count, pair_count = cursor.take("IQQ")
    metadata = {}
    for _ in range(pair_count):
        key = cursor.string()
        metadata[key] = cursor.value()
    infos = []
    for _ in range(tensor_count):
        name, rank = cursor.string(), cursor.take("I")
        shape = tuple(reversed([cursor.take("Q") for _ in range(rank)]))
        infos.append((name, shape) + cursor.take("IQ"))
    start, tensors = _padded(cursor.at), []
    for name, shape, kind, offset in infos:
        count = 1
        for size in shape:
            count *= size
        size = count * 4 if kind == F32 else count // Q8_BLOCK * Q8_BYTES
        tensors.append((name, shape, kind, raw[start + offset:start + offset + size]))
    return metadata, tensors
