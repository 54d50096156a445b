use super::*;

fn check(text: &str, expected: Option<&str>) {
    assert_eq!(parse_isp(text).as_ref().map(Isp::as_str), expected, "{text}");
}

#[test]
fn spellings_of_a_group_are_the_group() {
    for text in ["cn-ct", "CN-CT", "ct", "电信", "中国电信"] {
        check(text, Some("cn-ct"));
    }
    check("联通", Some("cn-cu"));
    check("CM", Some("cn-cm"));
    check("教育网", Some("cn-edu"));
    check("us-comcast", Some("us-comcast"));
}

#[test]
fn an_asn_is_written_one_way() {
    check("AS4134", Some("as4134"));
    check("as04134", Some("as4134"));
    check("as4294967295", Some("as4294967295"));
    check("as4294967296", None);
    check("as", None);
}

#[test]
fn other_words_are_refused() {
    for text in ["", "telecom", "chn-ct", "cn-", "cn-电信", "cn-a-name-that-is-too-long", "-ct"] {
        check(text, None);
    }
}
