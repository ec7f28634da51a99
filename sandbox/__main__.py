"""Leaves the emulators running, with data, until Ctrl-C.

    make sandbox

Writes two things to .tools/sandbox/: env.sh, the environment to source, and
events/, events of the shapes in the repository's events/ whose records exist.
Four failed batches are on the queue when it says so, hydrated by the compiled
function, and the commands of docs/INVESTIGATE.md work as they are written there.
"""

import copy
import json
import shlex
import shutil
import sys
import threading
from pathlib import Path

from sandbox import as_lambda, batch_id, emulators, processes, seed
from sandbox.delivery import Delivery
from sandbox.failed_batch_bucket import FailedBatchBucket
from sandbox.log_group import LogGroup
from sandbox.mailbox import Mailbox
from sandbox.runtime_api import Function, FunctionExited
from sandbox.shop_functions import FAILING, ShopFunctions, failure, log_lines
from scripts import build, install

QUEUE = "hydrated-batches"
# The name of the stack, and the beginning of the id of the batch, that docs/INVESTIGATE.md follows.
STACK, ID = "hydrator", "4491"


def main(folder):
    processes.exit_on_sigterm()
    print("Starting the emulators and filling them ...", flush=True)
    hydrate = build.binary("hydrate")
    corrected = folder / "corrected"
    corrected.unlink(missing_ok=True)
    with (emulators.running() as aws, Delivery(aws) as delivery,
          ShopFunctions(corrected, delivery.mappings) as shop_functions):
        mailbox = Mailbox(aws, QUEUE)
        batches = seed.seed(aws)
        variables = {**aws.environment(), **shop_functions.environment(), **mailbox.environment()}
        make_stack(aws, mailbox)
        delivery.map(batches["orders"].invocation_record["KinesisBatchInfo"]["streamArn"], FAILING)
        with Function(hydrate, variables) as function:
            fill(aws, function, batches)
            shutil.rmtree(folder / "events", ignore_errors=True)
            (folder / "events").mkdir(parents=True)
            for name, event in {**events(batches), **object_events(aws, batches["orders"])}.items():
                (folder / "events" / f"{name}.json").write_text(as_lambda.text(event) + "\n")
            (folder / "env.sh").write_text(environment_script(variables))
            delivery.hydrate_with(function)
            print(guide(folder, variables, delivery.mappings[0]["EventSourceArn"]), flush=True)
            threading.Event().wait()


def fill(aws, function, batches):
    """Puts the failed batches on the queue, and the failed function's lines into its log."""
    record, delivered = batches["orders"].invocation_record, batches["orders"].delivered
    request_id = batch_id.request_id_for(record, ID)
    record["requestContext"]["requestId"] = request_id
    message = failure({"Records": delivered})
    LogGroup(aws, f"/aws/lambda/{FAILING}").put(log_lines(request_id, message))
    answer = function.invoke(as_lambda.sns_event(*(batch.message for batch in batches.values())))
    if answer.error:
        raise RuntimeError(f"the function did not hydrate the batches: {answer.error}")


def make_stack(aws, mailbox):
    """A stack with the outputs of the hydrator's that the tool looks for."""
    queues = {f"{name}QueueUrl": aws.client("sqs").create_queue(QueueName=f"{STACK}-{name.lower()}")["QueueUrl"]
              for name in ("Retry", "Parked")}
    outputs = {"HydratedQueueUrl": mailbox.url, "OverflowBucketName": mailbox.bucket, **queues}
    aws.client("cloudformation").create_stack(StackName=STACK, TemplateBody=json.dumps({
        "Resources": {"Nothing": {"Type": "AWS::CloudFormation::WaitConditionHandle"}},
        "Outputs": {name: {"Value": value} for name, value in outputs.items()}}))


