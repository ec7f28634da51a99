//! A third of the incidents: written with the others, and first run when the rules were done.

use serde_json::{Value, json};

use crate::domains::{chat, click, order, payment, profile, stock_change, telemetry};
use crate::kit::{Form, MadeUpBatch, aggregate, batch, node, python};

pub fn all(seed: u64) -> Vec<MadeUpBatch> {
    [values(seed), logs(seed), forms(seed)].into_iter().flatten().collect()
}

fn values(seed: u64) -> Vec<MadeUpBatch> {
    vec![
        batch("a payment of a later schema version", seed, 100, payment)
            .poison(|_, payment| {
                payment["schemaVersion"] = json!(3);
                let amount = payment.as_object_mut().unwrap().remove("amount").unwrap();
                payment["money"] = json!({"value": amount, "currency": "EUR"});
            })
            .build(),
        batch("a status that nobody knows", seed, 150, order)
            .poison(|_, order| order["status"] = json!("on-hold"))
            .build(),
        batch("a device id as a number", seed, 100, telemetry)
            .poison(|_, reading| reading["deviceId"] = json!(17))
            .build(),
        batch("a boolean as a string", seed, 100, profile)
            .poison(|_, profile| profile["newsletter"] = json!("true"))
            .build(),
        batch("a list for an object", seed, 100, order).poison(|_, order| order["address"] = json!([])).build(),
        batch("a quantity of a million", seed, 100, order)
            .poison(|_, order| order["lines"][0]["quantity"] = json!(1_000_000))
            .build(),
        batch("the first year", seed, 100, order)
            .poison(|_, order| order["createdAt"] = json!("0001-01-01T00:00:00Z"))
            .build(),
        batch("an address without a city", seed, 100, order)
            .poison(|_, order| drop(order["address"].as_object_mut().unwrap().remove("city")))
            .build(),
        batch("a null in a typed item", seed, 60, stock_change)
            .form(Form::DynamoDb)
            .poison(|_, change| change["newImage"]["count"] = Value::Null)
            .build(),
        batch("a wrong type in a batch of eight", seed, 8, telemetry)
            .poison(|_, reading| reading["temperature"] = json!({"value": 21.5, "unit": "C"}))
            .build(),
    ]
}

fn logs(seed: u64) -> Vec<MadeUpBatch> {
    vec![
        batch("a day that does not exist", seed, 100, payment)
            .poison(|_, payment| payment["executedOn"] = json!("2026-02-30"))
            .log(|_, _, _| python("ValueError: day is out of range for month"))
            .build(),
        batch("a log that names each order until it ends", seed, 100, order)
            .poison(|_, _| {})
            .log(|_, place, orders| {
                let started = orders[..=place].iter().map(|order| format!("processing order {}", order["orderId"].as_str().unwrap()));
                let mut lines: Vec<String> = started.collect();
                lines.push(python("RuntimeError: inventory is inconsistent"));
                lines.join("\n")
            })
            .build(),
        batch("a structured log with the id of an event", seed, 100, click)
            .poison(|_, _| {})
            .log(|event, _, _| {
                json!({"level": "ERROR", "time": 1_795_161_600_000_u64, "msg": "enrichment failed", "eventId": event["eventId"],
                    "requestId": "8f7d2c1a-53b4-4f0e-9a57-0c7d1f6be001", "err": {"type": "RangeError", "message": "Invalid array length"}})
                    .to_string()
            })
            .build(),
        batch("an item that is too large for the table", seed, 60, profile)
            .poison(|_, profile| profile["tags"] = vec!["vip"; 60_000].into())
            .log(|_, _, _| {
                python("ClientError: An error occurred (ValidationException) when calling the PutItem operation: Item size has exceeded the maximum allowed size")
            })
            .build(),
    ]
}

fn forms(seed: u64) -> Vec<MadeUpBatch> {
    vec![
        batch("a name in Latin-1", seed, 100, profile)
            .poison_bytes(|_, profile| {
                let text = profile.to_string().replace(profile["name"].as_str().unwrap(), "J\u{fc}rgen Stra\u{df}er");
                text.chars().map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?')).collect()
            })
            .build(),
        batch("a zip archive among JSON", seed, 100, order)
            .poison_bytes(|rng, _| [b"PK\x03\x04".to_vec(), (0..200).map(|_| rng.u8(..)).collect()].concat())
            .build(),
        batch("an aggregate among plain records", seed, 100, chat)
            .poison_bytes(|_, message| {
                let data = message.to_string().into_bytes();
                aggregate(&[("a".to_owned(), data.clone()), ("b".to_owned(), data)])
            })
            .log(|_, _, _| node("SyntaxError", "Unexpected token 'ó', \"ó\u{89}\u{9a}Â\"... is not valid JSON"))
            .build(),
    ]
}
