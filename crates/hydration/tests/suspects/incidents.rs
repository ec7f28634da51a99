//! Made-up incidents with a known culprit, written before the rules.

use serde_json::{Value, json};

use crate::domains::{self, click, order, payment, profile, stock_change, telemetry};
use crate::kit::{Form, MadeUpBatch, batch, node, python, raw_batch, sequence_number};

pub fn all(seed: u64) -> Vec<MadeUpBatch> {
    [shop(seed), devices(seed), people(seed), payments(seed), changes(seed), forms(seed)]
        .into_iter()
        .flatten()
        .collect()
}

fn shop(seed: u64) -> Vec<MadeUpBatch> {
    vec![
        batch("a total with a note in it, quoted by the log", seed, 100, order)
            .poison(|_, order| order["total"] = json!("12,50 € (see note)"))
            .log(|_, _, _| python("ValueError: could not convert string to float: '12,50 € (see note)'"))
            .build(),
        batch("a total with a note in it", seed, 100, order)
            .poison(|_, order| order["total"] = json!("12,50 € (see note)"))
            .build(),
        batch("an order without a customer, and the key in the log", seed, 100, order)
            .poison(|_, order| drop(order.as_object_mut().unwrap().remove("customer")))
            .log(|_, _, _| python("KeyError: 'customer'"))
            .build(),
        batch("an order without a customer", seed, 60, order)
            .poison(|_, order| drop(order.as_object_mut().unwrap().remove("customer")))
            .build(),
        batch("an order whose lines are null", seed, 100, order)
            .poison(|_, order| order["lines"] = Value::Null)
            .log(|_, _, _| node("TypeError", "Cannot read properties of null (reading 'map')"))
            .build(),
        batch("a negative quantity", seed, 80, order)
            .poison(|_, order| order["lines"][0]["quantity"] = json!(-3))
            .build(),
        batch("a product that does not exist, named by the log", seed, 120, order)
            .poison(|_, order| order["lines"][0]["sku"] = json!("SKU-01234"))
            .log(|_, _, _| python("ProductNotFound: product SKU-01234 does not exist"))
            .build(),
        batch("an order that the log names by its id", seed, 100, order)
            .poison(|_, _| {})
            .log(|order, _, _| {
                node(
                    "ConstraintError",
                    &format!("order {} is closed and takes no changes", order["orderId"].as_str().unwrap()),
                )
            })
            .build(),
    ]
}

fn devices(seed: u64) -> Vec<MadeUpBatch> {
    vec![
        batch("a word for a temperature", seed, 200, telemetry)
            .poison(|_, reading| reading["temperature"] = json!("ERR"))
            .build(),
        batch("not a number, as text", seed, 100, telemetry)
            .poison(|_, reading| reading["vibration"]["y"] = json!("NaN"))
            .log(|_, _, _| "Invalid measurement\njava.lang.NumberFormatException: For input string: \"NaN\"\n\tat App.read(App.java:71)".to_owned())
            .build(),
        batch("seconds where milliseconds are expected", seed, 100, telemetry)
            .poison(|_, reading| reading["ts"] = json!(1_795_161_699))
            .build(),
        batch("a number that overflows", seed, 100, telemetry)
            .poison(|_, reading| reading["humidity"] = json!(4_294_967_295_u32))
            .build(),
        batch("a reading that is cut off", seed, 150, telemetry)
            .poison_bytes(|_, reading| {
                let text = reading.to_string();
                text.as_bytes()[..text.len() * 2 / 3].to_vec()
            })
            .log(|_, _, _| node("SyntaxError", "Unexpected end of JSON input"))
            .build(),
        batch("bytes that are no UTF-8", seed, 100, telemetry)
            .poison_bytes(|_, reading| {
                let mut data = reading.to_string().into_bytes();
                data[30] = 0xC3;
                data[31] = 0x28;
                data
            })
            .build(),
        raw_batch("a line with a column too few", seed, 100, domains::csv_line, Some(|_, line| {
            String::from_utf8(line.to_vec()).unwrap().rsplit_once(',').unwrap().0.as_bytes().to_vec()
        })),
    ]
}

