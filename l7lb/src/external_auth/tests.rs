use model::gateway::BackendTarget;
use model::name::ObjectRef;

use super::*;

fn rule(fail: FailMode) -> AuthRule {
    let auth = ExternalAuth {
        backend: BackendTarget::service(ObjectRef::new("ns", "auth"), 80),
        path_prefix: "/check/".into(),
        request_headers: vec!["x-tenant".into()],
        response_headers: vec!["x-user".into()],
        timeout_ms: 500,
        fail,
    };
    let around = Surroundings {
        target: &|_| Target::Cluster(2),
        material: &|_, _| None,
        kept: &crate::kept::Kept::default(),
        notes: &mut Vec::new(),
    };
    AuthRule::compile(&auth, &around).unwrap()
}

fn answer(status: u16, headers: &[(&'static str, &'static str)]) -> Option<Answer> {
    let mut head = ResponseHeader::build(status, None).unwrap();
    for (name, value) in headers {
        head.append_header(*name, *value).unwrap();
    }
    Some(Answer { head, body: Bytes::from_static(b"why") })
}

/// The verdict in words.
fn check(rule: &AuthRule, answer: Option<Answer>) -> String {
    let lines = |headers: &mut dyn Iterator<Item = (&HeaderName, &HeaderValue)>| {
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            format!(" {name}={}", value.to_str().unwrap())
        };
        headers.map(line).collect::<String>()
    };
    match rule.judge(answer) {
        Verdict::Pass(told) => format!("pass{}", lines(&mut told.iter().map(|(n, v)| (n, v)))),
        Verdict::Refuse(head, body) => {
            let body = String::from_utf8_lossy(&body).into_owned();
            format!("{} {body}{}", head.status.as_u16(), lines(&mut head.headers.iter()))
        }
        Verdict::Unanswered => "unanswered".to_owned(),
    }
}

#[test]
fn two_hundreds_pass_with_the_headers_they_may_write() {
    let closed = rule(FailMode::Closed);
    let told = [("x-user", "ann"), ("x-admin", "yes")];
    assert_eq!(check(&closed, answer(200, &told)), "pass x-user=ann");
    assert_eq!(check(&closed, answer(204, &[])), "pass");
}

#[test]
fn everything_else_is_the_clients_answer() {
    let open = rule(FailMode::Open);
    let headers = [("location", "/login"), ("content-length", "3"), ("connection", "close")];
    assert_eq!(check(&open, answer(302, &headers)), "302 why location=/login");
    let challenge = [("www-authenticate", "Bearer"), ("transfer-encoding", "chunked")];
    assert_eq!(check(&open, answer(401, &challenge)), "401 why www-authenticate=Bearer");
    assert_eq!(check(&open, answer(103, &[])), "403 ");
}

#[test]
fn no_answer_means_what_the_rule_says() {
    for none in [|| None, || answer(500, &[]), || answer(503, &[("x-user", "ann")])] {
        assert_eq!(check(&rule(FailMode::Closed), none()), "unanswered");
        assert_eq!(check(&rule(FailMode::Open), none()), "pass");
    }
}

#[test]
fn the_question_carries_what_it_may_and_no_more() {
    let mut request = RequestHeader::build("POST", b"/a%20b?q=1", None).unwrap();
    for (name, value) in [
        ("authorization", "Bearer x"),
        ("cookie", "a=1"),
        ("x-tenant", "t"),
        ("x-secret", "s"),
        ("content-length", "5"),
    ] {
        request.insert_header(name, value).unwrap();
    }
    let facts = [("x-forwarded-proto", "https")];
    let question = rule(FailMode::Closed).question(&request, "a.example", &facts).unwrap();
    assert_eq!(question.method, "POST");
    assert_eq!(question.raw_path(), b"/check/a%20b?q=1");
    let mut names: Vec<_> = question.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["authorization", "cookie", "host", "x-forwarded-proto", "x-tenant"]);
}