def events(batches):
    """An event of each shape the function accepts; the names are those of events/."""
    orders, stock, catalogue, returns = (
        batches[name].invocation_record for name in ("orders", "stock", "catalogue", "returns"))
    return {
        "direct-kinesis": orders,
        "direct-pipe": as_pipe(orders),
        "direct-payload-string": {
            **orders, "payload": as_lambda.text({"Records": batches["orders"].delivered})},
        "sns-kinesis": as_lambda.sns_event(orders),
        "sns-dynamodb": as_lambda.sns_event(stock),
        "sns-kinesis-and-dynamodb-together": as_lambda.sns_event(orders, stock),
        "sns-kinesis-enhanced-fan-out": as_lambda.sns_event(as_fan_out(orders)),
        "sns-kinesis-overflow": as_lambda.sns_event(catalogue),
        "sns-kinesis-gone": as_lambda.sns_event(returns),
        "sns-dynamodb-final-tumbling-window": as_lambda.sns_event(without_range(stock)),
        "sns-not-a-stream-failure": as_lambda.sns_event('{"AlarmName":"disk","NewStateValue":"ALARM"}'),
        "sqs-raw-delivery": as_lambda.sqs_event(orders),
        "sqs-sns-notification": as_lambda.sqs_event(as_lambda.sns_notification(orders)),
        "sqs-asynchronous-failure": as_lambda.sqs_event(
            as_lambda.async_failure(as_lambda.sns_event(orders))),
        "sqs-several-messages": as_lambda.sqs_event(orders, stock, catalogue),
    }


def object_events(aws, batch):
    """Notifications of an object, as Lambda writes it to a mapping's S3 destination."""
    where = FailedBatchBucket(aws, "failed-batches").put(
        as_lambda.with_payload(batch.invocation_record, batch.delivered))
    return {
        "s3-object-created": as_lambda.s3_event(where),
        "eventbridge-object-created": as_lambda.eventbridge_event(*where),
    }


def as_pipe(record):
    kept = {key: value for key, value in record.items()
            if key not in ("requestContext", "responseContext")}
    return {"context": {
        "partnerResourceArn": "arn:aws:pipes:us-east-1:123456789012:pipe/orders",
        "condition": record["requestContext"]["condition"]}, **kept}


def as_fan_out(record):
    record = copy.deepcopy(record)
    record["KinesisBatchInfo"]["streamArn"] += "/consumer/projector:1789779975"
    # Its function got the aggregate's user records one by one.
    record["KinesisBatchInfo"]["batchSize"] += seed.AGGREGATED_ORDERS - 1
    return record


def without_range(record):
    info = record["DDBStreamBatchInfo"]
    return {**record, "DDBStreamBatchInfo": {key: info[key] for key in ("shardId", "streamArn")},
            "timeWindowInfo": {"isFinalInvokeForWindow": True, "isWindowTerminatedEarly": False}}


def environment_script(variables):
    """A script for `source`: removes what could lead to a real account, then sets our variables."""
    lines = ["# The sandbox's environment, good while `make sandbox` runs.",
             "unset AWS_PROFILE AWS_DEFAULT_PROFILE AWS_SESSION_TOKEN AWS_ROLE_ARN "
             "AWS_WEB_IDENTITY_TOKEN_FILE"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    lines.append(f'export PATH={shlex.quote(str(install.tool("lambda", "")))}:"$PATH"')
    return "\n".join(lines) + "\n"


def guide(folder, variables, stream):
    folder = folder.relative_to(install.ROOT) if folder.is_relative_to(install.ROOT) else folder
    listed = "\n".join(f"    {name}={value}" for name, value in variables.items())
    written = "\n".join(f"    {path.name}" for path in sorted((install.ROOT / folder / "events").iterdir()))
    return f"""
The emulators are running, and four failed batches are on the queue. The environment, also in {folder}/env.sh:

{listed}

Events whose records exist, in {folder}/events:

{written}

To try the tool, in a second terminal, as in docs/INVESTIGATE.md:

    source {folder}/env.sh
    export DLQ_STACK={STACK}
    cargo run -q -p dlq -- status
    cargo run -q -p dlq -- show {ID} --logs
    cargo run -q -p dlq -- replay --all --execute

The function {FAILING} fails until `touch {folder}/corrected` corrects it.

To try the function by hand, once:

    python3 scripts/install.py lambda

then in a second terminal:

    source {folder}/env.sh
    cargo lambda watch -p hydrate

and in a third:

    source {folder}/env.sh
    cargo lambda invoke hydrate --data-file {folder}/events/sns-kinesis.json

To drill (docs/DEPLOY.md, "The drill"), in the second terminal; the topic and the function behind it are running:

    cargo run -q -p dlq -- doctor --drill --stream {stream}

Ctrl-C here stops everything."""


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else install.TOOLS / "sandbox")
    except (build.BuildError, install.InstallError, FunctionExited, RuntimeError, TimeoutError) as error:
        sys.exit(f"sandbox: {error}")
    except KeyboardInterrupt:
        print("\nStopped.")
