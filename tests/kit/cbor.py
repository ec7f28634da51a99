"""Concise Binary Object Representation (RFC 8949): what CloudWatch's answers are written in, and no more."""

import struct
from datetime import datetime

TEXT, LIST, MAP, TAG = 3, 4, 5, 6
EPOCH_TIME = 1
# Of an answer of a service that speaks Smithy's RPC protocol.
HEADERS = {"Content-Type": "application/cbor", "Smithy-Protocol": "rpc-v2-cbor"}


def encoded(value):
    if isinstance(value, str):
        data = value.encode()
        return _head(TEXT, len(data)) + data
    if isinstance(value, (list, tuple)):
        return _head(LIST, len(value)) + b"".join(map(encoded, value))
    if isinstance(value, dict):
        return _head(MAP, len(value)) + b"".join(encoded(part) for pair in value.items() for part in pair)
    if isinstance(value, datetime):
        return _head(TAG, EPOCH_TIME) + encoded(value.timestamp())
    return b"\xfb" + struct.pack(">d", value)


def _head(kind, number):
    if number < 24:
        return bytes([kind << 5 | number])
    return bytes([kind << 5 | 26]) + struct.pack(">I", number)
