"""What stands on AWS between a mapping's on-failure destination and the function, for a drill of the tool.

    with Delivery(aws, bucket="failed-batches") as delivery:
        delivery.hydrate_with(function)
        ... run `dlq doctor --drill` with delivery.environment() ...

The topic is moto's. What is published there, or written to the bucket, is
handed to the function; until there is a function it waits, as behind one that
is down. The list of event source mappings is this process's own.
"""

import json
import threading

from sandbox import as_lambda, local_http

LONGEST_PAUSE_SECONDS = 0.1


class Delivery(local_http.StandIn):
    def __init__(self, aws, bucket=None, topic="failed-batches"):
        super().__init__(_Handler)
        self._server.mappings = self.mappings = []
        self._sns, self._sqs, self._s3 = (aws.client(service) for service in ("sns", "sqs", "s3"))
        self.topic_arn = self._sns.create_topic(Name=topic)["TopicArn"]
        self.bucket, self._handed_over = bucket, set()
        self._url = self._sqs.create_queue(QueueName=f"{topic}-subscriber")["QueueUrl"]
        arn = f"arn:aws:sqs:us-east-1:123456789012:{topic}-subscriber"
        self._sns.subscribe(TopicArn=self.topic_arn, Protocol="sqs", Endpoint=arn)
        self._ends, self._thread = threading.Event(), None

    def __exit__(self, *error):
        self._ends.set()
        if self._thread:
            self._thread.join()
        super().__exit__(*error)

    def environment(self):
        return {"AWS_ENDPOINT_URL_LAMBDA": self.url}

    def map(self, stream_arn, function, destination=None):
        """Adds a mapping that reports to the topic, or to another destination."""
        self.mappings.append(mapping(stream_arn, function, destination or self.topic_arn))

    def waiting(self):
        """Messages of the topic that no function has got."""
        names = ["ApproximateNumberOfMessages"]
        answer = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)
        return int(answer["Attributes"][names[0]])

    def hydrate_with(self, function):
        """Hands everything to the function from now on, and what has waited."""
        self._thread = threading.Thread(target=self._run, args=(function,), daemon=True)
        self._thread.start()

    def _run(self, function):
        while not self._ends.wait(LONGEST_PAUSE_SECONDS):
            for message in self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages", []):
                function.invoke(as_lambda.sns_event(json.loads(message["Body"])["Message"]))
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
            for key in self._new_objects():
                function.invoke(as_lambda.eventbridge_event(self.bucket, key))

    def _new_objects(self):
        if not self.bucket:
            return []
        listed = self._s3.list_objects_v2(Bucket=self.bucket, Prefix="aws/lambda/").get("Contents", [])
        new = [item["Key"] for item in listed if item["Key"] not in self._handed_over]
        self._handed_over.update(new)
        return new


def mapping(stream_arn, function, destination):
    """An event source mapping, as Lambda lists it."""
    return {"UUID": "0b1d2c3e-5f60-4718-8293-a4b5c6d7e8f9", "EventSourceArn": stream_arn, "State": "Enabled",
            "FunctionArn": as_lambda.FUNCTIONS + function, "MaximumRetryAttempts": 3,
            "MaximumRecordAgeInSeconds": 3600, "BisectBatchOnFunctionError": True, "LastProcessingResult": "OK",
            "DestinationConfig": {"OnFailure": {"Destination": destination}}}


class _Handler(local_http.Handler):
    def do_GET(self):
        if "/event-source-mappings" not in self.path:
            return self.answer(404, b"{}")
        self.answer(200, json.dumps({"EventSourceMappings": self.server.mappings}).encode())
