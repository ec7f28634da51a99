//! Records of made-up services, with the variety that healthy data has.

use fastrand::Rng;
use serde_json::{Value, json};

pub fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(..from.len())]
}

pub fn uuid(rng: &mut Rng) -> String {
    let (a, b) = (rng.u64(..), rng.u64(..));
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        a >> 32,
        a & 0xffff,
        b >> 52,
        (b >> 40) & 0xfff,
        b & 0xffff_ffff_ffff
    )
}

/// A time on the morning of one day.
pub fn time(rng: &mut Rng) -> String {
    format!("2026-11-20T{:02}:{:02}:{:02}Z", rng.u8(6..12), rng.u8(0..60), rng.u8(0..60))
}

/// A price with two places, small ones more often than large ones.
pub fn price(rng: &mut Rng) -> f64 {
    let euros = (rng.f64() * 4.5).exp() + 1.0;
    (euros * 100.0).round() / 100.0
}

pub fn name(rng: &mut Rng) -> String {
    let first =
        ["Anna", "Zoë", "Jean-Luc", "Mia", "Oluwaseun", "José", "李", "Fatima", "Björn", "Kim", "Ravi", "Ana María"];
    let last =
        ["Schmidt", "O'Brien", "Müller", "Nguyen", "van der Berg", "García-López", "Smith", "Okafor", "王", "Rossi"];
    format!("{} {}", pick(rng, &first), pick(rng, &last))
}

pub fn sentence(rng: &mut Rng) -> String {
    let words = [
        "please",
        "ring",
        "twice",
        "the",
        "parcel",
        "was",
        "left",
        "at",
        "door",
        "of",
        "neighbour",
        "thanks",
        "not",
        "blue",
        "but",
        "green",
        "see",
        "you",
        "soon",
        "delivery",
        "late",
        "again",
        "great",
        "service",
        "2",
        "weeks",
        "OK!",
        "😀",
    ];
    (0..rng.usize(2..14)).map(|_| pick(rng, &words)).collect::<Vec<_>>().join(" ")
}

/// An order of a shop. A note, a coupon and a company are optional.
pub fn order(rng: &mut Rng, index: usize) -> Value {
    let lines: Vec<Value> = (0..rng.usize(1..5))
        .map(|_| json!({"sku": format!("SKU-{:05}", rng.u32(1..900)), "quantity": rng.u8(1..6), "price": price(rng)}))
        .collect();
    let mut order = json!({
        "orderId": format!("ORD-{:07}", 4_200_000 + index * 3 + rng.usize(0..3)),
        "createdAt": time(rng),
        "customer": {"id": rng.u32(10_000..99_999), "name": name(rng)},
        "address": {"street": format!("{} {}", pick(rng, &["High Street", "Hauptstraße", "Rue Haute"]), rng.u8(1..200)),
            "city": pick(rng, &["Berlin", "Paris", "New York", "Saint-Denis", "Köln", "Rome"]),
            "zip": format!("{:05}", rng.u32(1_000..99_999))},
        "status": pick(rng, &["NEW", "PAID", "PAID", "SHIPPED"]),
        "currency": pick(rng, &["EUR", "EUR", "EUR", "USD", "GBP"]),
        "lines": lines,
        "total": price(rng),
    });
    if rng.u8(0..100) < 8 {
        order["note"] = sentence(rng).into();
    }
    if rng.u8(0..100) < 4 {
        order["coupon"] = format!("SAVE{}", rng.u8(5..30)).into();
    }
    if rng.u8(0..100) < 12 {
        order["address"]["company"] = pick(rng, &["ACME GmbH", "Initech", "Globex SA"]).into();
    }
    order
}

/// Telemetry of a machine. The battery is only in some kinds of devices.
pub fn telemetry(rng: &mut Rng, index: usize) -> Value {
    let mut reading = json!({
        "deviceId": format!("press-{:03}", rng.u8(1..40)),
        "ts": 1_795_161_600_000_u64 + index as u64 * 1000 + rng.u64(0..900),
        "temperature": ((18.0 + rng.f64() * 14.0) * 10.0).round() / 10.0,
        "humidity": rng.u8(25..75),
        "vibration": {"x": rng.f64() - 0.5, "y": rng.f64() - 0.5, "z": rng.f64() - 0.5},
        "firmware": pick(rng, &["2.4.1", "2.4.1", "2.4.0", "2.3.9"]),
        "ok": rng.u8(0..10) > 0,
    });
    if rng.u8(0..3) == 0 {
        reading["battery"] = (f64::from(rng.u16(200..420)) / 100.0).into();
    }
    reading
}

/// An event of a web site, one of several types with keys of their own.
pub fn click(rng: &mut Rng, _: usize) -> Value {
    let kind =
        pick(rng, &["page_view", "page_view", "page_view", "page_view", "click", "click", "search", "add_to_cart"]);
    let mut event = json!({
        "eventId": uuid(rng), "type": kind, "time": time(rng), "session": uuid(rng),
        "user": if rng.bool() { json!(format!("u{}", rng.u32(1..5_000))) } else { Value::Null },
        "url": format!("https://shop.example/{}/{}", pick(rng, &["p", "c", "cart", "search"]), rng.u16(1..999)),
        "agent": pick(rng, &["Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1)", "curl/8.5.0"]),
    });
    match kind {
        "click" => {
            event["element"] =
                json!({"id": pick(rng, &["buy", "menu", "logo"]), "x": rng.u16(0..1900), "y": rng.u16(0..4000)})
        }
        "search" => event["query"] = sentence(rng).into(),
        "add_to_cart" => event["item"] = json!({"sku": format!("SKU-{:05}", rng.u32(1..900)), "price": price(rng)}),
        _ => event["referrer"] = pick(rng, &["", "https://search.example/", "https://news.example/a/1"]).into(),
    }
    event
}

