//! Incidents as the logs of several languages and tools tell them, and logs that tell nothing.

use serde_json::{Value, json};

use crate::domains::{order, payment, profile, stock_change, telemetry, uuid};
use crate::kit::{Form, MadeUpBatch, batch, node, python, sequence_number};

pub fn incidents(seed: u64) -> Vec<MadeUpBatch> {
    [values(seed), names(seed), forms(seed), shapes(seed)].into_iter().flatten().collect()
}

fn values(seed: u64) -> Vec<MadeUpBatch> {
    vec![
        batch("a quantity with its unit", seed, 100, order)
            .poison(|_, order| order["lines"][0]["quantity"] = json!("3 pcs"))
            .log(|_, _, _| python("ValueError: invalid literal for int() with base 10: '3 pcs'"))
            .build(),
        batch("a line without a price", seed, 100, order)
            .poison(|_, order| drop(order["lines"][0].as_object_mut().unwrap().remove("price")))
            .log(|_, _, _| python("KeyError: 'price'"))
            .build(),
        batch("an amount that is not available", seed, 100, payment)
            .poison(|_, payment| payment["amount"] = json!("N/A"))
            .log(|_, _, _| python("decimal.InvalidOperation: [<class 'decimal.ConversionSyntax'>]"))
            .build(),
        batch("a device that .NET cannot read", seed, 100, telemetry)
            .poison(|_, reading| reading["humidity"] = json!("4l"))
            .log(|_, _, _| "Unhandled exception. System.FormatException: The input string '4l' was not in a correct format.\n   at System.Number.ThrowFormatException()".to_owned())
            .build(),
        batch("a number below its minimum", seed, 100, order)
            .poison(|_, order| order["lines"][0]["quantity"] = json!(-7))
            .log(|_, _, _| python("jsonschema.exceptions.ValidationError: -7 is less than the minimum of 0"))
            .build(),
        batch("a total of zero", seed, 100, order)
            .poison(|_, order| order["total"] = json!(0))
            .log(|_, _, _| python("ZeroDivisionError: division by zero"))
            .build(),
        batch("a value that serde quotes", seed, 100, telemetry)
            .poison(|_, reading| reading["temperature"] = json!("warm"))
            .log(|_, _, _| "ERROR app: Error: invalid type: string \"warm\", expected f64 at line 1 column 157".to_owned())
            .build(),
        batch("a name that is no name", seed, 100, profile).poison(|_, profile| profile["name"] = json!("[object Object]")).build(),
        batch("a time without its T", seed, 100, order)
            .poison(|_, order| order["createdAt"] = json!("2026-11-20 08:15:00"))
            .build(),
    ]
}

fn names(seed: u64) -> Vec<MadeUpBatch> {
    vec![
        batch("a line for each record, and then an error", seed, 60, telemetry)
            .poison(|_, _| {})
            .log(|_, place, _| {
                let lines = (0..=place).map(|n| format!("2026-11-20T11:58:03.{:03}Z\tr-1\tINFO\tprocessing {}", n, sequence_number(n)));
                let mut lines: Vec<String> = lines.collect();
                lines.push("2026-11-20T11:58:04.001Z\tr-1\tERROR\tpanic: runtime error: index out of range [3] with length 3".to_owned());
                lines.join("\n")
            })
            .build(),
        batch("three retries as the AWS CLI prints them", seed, 100, order)
            .poison(|_, _| {})
            .log(|order, _, _| {
                let events = (0..3).flat_map(|retry| {
                    let message = format!("[ERROR]\t2026-11-20T11:5{retry}:03.120Z\t8f7d2c1a-53b4-4f0e-9a57-0c7d1f6be00{retry}\tcannot ship {}", order["orderId"].as_str().unwrap());
                    [json!({"logStreamName": "s", "timestamp": 1_795_161_600_000_u64, "message": format!("START RequestId: 8f7d2c1a-53b4-4f0e-9a57-0c7d1f6be00{retry} Version: 7")}),
                     json!({"logStreamName": "s", "timestamp": 1_795_161_600_001_u64, "message": message})]
                });
                json!({"events": events.collect::<Vec<Value>>(), "searchedLogStreams": []}).to_string()
            })
            .build(),
        batch("lines of aws logs tail", seed, 100, profile)
            .poison(|_, _| {})
            .log(|profile, _, _| {
                format!("2026-11-20T11:58:03.120000+00:00 2026/11/20/[$LATEST]0c1d2e3f mail to {} was rejected: 550 no such user", profile["email"].as_str().unwrap())
            })
            .build(),
        batch("an id that a logger has as a field", seed, 100, payment)
            .poison(|_, _| {})
            .log(|payment, _, _| {
                json!({"level": "ERROR", "location": "handler:31", "message": "ledger refused the booking", "timestamp": "2026-11-20 11:58:03,120+0000",
                    "service": "ledger", "cold_start": true, "function_name": "booker", "function_memory_size": "128", "function_arn": "arn:aws:lambda:eu-west-1:123456789012:function:booker",
                    "function_request_id": "8f7d2c1a-53b4-4f0e-9a57-0c7d1f6be001", "payment_id": payment["paymentId"], "xray_trace_id": "1-5759e988-bd862e3fe1be46a994272793"}).to_string()
            })
            .build(),
        batch("the answer of a partial batch", seed, 100, telemetry)
            .poison(|_, _| {})
            .log(|_, place, _| format!("ERROR returning batchItemFailures: [{{itemIdentifier: '{}'}}]", sequence_number(place)))
            .build(),
        batch("a customer by number", seed, 80, order)
            .poison(|_, order| order["customer"]["id"] = json!(4711))
            .log(|_, _, _| python("LookupError: no customer with id=4711"))
            .build(),
    ]
}

