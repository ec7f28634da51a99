"""Packs user records the way the Kinesis Producer Library aggregates them.

The format is public (awslabs/amazon-kinesis-producer, aggregation-format.md):
four magic bytes, a protobuf AggregatedRecord, and the MD5 digest of the latter.
"""

import hashlib

MAGIC = bytes.fromhex("f3899ac2")
_VARINT, _BYTES = 0, 2


def aggregate(records):
    """One Kinesis record's data for a list of (partition key, data)."""
    keys = list(dict.fromkeys(key for key, _ in records))
    message = b"".join(_field(1, key.encode()) for key in keys)
    for key, data in records:
        message += _field(3, _field(1, keys.index(key)) + _field(3, data))
    return MAGIC + message + hashlib.md5(message).digest()


def _field(number, value):
    if isinstance(value, int):
        return _varint(number << 3 | _VARINT) + _varint(value)
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value


def _varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