/// A profile of a person, with many optional fields.
pub fn profile(rng: &mut Rng, index: usize) -> Value {
    let mut profile = json!({
        "userId": uuid(rng), "version": rng.u8(1..9), "name": name(rng),
        "email": format!("{}{}@{}", pick(rng, &["anna", "j.smith", "kim_", "info+x"]), index, pick(rng, &["mail.example", "post.example.org"])),
        "birthDate": format!("{}-{:02}-{:02}", rng.u16(1940..2008), rng.u8(1..13), rng.u8(1..29)),
        "country": pick(rng, &["DE", "DE", "DE", "FR", "FR", "US", "GB", "IT", "ES", "NL", "JP"]),
        "newsletter": rng.bool(),
        "preferences": {"theme": pick(rng, &["dark", "light"]), "language": pick(rng, &["de", "en", "fr"])},
        "tags": (0..rng.usize(0..4)).map(|_| pick(rng, &["vip", "beta", "b2b"])).collect::<Vec<_>>(),
    });
    if rng.u8(0..2) == 0 {
        profile["phone"] = format!("+49 {} {}", rng.u16(30..900), rng.u32(100_000..9_999_999)).into();
    }
    if rng.u8(0..100) < 5 {
        profile["bio"] = sentence(rng).into();
    }
    if rng.u8(0..100) < 20 {
        profile["middleName"] = Value::Null;
    }
    profile
}

/// A payment. Amounts are decimal strings, as in many banks' interfaces.
pub fn payment(rng: &mut Rng, _: usize) -> Value {
    json!({
        "paymentId": uuid(rng), "schemaVersion": 2, "amount": format!("{:.2}", price(rng)),
        "currency": pick(rng, &["EUR", "EUR", "USD", "CHF"]),
        "debtor": {"iban": format!("DE{:02}{:018}", rng.u8(10..99), rng.u64(1..999_999_999_999)), "name": name(rng)},
        "creditor": {"iban": format!("FR{:02}{:018}", rng.u8(10..99), rng.u64(1..999_999_999_999)), "name": "Shop SA"},
        "executedOn": format!("2026-11-{:02}", rng.u8(1..28)),
        "reference": sentence(rng), "instant": rng.u8(0..4) == 0,
    })
}

/// A change of a stock item: `{eventName, keys, newImage, oldImage}`.
pub fn stock_change(rng: &mut Rng, index: usize) -> Value {
    let id = format!("item-{:05}", 300 + index * 7 + rng.usize(0..7));
    let item = |rng: &mut Rng| {
        let mut item = json!({
            "id": id, "warehouse": pick(rng, &["north", "south", "east"]), "count": rng.u16(0..500), "price": price(rng),
            "updatedAt": time(rng), "dimensions": {"w": rng.u8(1..90), "h": rng.u8(1..90)},
            "labels": (0..rng.usize(0..3)).map(|_| pick(rng, &["new", "fragile", "heavy"])).collect::<Vec<_>>(),
        });
        if rng.u8(0..100) < 10 {
            item["discontinued"] = true.into();
        }
        item
    };
    json!({"eventName": "MODIFY", "keys": {"id": id.clone()}, "newImage": item(rng), "oldImage": item(rng)})
}

/// A change of any kind, as most tables have them.
pub fn mixed_change(rng: &mut Rng, index: usize) -> Value {
    let mut change = stock_change(rng, index);
    match rng.u8(0..10) {
        0..3 => {
            change["eventName"] = "INSERT".into();
            change.as_object_mut().unwrap().remove("oldImage");
        }
        3..5 => {
            change["eventName"] = "REMOVE".into();
            change.as_object_mut().unwrap().remove("newImage");
        }
        _ => {}
    }
    change
}

/// A chat message: free text.
pub fn chat(rng: &mut Rng, _: usize) -> Value {
    let mut message = json!({"id": uuid(rng), "room": pick(rng, &["general", "help", "random"]), "from": name(rng),
        "text": sentence(rng), "at": time(rng)});
    if rng.u8(0..10) == 0 {
        message["replyTo"] = uuid(rng).into();
    }
    message
}

/// A line of a sensor as comma-separated values.
pub fn csv_line(rng: &mut Rng, index: usize) -> Vec<u8> {
    let line = format!(
        "{},sensor-{:02},{:.2},{},{}",
        1_795_161_600 + index,
        rng.u8(1..20),
        10.0 + rng.f64() * 20.0,
        rng.u16(900..1100),
        pick(rng, &["ok", "ok", "ok", "warn"])
    );
    line.into_bytes()
}

/// Some bytes of a binary protocol.
pub fn binary(rng: &mut Rng, _: usize) -> Vec<u8> {
    let mut bytes = vec![0x0a, 0xff, 0x10, rng.u8(..), 0x80];
    bytes.extend((0..rng.usize(40..120)).map(|_| rng.u8(..)));
    bytes
}
