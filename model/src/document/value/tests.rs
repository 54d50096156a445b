use super::*;

#[test]
fn durations_follow_gep_2257() {
    let check = |text: &str, expected: Option<u32>| {
        assert_eq!(parse_duration_ms(text), expected, "{text}");
    };
    check("10s", Some(10_000));
    check("500ms", Some(500));
    check("1h", Some(3_600_000));
    check("1h30m", Some(5_400_000));
    check("0s", Some(0));
    for bad in ["", "10", "s", "1d", "1.5s", "-1s", "123456s", "1h1m1s1ms1s", "10 s", "99999h"] {
        check(bad, None);
    }
}

#[test]
fn timestamps_follow_rfc_3339() {
    let check = |text: &str, expected: Option<i64>| {
        assert_eq!(parse_timestamp_s(text), expected, "{text}");
    };
    check("1970-01-01T00:00:00Z", Some(0));
    check("2000-02-29T12:00:00Z", Some(951_825_600));
    check("2024-12-31T23:59:59+08:00", Some(1_735_660_799));
    check("2024-12-31T23:59:59.123456Z", Some(1_735_689_599));
    check("1969-12-31T23:59:59Z", Some(-1));
    for bad in [
        "",
        "2024-12-31",
        "2024-13-01T00:00:00Z",
        "2024-12-31T23:59:59",
        "x".repeat(30).as_str(),
        "2024-12-31T23:59:59.Z",
        "2024-12-31T23:59:59+0800",
        "日本語日本語日本語日本語",
    ] {
        check(bad, None);
    }
}

#[test]
fn decimals_are_scaled_and_never_rounded() {
    let check = |text: &str, decimals: u32, expected: Option<i64>| {
        assert_eq!(parse_scaled(text, decimals), expected, "{text}");
    };
    check("15", 3, Some(15_000));
    check("0.5", 2, Some(50));
    check("-1.250", 2, Some(-125));
    check(".5", 1, Some(5));
    check("0.001", 2, None);
    check("1e3", 3, None);
    check("99999999999999999999", 3, None);
    check("9223372036854775807", 3, None);
}

#[test]
fn times_of_day_are_two_digits_each() {
    let check =
        |text: &str, expected: Option<u16>| assert_eq!(parse_minute(text), expected, "{text}");
    check("00:00", Some(0));
    check("08:30", Some(510));
    check("24:00", Some(1440));
    for bad in ["", "8:00", "24:01", "12:60", "12.30", "+1:00"] {
        check(bad, None);
    }
}

#[test]
fn hostnames_are_rfc_1123() {
    for fine in ["a", "hello.example", "xn--fiqs8s.example", "1.example"] {
        assert_eq!(not_a_hostname(fine), None, "{fine}");
    }
    for bad in
        ["", "a..b", "-a", "a-", "a_b", "a.b.", "例.example", &"a".repeat(64), &"a.".repeat(127)]
    {
        assert!(not_a_hostname(bad).is_some(), "{bad}");
    }
}
