//! More services, with data that varies more: sparse keys, heavy tails, rare values, lines of text.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::domains::{name, pick, price, sentence, time, uuid};
use crate::kit::{Form, MadeUpBatch, batch, node, python, raw_batch, sequence_number};

/// A value that gets rarer with its place in the list.
fn skewed<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    let mut place = 0;
    while place + 1 < from.len() && rng.u8(0..100) < 45 {
        place += 1;
    }
    from[place]
}

/// A trip of a taxi: places, times, a fare that may be free, a tip now and then.
fn trip(rng: &mut Rng, index: usize) -> Value {
    let place = |rng: &mut Rng| json!({"lat": 52.3 + rng.f64() * 0.4, "lon": 13.1 + rng.f64() * 0.6});
    let mut trip = json!({
        "trip_id": 88_000_000_u64 + index as u64 * 13 + rng.u64(0..13), "driver": rng.u32(1000..9999),
        "pickup": place(rng), "dropoff": place(rng), "started_at": 1_795_100_000 + rng.u32(0..80_000),
        "distance_km": (rng.f64() * 3.2).exp(), "fare_cents": rng.u32(350..9000), "payment": skewed(rng, &["card", "cash", "app", "invoice"]),
        "surge": if rng.u8(0..20) == 0 { 1.5 } else { 1.0 }, "rating": if rng.u8(0..3) == 0 { json!(rng.u8(1..6)) } else { Value::Null },
    });
    if rng.u8(0..100) < 3 {
        trip["fare_cents"] = json!(0);
    }
    if rng.u8(0..100) < 15 {
        trip["tip_cents"] = json!(rng.u32(50..900));
    }
    if rng.u8(0..100) < 2 {
        trip["lost_items"] = json!([sentence(rng)]);
    }
    trip
}

/// A lead of a sales system: twenty optional keys, each in its own share of the records.
fn lead(rng: &mut Rng, index: usize) -> Value {
    let mut lead = json!({"Id": format!("00Q{:012X}AAB", 7_000_000 + index), "LastName": name(rng), "Status": skewed(rng, &["Open", "Working", "Qualified", "Closed"]),
        "Company": pick(rng, &["ACME", "Initech GmbH & Co. KG", "Globex", "self", "Umbrella Corp."]), "CreatedDate": format!("{}.000+0000", time(rng).trim_end_matches('Z'))});
    for (number, share) in (0..20).map(|number| (number, [1, 2, 4, 7, 12, 30, 60, 90, 97, 99][number % 10])) {
        if rng.u8(0..100) < share {
            lead[format!("Custom{number}__c")] = match number % 4 {
                0 => json!(sentence(rng)),
                1 => json!(price(rng)),
                2 => json!(rng.bool()),
                _ => {
                    if rng.u8(0..10) == 0 {
                        Value::Null
                    } else {
                        json!(skewed(rng, &["a", "b", "c", "d", "e"]))
                    }
                }
            };
        }
    }
    lead
}

/// A line of an account: amounts with a sign, references of several forms, seldom a reversal.
fn ledger_line(rng: &mut Rng, index: usize) -> Value {
    let sign = if rng.u8(0..4) == 0 { -1.0 } else { 1.0 };
    json!({"seq": 120_000 + index, "account": format!("{:010}", rng.u32(1..4_000_000)), "amount": (sign * (rng.f64() * 7.0).exp() * 100.0).round() / 100.0,
        "ccy": skewed(rng, &["EUR", "USD", "GBP", "CHF", "JPY", "SEK"]), "kind": skewed(rng, &["booking", "fee", "interest", "reversal"]),
        "ref": if rng.bool() { format!("RF{}", rng.u32(100..99_999_999)) } else { sentence(rng) }, "valueDate": format!("2026-11-{:02}", rng.u8(10..21))})
}

/// An event of an audit trail, with what was changed.
fn audit(rng: &mut Rng, _: usize) -> Value {
    let action = skewed(rng, &["login", "read", "update", "logout", "create", "delete", "export"]);
    let mut event = json!({"id": uuid(rng), "ts": time(rng), "actor": {"id": rng.u32(1..300), "ip": format!("10.0.{}.{}", rng.u8(..), rng.u8(..)), "roles": (0..rng.usize(1..3)).map(|_| pick(rng, &["user", "admin"])).collect::<Vec<_>>()},
        "action": action, "ok": rng.u8(0..50) != 0});
    match action {
        "update" => event["diff"] = json!({"before": {"price": price(rng)}, "after": {"price": price(rng)}}),
        "export" => event["rows"] = json!(rng.u32(1..100_000)),
        "create" | "delete" => event["object"] = json!({"type": pick(rng, &["item", "user"]), "id": rng.u32(1..9_000)}),
        _ => {}
    }
    event
}

