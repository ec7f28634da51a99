//! Batches in which no record is to blame.

use serde_json::{Value, json};

use crate::domains::{
    self, binary, chat, click, csv_line, mixed_change, order, payment, price, profile, stock_change, telemetry,
};
use crate::kit::{Form, MadeUpBatch, batch, node, python, raw_batch};

/// Healthy data: an error in the function's code, or no log at all.
pub fn all(seed: u64) -> Vec<MadeUpBatch> {
    vec![
        batch("orders", seed, 100, order).build(),
        batch("a few orders", seed, 7, order).build(),
        batch("many orders", seed, 1000, order).build(),
        batch("readings", seed, 200, telemetry).build(),
        batch("a few readings", seed, 5, telemetry).build(),
        batch("events of several types", seed, 150, click).build(),
        batch("a few events of several types", seed, 12, click).build(),
        batch("profiles", seed, 100, profile).build(),
        batch("many profiles", seed, 500, profile).build(),
        batch("payments", seed, 100, payment).build(),
        batch("chat", seed, 80, chat).build(),
        batch("changes of every kind", seed, 100, mixed_change).form(Form::DynamoDb).build(),
        batch("changes", seed, 60, stock_change).form(Form::DynamoDb).build(),
        batch("aggregates", seed, 120, telemetry).form(Form::Aggregates(9)).build(),
        batch("gzipped orders", seed, 60, order).form(Form::Gzip).build(),
        raw_batch("lines of text", seed, 100, csv_line, None),
        raw_batch("binary messages", seed, 100, binary, None),
        batch("one record", seed, 1, order).build(),
        batch("an order of many lines", seed, 100, order)
            .vary(|rng, index, order| {
                if index == 40 {
                    let line = |rng: &mut fastrand::Rng| json!({"sku": "SKU-00017", "quantity": rng.u8(1..6), "price": price(rng)});
                    order["lines"] = (0..25).map(|_| line(rng)).collect();
                }
            })
            .build(),
        batch("an optional field in 3 of 100", seed, 100, telemetry)
            .vary(|rng, index, reading| {
                if index % 33 == 5 {
                    reading["calibration"] = json!({"by": domains::name(rng), "offset": 0.1});
                }
            })
            .build(),
        batch("the first event of a new type", seed, 150, click)
            .vary(|rng, index, event| {
                if index == 77 {
                    *event = json!({"eventId": domains::uuid(rng), "type": "wishlist_shared", "time": domains::time(rng),
                        "session": domains::uuid(rng), "user": "u17", "list": {"id": 7, "items": 3}});
                }
            })
            .build(),
        batch("an optional field that is null now and then", seed, 100, chat)
            .vary(|rng, _, message| {
                if rng.u8(0..100) < 3 {
                    message["replyTo"] = Value::Null;
                }
            })
            .build(),
        batch("a record that its producer sent twice", seed, 100, telemetry)
            .vary({
                let mut last = Value::Null;
                move |_, index, reading| {
                    if index == 30 {
                        *reading = last.clone();
                    }
                    last = reading.clone();
                }
            })
            .build(),
        batch("every total is a string", seed, 100, order)
            .vary(|_, _, order| order["total"] = order["total"].to_string().into())
            .log(|_, _, _| python("TypeError: unsupported operand type(s) for +: 'int' and 'str'"))
            .build(),
        batch("a key that no record has", seed, 100, order)
            .log(|_, _, orders| {
                format!("processing order {}\n{}", orders[0]["orderId"].as_str().unwrap(), python("KeyError: 'discount'"))
            })
            .build(),
        batch("an error in the code", seed, 100, payment)
            .log(|_, _, _| node("ReferenceError", "amountInCents is not defined"))
            .build(),
    ]
}

/// A record is unlike the others, and the log says that the function failed for another reason.
pub fn outside_causes(seed: u64) -> Vec<MadeUpBatch> {
    let odd = |name| batch(name, seed, 100, order).poison(|_, order| order["total"] = json!("twelve"));
    let causes: [(&str, String); 10] = [
        (
            "a timeout",
            "2026-11-20T11:58:03.120Z 8f7d2c1a-53b4-4f0e-9a57-0c7d1f6be001 Task timed out after 30.03 seconds"
                .to_owned(),
        ),
        ("a refused connection", node("Error", "connect ECONNREFUSED 10.0.3.17:5432")),
        (
            "a throttled table",
            python(
                "ClientError: An error occurred (ProvisionedThroughputExceededException) when calling the PutItem operation (reached max retries: 4): The level of configured provisioned throughput for the table was exceeded.",
            ),
        ),
        ("a throttled service", node("ThrottlingException", "Rate exceeded")),
        ("no memory left", "Error: Runtime exited with error: signal: killed\nRuntime.ExitError".to_owned()),
        (
            "no memory left in Java",
            "java.lang.OutOfMemoryError: Java heap space\n\tat App.handle(App.java:7)".to_owned(),
        ),
        (
            "no permission",
            python(
                "ClientError: An error occurred (AccessDeniedException) when calling the GetItem operation: User: arn:aws:sts::123456789012:assumed-role/f is not authorized to perform: dynamodb:GetItem",
            ),
        ),
        (
            "a module that is missing",
            "[ERROR] Runtime.ImportModuleError: Unable to import module 'app': No module named 'requests'".to_owned(),
        ),
        ("a name that does not resolve", node("Error", "getaddrinfo ENOTFOUND db.internal")),
        (
            "a service that is down",
            python(
                "requests.exceptions.HTTPError: 503 Server Error: Service Unavailable for url: https://api.example/orders",
            ),
        ),
    ];
    causes.into_iter().map(|(name, text)| odd(name).log(|_, _, _| text).build()).map(no_culprit).collect()
}

fn no_culprit(batch: MadeUpBatch) -> MadeUpBatch {
    MadeUpBatch { culprit: None, ..batch }
}
