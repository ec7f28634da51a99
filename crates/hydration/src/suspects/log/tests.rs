use super::*;

fn log(text: &str) -> InvocationLog {
    InvocationLog::parse(&[text.to_owned()], &["r-1".to_owned(), "100".to_owned(), "200".to_owned()])
}

fn literals(text: &str) -> Vec<String> {
    log(text).literals.into_iter().map(|literal| literal.text).collect()
}

#[test]
fn a_cause_outside_the_records_is_known() {
    for text in [
        "2026-11-20T11:58:03.120Z 8f7d2c1a-53b4-4f0e-9a57-0c7d1f6be001 Task timed out after 30.03 seconds",
        "ERROR connect ECONNREFUSED 10.0.0.1:5432",
        "REPORT RequestId: r-9\tDuration: 3000.00 ms\tStatus: timeout",
        r#"{"time":"2026-11-20T11:58:03Z","type":"platform.report","record":{"requestId":"r-9","status":"timeout"}}"#,
        r#"{"level":"ERROR","message":"Rate exceeded"}"#,
        "START RequestId: a\nERROR Rate exceeded\nSTART RequestId: b\nTask timed out after 3.00 seconds",
    ] {
        assert!(log(text).names_outside_cause(), "{text}");
    }
    for text in [
        "[ERROR] KeyError: 'total'",
        // The text is a record's.
        "ERROR invalid note: 'the connection timed out'",
        // The call was repeated.
        "INFO throttled, trying again\nERROR KeyError: 'total'",
        "WARN Rate exceeded, trying again\nERROR KeyError: 'total'",
        // One of two retries failed for the record's sake.
        "START RequestId: a\nTask timed out after 3.00 seconds\nSTART RequestId: b\nERROR KeyError: 'total'",
        "",
    ] {
        assert!(!log(text).names_outside_cause(), "{text}");
    }
}

#[test]
fn what_the_runtime_writes_is_no_literal() {
    let text = "START RequestId: 8f7d2c1a-53b4-4f0e-9a57-0c7d1f6be001 Version: 7\n\
                2026-11-20T11:58:03.120Z\t8f7d2c1a-53b4-4f0e-9a57-0c7d1f6be001\tERROR\tbad total '12,50'\n    \
                at handler (/var/task/index.mjs:42:17)\n\
                REPORT RequestId: 8f7d2c1a-53b4-4f0e-9a57-0c7d1f6be001\tMemory Size: 128 MB\tMax Memory Used: 74 MB";
    let found = literals(text);
    assert!(found.contains(&"12,50".to_owned()), "{found:?}");
    for text in ["8f7d2c1a-53b4-4f0e-9a57-0c7d1f6be001", "128", "74", "42", "17"] {
        assert!(!found.contains(&text.to_owned()), "{text} in {found:?}");
    }
}

#[test]
fn the_ends_of_the_range_are_literals_where_a_line_has_one_of_them() {
    assert!(!literals("ERROR batch 100 to 200 failed").contains(&"100".to_owned()));
    assert!(literals("ERROR record 100 failed").contains(&"100".to_owned()));
    assert!(!literals("ERROR request r-1 failed").contains(&"r-1".to_owned()));
}

#[test]
fn apostrophes_are_no_quotation_marks() {
    let found = literals("ERROR can't read customer's 'O'Brien & Sons' or “a b”");
    for text in ["O'Brien & Sons", "a b"] {
        assert!(found.contains(&text.to_owned()), "{text} not in {found:?}");
    }
    assert!(!found.iter().any(|text| text.starts_with("t read")), "{found:?}");
}

#[test]
fn keys_are_named_in_quotes_in_paths_and_in_words_that_are_no_prose() {
    let log = log("[ERROR] ValidationError: /items/0/unit_price must be a number, 'total' too, customerId missing");
    for key in ["unitPrice", "Total", "customer_id"] {
        assert!(log.names_key(key), "{key}");
    }
    assert!(!log.names_key("number") && !log.names_key("quantity"));
}