/// A review: free text of any length, seldom a very long one.
fn review(rng: &mut Rng, index: usize) -> Value {
    let length = if rng.u8(0..60) == 0 { 40 } else { rng.usize(1..8) };
    json!({"reviewId": index * 17 + 4000, "stars": rng.u8(1..6), "title": sentence(rng), "text": (0..length).map(|_| sentence(rng)).collect::<Vec<_>>().join(". "),
        "author": if rng.u8(0..30) == 0 { "anonymous".to_owned() } else { name(rng) }, "helpful": (rng.f64() * 4.0).exp() as u32, "photos": (0..rng.usize(0..3)).map(|n| format!("p/{n}.jpg")).collect::<Vec<_>>(),
        "verified": rng.u8(0..12) != 0, "lang": skewed(rng, &["en", "de", "fr", "es", "pl", "pt-BR"])})
}

/// A line of a web server's log.
fn access_line(rng: &mut Rng, _: usize) -> Vec<u8> {
    format!(
        "{}.{}.{}.{} - {} [20/Nov/2026:{:02}:{:02}:{:02} +0000] \"{} /{} HTTP/1.1\" {} {}",
        rng.u8(1..),
        rng.u8(..),
        rng.u8(..),
        rng.u8(..),
        if rng.u8(0..9) == 0 { "kim" } else { "-" },
        rng.u8(0..24),
        rng.u8(0..60),
        rng.u8(0..60),
        skewed(rng, &["GET", "POST", "PUT", "DELETE"]),
        sentence(rng).replace(' ', "/"),
        skewed(rng, &["200", "304", "404", "500"]),
        rng.u32(100..90_000)
    )
    .into_bytes()
}

fn item(rng: &mut Rng, index: usize) -> Value {
    let kind = skewed(rng, &["ORDER", "CUSTOMER", "PRODUCT"]);
    let keys = json!({"pk": format!("{kind}#{}", rng.u32(1..9999)), "sk": format!("v{}", index % 4)});
    let mut image = keys.clone();
    image["kind"] = json!(kind);
    match kind {
        "ORDER" => image["total"] = json!(price(rng)),
        "CUSTOMER" => image["mail"] = json!(format!("c{}@mail.example", rng.u32(..))),
        _ => image["stock"] = json!(rng.u8(..)),
    }
    if rng.u8(0..3) == 0 {
        image["ttl"] = json!(1_800_000_000 + rng.u32(0..1_000_000));
    }
    let name = skewed(rng, &["INSERT", "MODIFY", "REMOVE"]);
    let mut change = json!({"eventName": name, "keys": keys, "newImage": image, "oldImage": image});
    match name {
        "INSERT" => drop(change.as_object_mut().unwrap().remove("oldImage")),
        "REMOVE" => drop(change.as_object_mut().unwrap().remove("newImage")),
        _ => {}
    }
    change
}

/// Healthy batches of every size.
pub fn healthy(seed: u64) -> Vec<MadeUpBatch> {
    let mut batches = Vec::new();
    for count in [3, 10, 30, 100, 300] {
        batches.extend([
            batch("trips", seed + count as u64, count, trip).build(),
            batch("leads", seed + count as u64, count, lead).build(),
            batch("ledger lines", seed + count as u64, count, ledger_line).build(),
            batch("audit", seed + count as u64, count, audit).build(),
            batch("reviews", seed + count as u64, count, review).build(),
            batch("items of one table", seed + count as u64, count, item).form(Form::DynamoDb).build(),
            raw_batch("access log", seed + count as u64, count, access_line, None),
        ]);
    }
    batches
}

