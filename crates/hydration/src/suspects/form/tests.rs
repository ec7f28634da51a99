use super::*;

#[test]
fn kinds_are_known_by_their_form() {
    for (text, kind) in [
        ("", TextKind::Empty),
        ("  ", TextKind::Empty),
        ("-17", TextKind::Integer),
        ("12.50", TextKind::Decimal),
        ("12,50", TextKind::Other),
        ("NaN", TextKind::Nothing),
        ("1e5", TextKind::Other),
        ("8f7d2c1a-53b4-4f0e-9a57-0c7d1f6be001", TextKind::Uuid),
        ("2026-11-21", TextKind::Date),
        ("2026-11-21T08:00:00.123+01:00", TextKind::Date),
        ("2026-02-30", TextKind::ImpossibleDate),
        ("2026-13-01T00:00:00Z", TextKind::ImpossibleDate),
        ("2026-01-01T25:00:00Z", TextKind::ImpossibleDate),
        ("21/11/2026", TextKind::Other),
        ("a.b@mail.example", TextKind::Email),
        ("a@b", TextKind::Other),
        ("https://shop.example/", TextKind::Url),
        ("10.0.3.17", TextKind::Ip),
        ("{\"a\":1}", TextKind::Json),
        ("ééééé-ééé", TextKind::Other),
    ] {
        assert_eq!(TextForm::of(text).kind, kind, "{text}");
    }
}

#[test]
fn masks_keep_the_form_and_not_the_text() {
    let same_coarse = |a: &str, b: &str| TextForm::of(a).coarse_mask == TextForm::of(b).coarse_mask;
    let same_fine = |a: &str, b: &str| TextForm::of(a).fine_mask == TextForm::of(b).fine_mask;
    assert!(same_coarse("ORD-12", "SKU-4711") && !same_coarse("ORD-12", "ORD_12") && !same_coarse("PAID", "Paid"));
    assert!(same_fine("ORD-12", "SKU-47") && !same_fine("ORD-12", "ORD-123"));
    // Punctuation counts each time: a number with two commas is another form than one with one.
    assert!(!same_coarse("1,2", "1,,2"));
}

#[test]
fn damaged_characters_are_seen() {
    for text in ["a\u{0}b", "M\u{FFFD}ller", "MÃ¼ller", "\u{85}"] {
        assert!(is_damaged(text), "{text:?}");
    }
    for text in ["Müller", "a\tb\nc", "李 😀", "SÃO"] {
        assert!(!is_damaged(text), "{text:?}");
    }
}
