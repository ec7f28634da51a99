"""Ids of batches: a request id can be chosen so that the batch's id begins as the guide shows it."""

import hashlib
import itertools


def request_id_for(record, beginning):
    """A request id with which the batch of the Kinesis invocation record has an id with that beginning."""
    info = record["KinesisBatchInfo"]
    values = (record["requestContext"]["functionArn"], info["streamArn"], info["shardId"],
              info["startSequenceNumber"], info["endSequenceNumber"])
    lines = "".join(f"{value}\n" for value in values)
    request_ids = (f"a1a1ba00-c8ed-4e6c-9aa4-{attempt:012x}" for attempt in itertools.count())
    return next(request_id for request_id in request_ids
                if hashlib.sha256(f"{request_id}\n{lines}".encode()).hexdigest().startswith(beginning))