/// Incidents in this data.
pub fn incidents(seed: u64) -> Vec<MadeUpBatch> {
    vec![
        batch("a place that is a string", seed, 100, trip).poison(|_, trip| trip["pickup"]["lat"] = json!("52,5200")).build(),
        batch("latitude in millionths", seed, 100, trip).poison(|_, trip| trip["pickup"]["lat"] = json!(52_520_000)).build(),
        batch("no fare", seed, 100, trip).poison(|_, trip| drop(trip.as_object_mut().unwrap().remove("fare_cents"))).build(),
        batch("no place at the end", seed, 100, trip)
            .poison(|_, trip| trip["dropoff"] = Value::Null)
            .log(|_, _, _| python("TypeError: 'NoneType' object is not subscriptable"))
            .build(),
        batch("a trip that the log names by a number", seed, 100, trip)
            .poison(|_, _| {})
            .log(|trip, _, _| format!("ERROR trip_id={} surcharge rule failed", trip["trip_id"]))
            .build(),
        batch("a lead without a status", seed, 100, lead).poison(|_, lead| drop(lead.as_object_mut().unwrap().remove("Status"))).build(),
        batch("a lead whose name the log quotes", seed, 60, lead)
            .poison(|_, lead| lead["LastName"] = json!("Robert'); DROP TABLE leads;--"))
            .log(|_, _, _| node("DatabaseError", "syntax error at or near \"DROP\" in INSERT INTO leads VALUES ('Robert'); DROP TABLE leads;--')"))
            .build(),
        batch("an amount as text", seed, 100, ledger_line).poison(|_, line| line["amount"] = json!("1’250.00")).build(),
        batch("an amount that is far too large", seed, 100, ledger_line).poison(|_, line| line["amount"] = json!(1e17)).build(),
        batch("a date of the American kind", seed, 100, ledger_line).poison(|_, line| line["valueDate"] = json!("11/21/2026")).build(),
        batch("an unknown currency", seed, 100, ledger_line)
            .poison(|_, line| line["ccy"] = json!("XBT"))
            .log(|_, _, _| "java.lang.IllegalArgumentException: No enum constant com.bank.Currency.XBT\n\tat java.base/java.lang.Enum.valueOf(Enum.java:273)".to_owned())
            .build(),
        batch("an actor without an id", seed, 100, audit).poison(|_, event| drop(event["actor"].as_object_mut().unwrap().remove("id"))).build(),
        batch("an update without its differences", seed, 200, audit)
            .vary(|rng, index, event| {
                if index == 50 {
                    *event = json!({"id": uuid(rng), "ts": time(rng), "actor": {"id": 5, "ip": "10.0.1.1", "roles": ["user"]}, "action": "update", "ok": true});
                }
            })
            .log(|_, _, _| python("KeyError: 'diff'"))
            .culprit(50),
        batch("an address that is no address", seed, 100, audit).poison(|_, event| event["actor"]["ip"] = json!("unknown")).build(),
        batch("stars beyond five", seed, 100, review)
            .poison(|_, review| review["stars"] = json!(50))
            .log(|_, _, _| python("pydantic_core._pydantic_core.ValidationError: 1 validation error for Review\nstars\n  Input should be less than or equal to 5 [type=less_than_equal, input_value=50, input_type=int]"))
            .build(),
        batch("photos as one string", seed, 100, review).poison(|_, review| review["photos"] = json!("p/1.jpg")).build(),
        batch("half an emoji", seed, 100, review).poison_bytes(|_, review| review.to_string().replace("\"text\":\"", "\"text\":\"\\ud83d ").into_bytes()).build(),
        batch("a total that is a string in a table", seed, 120, item)
            .form(Form::DynamoDb)
            .vary(|_, index, change| if index == 60 { *change = json!({"eventName": "INSERT", "keys": {"pk": "ORDER#77", "sk": "v0"}, "newImage": {"pk": "ORDER#77", "sk": "v0", "kind": "ORDER", "total": "n/a"}}) })
            .culprit(60),
        batch("a record that the Go runtime names", seed, 100, trip)
            .poison(|_, trip| trip["distance_km"] = json!("far"))
            .log(|_, place, _| {
                format!("2026/11/20 11:58:03 record {}: json: cannot unmarshal string into Go struct field Trip.distance_km of type float64", sequence_number(place))
            })
            .build(),
        batch("an error of the Node.js parser with a part of the data", seed, 80, review)
            .poison_bytes(|_, _| b"upstream connect error or disconnect/reset before headers".to_vec())
            .log(|_, _, _| node("SyntaxError", "Unexpected token 'u', \"upstream c\"... is not valid JSON"))
            .build(),
    ]
}
