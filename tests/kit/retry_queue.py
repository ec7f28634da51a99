"""The retry queue, and what its event source mapping does: one message an invocation, deleted when it succeeded."""

import json
import uuid

from sandbox import as_lambda

CONTINUATION = "hydrationContinuation"


class RetryQueue:
    def __init__(self, aws):
        self._sqs = aws.client("sqs")
        self.url = self._sqs.create_queue(QueueName=f"retry-{uuid.uuid4().hex[:12]}")["QueueUrl"]

    def environment(self):
        return {"RETRY_QUEUE_URL": self.url}

    def receive(self):
        """The bodies of all messages that are due, taken off the queue."""
        bodies = []
        while page := self._sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            for message in page:
                self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
                bodies.append(message["Body"])
        return bodies

    def drive(self, deployment, most_legs=100):
        """Invokes the function with what waits until nothing does; the answers, one for each leg."""
        answers, waiting = [], self.receive()
        while waiting:
            answers.append(deployment.invoke(as_lambda.sqs_event(waiting.pop(0))))
            assert answers[-1].payload == {"batchItemFailures": []}, answers[-1]
            assert len(answers) <= most_legs, "the range does not come to an end"
            waiting += self.receive()
        return answers

    def sent(self, fakes):
        """The messages sent to it through the fakes, delayed ones included: (body, delay in seconds)."""
        sent = [call.body for call in fakes.calls("SendMessage") if call.body["QueueUrl"] == self.url]
        return [(json.loads(message["MessageBody"]), message.get("DelaySeconds", 0)) for message in sent]
