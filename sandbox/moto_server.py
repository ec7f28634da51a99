"""moto, without what makes a queue of a thousand messages unusable.

For each message that is received moto 5.2 counts the whole queue six times
over, only to learn its retention period, and reads the clock for each message
it counts: twenty receives of a queue of two thousand take forty seconds. Both
are done here as cheaply as they can be; what moto answers stays the same.
"""

import time

import moto.sqs.models as sqs
from moto.server import main


def _is_within_retention(self, queue_name, message):
    retention_seconds = self.get_queue(queue_name).message_retention_period
    return retention_seconds + message.sent_timestamp / 1000 > time.time()


def _is_visible(self):
    return time.time() * 1000 > self.visible_at


def _is_delayed(self):
    return time.time() * 1000 < self.delayed_until


sqs.SQSBackend.is_message_valid_based_on_retention_period = _is_within_retention
sqs.Message.visible = property(_is_visible)
sqs.Message.delayed = property(_is_delayed)

if __name__ == "__main__":
    main()
