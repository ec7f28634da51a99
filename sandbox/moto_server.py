"""moto, made fast enough for queues of thousands of messages.

For each message that is received, moto 5.2 counts the whole queue six times,
only to learn its retention period, and reads the clock for each message that
it counts; for each message that is released it builds a list for every other
message; and for each request it looks for its services on the disk. Twenty
receives of a queue of two thousand take forty seconds. It also spells the same
few names anew in each request, and draws the letters of each id one by one.
The replacements below are cheap, and what moto answers stays the same.

One answer is corrected: moto 5.2 keeps that a bucket sends its events to
EventBridge and leaves it out when it is asked.
"""

import functools
import random
import string
import time
from xml.etree import ElementTree

import moto.backends
import moto.core.responses as responses
import moto.core.utils as utils
import moto.s3.responses as s3
import moto.sqs.models as sqs
from moto.moto_api._internal.moto_random import MotoRandom
from moto.server import main


def _is_within_retention(self, queue_name, message):
    retention_seconds = self.get_queue(queue_name).message_retention_period
    return retention_seconds + message.sent_timestamp / 1000 > time.time()


def _receivable(self):
    now = time.time() * 1000
    return [message for message in self._messages if message.visible_at < now >= message.delayed_until]


def _is_visible(self):
    return time.time() * 1000 > self.visible_at


def _is_delayed(self):
    return time.time() * 1000 < self.delayed_until


def _had_receipt_handle(self, handle):
    return handle == self.receipt_handle or handle in self._old_receipt_handles


# Each byte is a letter of a receipt handle.
_LETTERS = bytes(ord(string.ascii_lowercase[number % 26]) for number in range(256))


def _receipt_handle():
    return random.randbytes(185).translate(_LETTERS).decode()


def _random_string(self, length=20, include_digits=True, lower_case=False):
    letters = "".join(self.choices(string.ascii_letters + string.digits * include_digits, k=length))
    return letters.lower() if lower_case else letters


S3_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_notification_of_moto = s3.S3Response.get_bucket_notification


def _notification(self):
    """The answer with the root and the EventBridgeConfiguration that S3 gives."""
    status, headers, body = _notification_of_moto(self)
    ElementTree.register_namespace("", S3_NAMESPACE)
    root = ElementTree.fromstring(body)
    root.tag = f"{{{S3_NAMESPACE}}}NotificationConfiguration"
    kept = self.backend.get_bucket_notification_configuration(self.bucket_name)
    if kept and kept.event_bridge is not None:
        ElementTree.SubElement(root, f"{{{S3_NAMESPACE}}}EventBridgeConfiguration")
    return status, headers, ElementTree.tostring(root, encoding="unicode")


_services = tuple(moto.backends.list_of_moto_modules())

moto.backends.list_of_moto_modules = lambda: _services
for name in ("camelcase_to_underscores", "method_names_from_class"):
    cached = functools.cache(getattr(utils, name))
    for module in (utils, responses, sqs):
        setattr(module, name, cached)
MotoRandom.get_random_string = _random_string
sqs.generate_receipt_handle = _receipt_handle
sqs.SQSBackend.is_message_valid_based_on_retention_period = _is_within_retention
sqs.Queue.messages = property(_receivable)
sqs.Message.visible = property(_is_visible)
sqs.Message.delayed = property(_is_delayed)
sqs.Message.had_receipt_handle = _had_receipt_handle
s3.S3Response.get_bucket_notification = _notification

if __name__ == "__main__":
    main()
