"""A stand-in for an SNS topic: it keeps what is published, as each kind of subscriber would get it.

    with AlertsTopic() as topic:
        ... run something with topic.environment() ...
        topic.published[0].subject

It refuses what SNS refuses: a subject or a message that breaks the rules of
https://docs.aws.amazon.com/sns/latest/api/API_Publish.html.
"""

import json
import urllib.parse
from dataclasses import dataclass

from sandbox import local_http

ARN = "arn:aws:sns:us-east-1:123456789012:alerts"
MAX_BYTES = 262_144
ANSWER = """<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>{}</MessageId>
</PublishResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></PublishResponse>"""
ERROR = """<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type><Code>{}</Code>
<Message>{}</Message></Error><RequestId>1</RequestId></ErrorResponse>"""


@dataclass
class Published:
    subject: str
    texts: dict

    @property
    def mail(self):
        """The mail as a reader sees it."""
        return f"Subject: {self.subject}\n\n{self.texts['email']}"


class AlertsTopic(local_http.StandIn):
    def __init__(self):
        self.published = []
        # Answers for the next calls, before the topic works again: a code of SNS and its HTTP status.
        self.faults = []
        super().__init__(_Handler)
        self._server.topic = self

    def environment(self):
        return {"AWS_ENDPOINT_URL_SNS": self.url, "TOPIC_ARN": ARN}

    def publish(self, fields):
        """Returns what is wrong, or None."""
        subject, message = fields.get("Subject", ""), fields["Message"]
        if not (subject.isascii() and subject.isprintable() and 0 < len(subject) < 100):
            return "Invalid parameter: Subject"
        if len(message.encode()) > MAX_BYTES:
            return "Invalid parameter: Message too long"
        texts = json.loads(message) if fields.get("MessageStructure") == "json" else {"default": message}
        if not isinstance(texts.get("default"), str) or fields["TopicArn"] != ARN:
            return "Invalid parameter: Message Structure - No default entry in JSON message body"
        self.published.append(Published(subject, texts))
        return None


class _Handler(local_http.Handler):
    def do_POST(self):
        fields = dict(urllib.parse.parse_qsl(self.read_body().decode(), keep_blank_values=True))
        topic = self.server.topic
        if topic.faults:
            code, status = topic.faults.pop(0)
            return self._xml(status, ERROR.format(code, "The test asked for this fault."))
        if wrong := topic.publish(fields):
            return self._xml(400, ERROR.format("InvalidParameter", wrong))
        return self._xml(200, ANSWER.format(f"message-{len(topic.published)}"))

    def _xml(self, status, text):
        self.answer(status, text.encode(), {"Content-Type": "text/xml"})
