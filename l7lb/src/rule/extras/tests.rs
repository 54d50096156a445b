use std::collections::BTreeMap;

use model::gateway::settings::{ExternalAuth, FailMode, Jwt};
use model::gateway::{BackendTarget, Reference};
use model::name::ObjectRef;

use super::*;
use crate::kept::Kept;
use crate::rule::Target;

/// What becomes of settings: whether the rule is broken, and the notes.
fn check(settings: &HttpSettings, material: &[(&str, &'static [u8])]) -> (bool, Vec<String>) {
    let material: BTreeMap<&str, &'static [u8]> = material.iter().copied().collect();
    let mut notes = Vec::new();
    let mut around = Surroundings {
        target: &|_| Target::Broken,
        material: &|reference, key| {
            material.get(format!("{}/{key}", reference.object.name).as_str()).copied()
        },
        kept: &Kept::default(),
        notes: &mut notes,
    };
    let id = "httproute/ns/r#0".into();
    let extras = Extras::compile(&[], (None, settings), (&id, false), &mut around);
    (extras.is_some_and(|extras| extras.is_broken), notes)
}

fn secret(name: &str) -> Reference {
    Reference::new("", "Secret", ObjectRef::new("ns", name))
}

fn jwt() -> HttpSettings {
    let jwt = Jwt {
        issuer: None,
        audiences: vec![],
        keys: secret("keys"),
        header: None,
        claims: BTreeMap::new(),
        forward: BTreeMap::new(),
        leeway_s: 30,
    };
    HttpSettings { jwt: Some(jwt), ..HttpSettings::default() }
}

#[test]
fn a_protection_that_cannot_be_set_up_refuses_everybody() {
    let basic = HttpSettings { basic_auth: Some(secret("users")), ..HttpSettings::default() };
    let asked = HttpSettings {
        external_auth: Some(ExternalAuth {
            backend: BackendTarget::service(ObjectRef::new("ns", "gone"), 80),
            path_prefix: "/".into(),
            request_headers: vec![],
            response_headers: vec![],
            timeout_ms: 1_000,
            fail: FailMode::Open,
        }),
        ..HttpSettings::default()
    };
    type Material<'a> = &'a [(&'a str, &'static [u8])];
    let cases: [(&HttpSettings, Material<'_>, &str); 5] = [
        (&jwt(), &[], "no `jwks` in `ns/keys` (every request is refused)"),
        (
            &jwt(),
            &[("keys/jwks", b"{}")],
            "`ns/keys`: not a JSON Web Key Set (every request is refused)",
        ),
        (&basic, &[], "no `auth` in `ns/users` (every request is refused)"),
        (
            &basic,
            &[("users/auth", b"ann:plain")],
            "`ns/users`: line 1 of the htpasswd file has no bcrypt, `$apr1$` or `{SHA}` hash (every request is refused)",
        ),
        (&asked, &[], "`externalAuth` cannot ask `ns/gone` (every request is refused)"),
    ];
    for (settings, material, note) in cases {
        assert_eq!(check(settings, material), (true, vec![note.to_owned()]));
    }
    let users = [("users/auth", &b"cid:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="[..])];
    assert_eq!(check(&basic, &users), (false, vec![]));
}

#[test]
fn a_rule_that_asks_for_nothing_carries_nothing() {
    let mut notes = Vec::new();
    let mut around = Surroundings {
        target: &|_| Target::Broken,
        material: &|_, _| None,
        kept: &Kept::default(),
        notes: &mut notes,
    };
    let settings = HttpSettings::default();
    let id = "r".into();
    assert!(Extras::compile(&[], (None, &settings), (&id, false), &mut around).is_none());
    assert!(Extras::compile(&[], (None, &settings), (&id, true), &mut around).is_some());
}
