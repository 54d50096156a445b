//! The cases of HTTPRouteCORS in the conformance suite, and what lies around them.

use super::*;

fn list(tokens: &[&str]) -> Vec<Arc<str>> {
    tokens.iter().map(|token| (*token).into()).collect()
}

fn asking(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

/// The answer's headers, one a line.
fn lines(fill: impl FnOnce(&mut ResponseHeader) -> Result<()>) -> String {
    let mut response = ResponseHeader::build(200, None).unwrap();
    fill(&mut response).unwrap();
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        format!("{name}: {}\n", value.to_str().unwrap())
    };
    let mut lines: Vec<String> = response.headers.iter().map(line).collect();
    lines.sort();
    lines.concat()
}

fn several() -> CorsRule {
    CorsRule::compile(&Cors {
        allow_origins: list(&["https://www.foo.com", "https://*.bar.com"]),
        allow_credentials: true,
        allow_methods: list(&["GET", "OPTIONS"]),
        allow_headers: list(&["x-header-1", "x-header-2"]),
        expose_headers: list(&["x-header-3", "x-header-4"]),
        max_age_s: Some(3600),
    })
}

fn anything() -> CorsRule {
    CorsRule::compile(&Cors {
        allow_origins: list(&["*"]),
        allow_methods: list(&["*"]),
        allow_headers: list(&["*"]),
        ..Cors::default()
    })
}

#[test]
fn a_preflight_is_answered_with_all_that_is_allowed() {
    for origin in ["https://www.foo.com", "https://www.bar.com", "https://xpto.www.bar.com"] {
        let asked = asking(&[
            ("origin", origin),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "x-header-1, x-header-2"),
        ]);
        assert!(CorsRule::is_preflight(&Method::OPTIONS, &asked));
        assert_eq!(
            lines(|response| several().answer(&asked, response)),
            format!(
                "access-control-allow-credentials: true\n\
                 access-control-allow-headers: x-header-1, x-header-2\n\
                 access-control-allow-methods: GET, OPTIONS\n\
                 access-control-allow-origin: {origin}\n\
                 access-control-expose-headers: x-header-3, x-header-4\n\
                 access-control-max-age: 3600\n\
                 vary: origin\n"
            )
        );
    }
}

#[test]
fn wildcards_allow_what_is_asked_for() {
    let asked = asking(&[
        ("origin", "https://foobar.com:12345"),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "x-header-1, x-header-2"),
    ]);
    assert_eq!(
        lines(|response| anything().answer(&asked, response)),
        "access-control-allow-headers: x-header-1, x-header-2\n\
         access-control-allow-methods: PUT\n\
         access-control-allow-origin: https://foobar.com:12345\n\
         access-control-max-age: 5\n\
         vary: origin\n"
    );
}

#[test]
fn an_origin_that_is_not_allowed_learns_nothing() {
    let wrong = [
        "https://foobar.com",
        "http://www.foo.com",
        "https://www.foo.com:8443",
        "https://www.foo.com.evil.example",
        "https://bar.com",
        "https://.bar.com",
        "https://evil.example/.bar.com",
        "https://evil@x.bar.com",
        "null",
        "",
    ];
    for origin in wrong {
        let asked = asking(&[("origin", origin), ("access-control-request-method", "GET")]);
        assert_eq!(lines(|response| several().answer(&asked, response)), "", "{origin}");
        assert_eq!(several().admit(&asked), None, "{origin}");
    }
}

#[test]
fn other_answers_name_the_origin_in_place_of_the_backend() {
    let backend = |response: &mut ResponseHeader| {
        response.insert_header(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")?;
        response.insert_header(header::VARY, "accept")
    };
    let asked = asking(&[("origin", "https://www.foo.com")]);
    let told = lines(|response| {
        backend(response)?;
        several().apply(several().admit(&asked), response)
    });
    assert_eq!(
        told,
        "access-control-allow-credentials: true\n\
         access-control-allow-origin: https://www.foo.com\n\
         access-control-expose-headers: x-header-3, x-header-4\n\
         vary: accept\n\
         vary: origin\n"
    );
    let untold = lines(|response| {
        backend(response)?;
        several().apply(None, response)
    });
    assert_eq!(untold, "vary: accept\nvary: origin\n");
}

#[test]
fn only_options_with_both_headers_is_a_preflight() {
    let origin = ("origin", "https://a");
    let method = ("access-control-request-method", "GET");
    assert!(!CorsRule::is_preflight(&Method::OPTIONS, &asking(&[origin])));
    assert!(!CorsRule::is_preflight(&Method::OPTIONS, &asking(&[method])));
    assert!(!CorsRule::is_preflight(&Method::GET, &asking(&[origin, method])));
}