fn people(seed: u64) -> Vec<MadeUpBatch> {
    vec![
        batch("a date in another order", seed, 100, profile)
            .poison(|_, profile| profile["birthDate"] = json!("31/12/1980"))
            .build(),
        batch("no e-mail address", seed, 100, profile)
            .poison(|_, profile| profile["email"] = Value::Null)
            .log(|_, _, _| node("TypeError", "Cannot read properties of null (reading 'toLowerCase')"))
            .build(),
        batch("a zero character in a name", seed, 100, profile)
            .poison(|_, profile| profile["name"] = json!("Anna\u{0}Schmidt"))
            .log(|_, _, _| python("psycopg2.errors.UntranslatableCharacter: unsupported Unicode escape sequence"))
            .build(),
        batch("preferences that are nested too deep", seed, 100, profile)
            .poison(|_, profile| {
                profile["preferences"]["theme"] = (0..60).fold(json!(1), |inner, _| json!({"child": inner}));
            })
            .build(),
        batch("an event within a string", seed, 150, click)
            .poison_bytes(|_, event| json!(event.to_string()).to_string().into_bytes())
            .build(),
        batch("an event of 300 KB", seed, 150, click)
            .poison(|_, event| event["url"] = format!("https://shop.example/p/1?q={}", "x".repeat(300_000)).into())
            .build(),
        batch("an event without an address", seed, 150, click).poison(|_, event| event["url"] = json!("")).build(),
    ]
}

fn payments(seed: u64) -> Vec<MadeUpBatch> {
    vec![
        batch("a payment with no data", seed, 40, payment).poison_bytes(|_, _| Vec::new()).build(),
        batch("an amount as it is written in Germany", seed, 100, payment)
            .poison(|_, payment| payment["amount"] = json!("1.234,56"))
            .build(),
        batch("a payment that was sent twice", seed, 100, payment)
            .poison_by_other(|other, payment| payment["paymentId"] = other["paymentId"].clone())
            .log(|payment, _, _| {
                python(&format!(
                    "psycopg2.errors.UniqueViolation: duplicate key value violates unique constraint \"payments_pkey\"\nDETAIL:  Key (id)=({}) already exists.",
                    payment["paymentId"].as_str().unwrap()
                ))
            })
            .build(),
        batch("a currency in lower case", seed, 100, payment).poison(|_, payment| payment["currency"] = json!("euro")).build(),
        batch("a payment that the log names by its sequence number", seed, 100, payment)
            .poison(|_, _| {})
            .log(|_, place, _| {
                format!(
                    "{{\"level\":\"ERROR\",\"timestamp\":\"2026-11-20T11:58:03Z\",\"message\":\"record failed\",\"sequenceNumber\":\"{}\",\"error\":\"rejected by the ledger\"}}",
                    sequence_number(place)
                )
            })
            .build(),
    ]
}

fn changes(seed: u64) -> Vec<MadeUpBatch> {
    vec![
        batch("a removal among changes", seed, 100, stock_change)
            .form(Form::DynamoDb)
            .poison(|_, change| {
                change["eventName"] = json!("REMOVE");
                change.as_object_mut().unwrap().remove("newImage");
            })
            .log(|_, _, _| python("KeyError: 'NewImage'"))
            .build(),
        batch("a count as a string", seed, 100, stock_change)
            .form(Form::DynamoDb)
            .poison(|_, change| change["newImage"]["count"] = json!("12"))
            .build(),
        batch("an item without a price", seed, 100, stock_change)
            .form(Form::DynamoDb)
            .poison(|_, change| drop(change["newImage"].as_object_mut().unwrap().remove("price")))
            .build(),
        batch("an item that the log names by its key", seed, 50, stock_change)
            .form(Form::DynamoDb)
            .poison(|_, _| {})
            .log(|change, _, _| {
                format!(
                    "ERROR\tcannot update the search index: {{ id: {} }}: mapper_parsing_exception",
                    change["keys"]["id"]
                )
            })
            .build(),
    ]
}

fn forms(seed: u64) -> Vec<MadeUpBatch> {
    vec![
        batch("a bad reading within an aggregate", seed, 120, telemetry)
            .form(Form::Aggregates(10))
            .poison(|_, reading| reading["humidity"] = json!("n/a"))
            .build(),
        batch("an error page among gzipped orders", seed, 60, order)
            .poison_bytes(|_, _| b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>".to_vec())
            .form(Form::Gzip)
            .build(),
        raw_batch(
            "text among binary messages",
            seed,
            80,
            domains::binary,
            Some(|_, _| b"connection closed by peer".to_vec()),
        ),
    ]
}