fn forms(seed: u64) -> Vec<MadeUpBatch> {
    vec![
        batch("an envelope around one payload", seed, 60, order)
            .poison(|_, order| *order = json!({"version": "0", "detail": order.clone()}))
            .build(),
        batch("a list of one payload", seed, 60, order).poison(|_, order| *order = json!([order.clone()])).build(),
        batch("nothing but null", seed, 60, order).poison_bytes(|_, _| b"null".to_vec()).build(),
        batch("NaN in JSON", seed, 60, telemetry)
            .poison_bytes(|_, reading| reading.to_string().replacen("\"temperature\":", "\"temperature\":NaN,\"t\":", 1).into_bytes())
            .build(),
        batch("a payload in base64", seed, 60, order)
            .poison_bytes(|_, _| b"eyJvcmRlcklkIjoiT1JELTQyMDAwMDMiLCJ0b3RhbCI6MTIuNX0=".to_vec())
            .build(),
        batch("a truncated payload in an aggregate", seed, 100, telemetry)
            .poison_bytes(|_, reading| reading.to_string().into_bytes()[..40].to_vec())
            .form(Form::Aggregates(10))
            .log(|_, _, _| python("json.decoder.JSONDecodeError: Unterminated string starting at: line 1 column 30 (char 29)"))
            .build(),
        batch("a byte that Python cannot decode", seed, 60, profile)
            .poison_bytes(|_, profile| {
                let mut data = profile.to_string().into_bytes();
                data.splice(20..20, [0xe4]);
                data
            })
            .log(|_, _, _| python("UnicodeDecodeError: 'utf-8' codec can't decode byte 0xe4 in position 20: invalid continuation byte"))
            .build(),
    ]
}

fn shapes(seed: u64) -> Vec<MadeUpBatch> {
    vec![
        batch("a word for a boolean", seed, 100, telemetry).poison(|_, reading| reading["ok"] = json!("yes")).build(),
        batch("a UUID for a number", seed, 100, order)
            .poison(|rng, order| order["customer"]["id"] = json!(uuid(rng)))
            .build(),
        batch("a key with a typing error", seed, 100, order)
            .poison(|_, order| {
                let total = order.as_object_mut().unwrap().remove("total").unwrap();
                order["totla"] = total;
            })
            .build(),
        batch("an order with no lines", seed, 100, order)
            .poison(|_, order| order["lines"] = json!([]))
            .log(|_, _, _| python("IndexError: list index out of range"))
            .build(),
        batch("an item whose map is a string", seed, 100, stock_change)
            .form(Form::DynamoDb)
            .poison(|_, change| change["newImage"]["dimensions"] = json!("10x20"))
            .log(|_, _, _| node("TypeError", "Cannot read properties of undefined (reading 'N')"))
            .build(),
        batch("a typo in a small batch", seed, 12, payment)
            .poison(|_, payment| drop(payment.as_object_mut().unwrap().remove("debtor")))
            .log(|_, _, _| node("TypeError", "Cannot read properties of undefined (reading 'iban')"))
            .build(),
    ]
}

/// Healthy data, and logs with texts that occur in records by chance.
pub fn healthy(seed: u64) -> Vec<MadeUpBatch> {
    vec![
        batch("a log that names the range", seed, 100, order)
            .log(|_, _, _| {
                format!(
                    "ERROR batch {} to {} failed\n{}",
                    sequence_number(0),
                    sequence_number(99),
                    python("TypeError: 'int' object is not callable")
                )
            })
            .build(),
        batch("sizes and times of the runtime", seed, 100, telemetry)
            .vary(|_, index, reading| {
                if index == 20 {
                    reading["humidity"] = json!(128)
                }
            })
            .log(|_, _, _| python("AttributeError: module 'app' has no attribute 'convert'"))
            .build(),
        batch("a refund among orders", seed, 100, order)
            .vary(|rng, index, order| {
                order["type"] = json!(if index == 70 { "refund" } else { "order" });
                if index == 70 {
                    order["total"] = json!(-f64::from(rng.u8(1..90)));
                }
            })
            .build(),
        batch("every record of an error", seed, 50, profile)
            .log(|_, _, profiles| {
                let lines =
                    profiles.iter().map(|profile| format!("ERROR cannot sync {}", profile["email"].as_str().unwrap()));
                lines.collect::<Vec<_>>().join("\n")
            })
            .build(),
    ]
}
