//! Tokens signed here with ring's own keys, and everything that must not pass.

use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
};
use serde_json::json;

use super::*;

enum Signer {
    Ec(EcdsaKeyPair, &'static str),
    Ed(Ed25519KeyPair),
}

impl Signer {
    fn ec(algorithm: &'static EcdsaSigningAlgorithm, curve: &'static str) -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self::Ec(EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap(), curve)
    }

    fn ed() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap())
    }

    fn jwk(&self, id: &str) -> Value {
        match self {
            Self::Ec(pair, curve) => {
                let (x, y) =
                    pair.public_key().as_ref()[1..].split_at(pair.public_key().as_ref().len() / 2);
                json!({"kty": "EC", "crv": curve, "kid": id, "x": base(x), "y": base(y)})
            }
            Self::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": base(pair.public_key())})
            }
        }
    }

    fn token(&self, head: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", base(head.to_string()), base(claims.to_string()));
        let signature = match self {
            Self::Ec(pair, _) => base(pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap()),
            Self::Ed(pair) => base(pair.sign(signed.as_bytes())),
        };
        format!("{signed}.{signature}")
    }
}

fn base(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

fn keys(all: &[Value]) -> Arc<KeySet> {
    Arc::new(KeySet::parse(json!({ "keys": all }).to_string().as_bytes()).unwrap())
}

fn settings() -> Jwt {
    Jwt {
        issuer: Some("https://issuer.example".into()),
        audiences: vec!["shop".into(), "admin".into()],
        keys: model::gateway::Reference::new("", "Secret", Default::default()),
        header: None,
        claims: [("role".into(), vec!["buyer".into(), "seller".into()])].into(),
        forward: [("sub".into(), "x-user".into())].into(),
        leeway_s: 30,
    }
}

fn good() -> Value {
    json!({
        "iss": "https://issuer.example", "aud": ["shop"], "sub": "ann", "role": "buyer",
        "exp": 1_000, "nbf": 500,
    })
}

fn check(rule: &JwtRule, token: &str, now_s: u64) -> Result<String, JwtFault> {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    let told = rule.judge(&HeaderMap::from_iter([(header::AUTHORIZATION, value)]), now_s)?;
    let line =
        |(name, value): &(HeaderName, HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
    Ok(told.iter().map(line).collect::<Vec<_>>().join("; "))
}

#[test]
fn every_kind_of_key_verifies_its_own_algorithm() {
    let signers = [
        ("ES256", Signer::ec(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256")),
        ("ES384", Signer::ec(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384")),
        ("EdDSA", Signer::ed()),
    ];
    let all: Vec<_> = signers.iter().map(|(name, signer)| signer.jwk(name)).collect();
    let rule = JwtRule::compile(&settings(), keys(&all)).unwrap();
    for (name, signer) in &signers {
        for head in [json!({"alg": name}), json!({"alg": name, "kid": name, "typ": "JWT"})] {
            let token = signer.token(&head, &good());
            assert_eq!(check(&rule, &token, 700).as_deref(), Ok("x-user: ann"), "{head}");
        }
        // Another key's id, another algorithm's name.
        let other = signer.token(&json!({"alg": name, "kid": "nobody"}), &good());
        assert_eq!(check(&rule, &other, 700), Err(JwtFault::Signature));
        let renamed = signer.token(&json!({"alg": "RS256"}), &good());
        assert_eq!(check(&rule, &renamed, 700), Err(JwtFault::Signature));
    }
}

/// An RSA key made for this test with `openssl genrsa`; the key itself is gone.
const MODULUS: &str = concat!(
    "nMjATOQsG2cZ91Hs9qckPY9hSRozqHl287xMerZuiBheimOFw12fre1m3ns6T196xUUhVf0TNLlZM8oSf6Pi",
    "ZvlqUIKtA6Yo-kUNzwgo1wLaNp3ENpCMC6AmVyDx56U5stE6Gx-vq-_nE-41bHJyllAJpDl3kXY_CR6F_ox9",
    "RkQdbLpdaFcb9LeUgDKWGLh2ow0FiGwt1yFrg5BX37zkblyTuE5QP2gmpHREcuBM25UL28BJrkzO6W3X7C77",
    "UrPZxRm8Eey7iqYOxm0AkDf8P1gNLunMDOfwlbN9xvzZ4FD1jCLqyhTmL7f_nxOXQ6F7jxXpRvdwU6ZAcv4O",
    "Bzn8ww",
);

/// Signatures of the test's payload with it by `openssl dgst -sign`.
const SIGNATURES: [(&str, &str); 6] = [
    (
        "RS256",
        concat!(
            "CNMmrRTlZRl2ScvsCodgfiKDAJxEEKtSwUISi3ieJIcIfTYzlaPb6eEGRH7U5zjqQ_8psC_9sDht9DXGiOYH",
            "DOi_5JnFSI_kdvcD-7UoNk7CLgw3Mssi6hSP2SePXfCzBLBBDp-m46fDEwvwhJbMRCADV2yQMgW7Jep3m-ON",
            "0O6pcyGmAoX9MjS_Od0vlKc4kMehLDswCoX55dY8vzeKE8UzTTLZs_RScHdmwZyseTZvyNMqOOrF3urJLFZo",
            "AppCLqHtq7IgBprzrAITtSmiWp4sGLWTSC5YYhw51Im_8oX9Eak6TV69TxoRX29VFG87tyRGgwXPR_lP6LnG",
            "MlaXtQ",
        ),
    ),
    (
        "RS384",
        concat!(
            "cRXoSuuj2FJPbcLG31efx-bqCcrD6P4d1wA7B32EZFtEMBJi9u0o0zKYh2WW-exS2q9IifpLtRcThOkPny-Y",
            "K6A7kQu1Xd3ZIbr6C0Mlz9i1ZOmWBhcJ0ZHP6CaVN6dC5nfu9XawbNLJIP3i7Kh13uRCJUZMRZUoMOo8oQKs",
            "ZTX9V63dozA3bSw5RTWG70r3b59_NogHtgKjUkqdhbNgMvOZvA_KrLIvnHLiyt7nbmiNprH4VPW95M6ua1tc",
            "mCf4-9GGc2sdrXYmAX5jFOIS1nvCNdcWAP6nXwZyFSGEOJFDAWtHpDOFZgp7b-WtQOB8CF6knSEObxE3TlTT",
            "moy2BA",
        ),
    ),
    (
        "RS512",
        concat!(
            "BIoEL8Plc6RBTZ-_iyb4y6Fl8WQrqc9dQappyLB0s3-WjnfDFUr_HXoGu34A6Sx2djJqWLABmG8EjxijMAyt",
            "hgNAyrS6VnvpzgIxVAWDdJwe0f09sawRflFId0UOK4jqmRQMH9eniCqsQlAm7MB_9M_K5zxQf2I4PomylKMz",
            "FWoBY72tV1oSn3F0Lp_Ywe1ydcch0avA39g8Vb0HVSvAqNr8QeOEZyhR-DgaQgqa4XneHIo3vnQDfu5iz5IY",
            "Tp5qxThhVZb6xh0sPb8jPa861hRogiCdoX0om-zeD_v8wU9fhXkOHVq1CqayYd-bjWkTgXMc5hbVs1DLtjyU",
            "vTto3A",
        ),
    ),
    (
        "PS256",
        concat!(
            "id9BwMOMDNtgM3Wg9vfDMr2vcLD-cq42D7DlZPbPndof-uVE_MJarvg41o9u2YFzSLDnpVpT5jWhKWeIKhQa",
            "JJe2KU0aVx8Sth_gPAX3JhVOtdn1FGal04MkVhgA5N00MFT_iOTj7IkAQLPGgJM0Gzl4p_tuPBF_gAZH23wU",
            "56Jd3kwjMYG29DNSPy_FianD-EIPN3jmweYHkYvZ1_I4TGYxRePVsxlvLBAPX_SP6Sj-6eptL5WYTCcQv80k",
            "uJ456TOIiBzGeQie0XW_y6ID-N3EA7BFg96HwWqrRQZcf4EXtmo8Spcx2e9hOsygvsaYpaVZmWjfsbynuDJC",
            "Za0AsA",
        ),
    ),
    (
        "PS384",
        concat!(
            "ByG7biSPVA8PCMNLsRNRRiop5PQsCLpIxVoiHhhOWn1H6H6I-3Dn-jVuYoi68x84fTekn2EuEibNt21tUZbI",
            "_1LHoJafTcXC9ogpYGfB3-wdVKlYE5AI3a1amBJoqJzFJotZa0TGWHIyHofhfnPCfvHrrdUjPFjU39mLglBZ",
            "GX78HFzXAscTMqcd3wqkXuXTqn6X0hWN2Enewf3e8hWOJNQODRemOntAGhbL52J0muqlLRoCdJsP75l_s_E4",
            "Qqs0D7_xTGXv18n8rVYeU8xEVeSbERuE0RHMes8uznyAqmNr8TtY0Kkr0lryFBookHPH8hej7Cud6KIgyzjp",
            "gwgDEA",
        ),
    ),
    (
        "PS512",
        concat!(
            "AXTAcyVieBXwk2Y0GhNflPyXZFhvUR_MuMA11EqwcRZHMRIDraqqZUukjoihvgM0dKRYpX4JyjUGC8EuR8QF",
            "K3K3h1VSwW2QGxZGrblf9Qizz_pHYIRISoZCH0olurxzbijGeXwZuD9l6iViRhJbzXhuid2hf_7kODjwwLeZ",
            "dvkOytVHQYQIT2O5mP4UMgc4GIgv1nuK5YN_bhhmsNbs8agDuLBFNtcn5s3DVcZtRDOP8JfCBwlYohGI_xkr",
            "5Pmi2FInFi1J5jnZDExV2ksITxh0TMmIwPZuFFIhk6Cgt1s_W1rGnSxg26LOZttFq-VHQyA7ZWmrjrdShtio",
            "k0wfVw",
        ),
    ),
];

#[test]
fn every_algorithm_of_rsa_verifies_what_openssl_signed() {
    let open = Jwt {
        issuer: Some("joe".into()),
        audiences: vec![],
        claims: [("admin".into(), vec!["true".into()])].into(),
        ..settings()
    };
    let key = json!({"kty": "RSA", "e": "AQAB", "n": MODULUS});
    let rule = JwtRule::compile(&open, keys(&[key])).unwrap();
    let payload = base(r#"{"iss":"joe","exp":1300819380,"admin":true}"#);
    for (algorithm, signature) in SIGNATURES {
        let token = |payload: &str| {
            let head = base(format!(r#"{{"alg":"{algorithm}"}}"#));
            format!("{head}.{payload}.{signature}")
        };
        let good = token(&payload);
        assert_eq!(check(&rule, &good, 1_300_819_380).as_deref(), Ok(""), "{algorithm}");
        assert_eq!(check(&rule, &good, 1_300_819_410), Err(JwtFault::Expired));
        let forged = token(&base(r#"{"iss":"joe","exp":1300819381,"admin":true}"#));
        assert_eq!(check(&rule, &forged, 1_300_819_380), Err(JwtFault::Signature));
    }
    // The same key for another algorithm only.
    let bound = json!({"kty": "RSA", "e": "AQAB", "n": MODULUS, "alg": "RS512"});
    let bound = JwtRule::compile(&open, keys(&[bound])).unwrap();
    let head = base(r#"{"alg":"RS256"}"#);
    let token = format!("{head}.{payload}.{}", SIGNATURES[0].1);
    assert_eq!(check(&bound, &token, 1_300_819_380), Err(JwtFault::Signature));
}

#[test]
fn what_a_token_says_is_checked_claim_by_claim() {
    let signer = Signer::ed();
    let rule = JwtRule::compile(&settings(), keys(&[signer.jwk("k")])).unwrap();
    let head = json!({"alg": "EdDSA"});
    let with = |name: &str, value: Value| {
        let mut claims = good();
        claims[name] = value;
        check(&rule, &signer.token(&head, &claims), 700)
    };
    let ok = || Ok("x-user: ann".to_owned());
    assert_eq!(with("iss", json!("https://other.example")), Err(JwtFault::Issuer));
    assert_eq!(with("iss", Value::Null), Err(JwtFault::Issuer));
    assert_eq!(with("aud", json!("admin")), ok());
    assert_eq!(with("aud", json!(["other", "admin"])), ok());
    assert_eq!(with("aud", json!("shopkeeper")), Err(JwtFault::Audience));
    assert_eq!(with("aud", json!([])), Err(JwtFault::Audience));
    assert_eq!(with("role", json!(["x", "seller"])), ok());
    assert_eq!(with("role", json!("admin")), Err(JwtFault::Claim));
    assert_eq!(with("role", Value::Null), Err(JwtFault::Claim));
    // 30 seconds of leeway on either side.
    assert_eq!(with("exp", json!(671)), ok());
    assert_eq!(with("exp", json!(670)), Err(JwtFault::Expired));
    assert_eq!(with("exp", json!("never")), Err(JwtFault::Malformed));
    assert_eq!(with("nbf", json!(730)), ok());
    assert_eq!(with("nbf", json!(731)), Err(JwtFault::Early));
    // A claim that cannot be a header is not passed on; one that is absent neither.
    assert_eq!(with("sub", json!("a\nb")).as_deref(), Ok(""));
    assert_eq!(with("sub", json!(7)).as_deref(), Ok("x-user: 7"));
}

#[test]
fn none_hmac_and_extensions_are_refused() {
    let signer = Signer::ec(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256");
    let rule = JwtRule::compile(&settings(), keys(&[signer.jwk("k")])).unwrap();
    for head in [
        json!({"alg": "none"}),
        json!({"alg": "None"}),
        json!({"alg": "HS256"}),
        json!({"alg": "es256"}),
        json!({"alg": "ES512"}),
        json!({"alg": "ES256", "crit": ["b64"]}),
    ] {
        assert_eq!(check(&rule, &signer.token(&head, &good()), 700), Err(JwtFault::Algorithm));
    }
    let token = signer.token(&json!({"alg": "none"}), &good());
    let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
    assert_eq!(check(&rule, &unsigned, 700), Err(JwtFault::Algorithm));
    let token = signer.token(&json!({"alg": "ES256"}), &good());
    let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
    assert_eq!(check(&rule, &unsigned, 700), Err(JwtFault::Signature));
}

#[test]
fn a_request_has_one_credential_of_the_right_scheme() {
    let signer = Signer::ed();
    let rule = JwtRule::compile(&settings(), keys(&[signer.jwk("k")])).unwrap();
    let token = signer.token(&json!({"alg": "EdDSA"}), &good());
    let judge = |lines: &[&str]| {
        let pair = |line: &&str| (header::AUTHORIZATION, HeaderValue::from_str(line).unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in lines.iter().map(pair) {
            headers.append(name, value);
        }
        rule.judge(&headers, 700).map(|told| told.len())
    };
    assert_eq!(judge(&[]), Err(JwtFault::Missing));
    assert_eq!(judge(&["Basic YTpi"]), Err(JwtFault::Missing));
    assert_eq!(judge(&[&token]), Err(JwtFault::Missing));
    assert_eq!(judge(&[&format!("bEaReR  {token}")]), Ok(1));
    assert_eq!(judge(&[&format!("Bearer {token}"), "Bearer x"]), Err(JwtFault::Malformed));
    assert_eq!(JwtFault::Missing.challenge(), "Bearer");
}

#[test]
fn sets_without_a_usable_key_are_refused() {
    let parse = |text: &str| KeySet::parse(text.as_bytes()).map(|_| ()).unwrap_err().to_string();
    assert_eq!(parse("{}"), "not a JSON Web Key Set");
    for keys in [
        json!([]),
        json!([{"kty": "oct", "k": "c2VjcmV0"}]),
        json!([{"kty": "RSA", "n": "!", "e": "AQAB"}]),
        json!([{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]),
        json!([{"kty": "OKP", "crv": "Ed25519", "use": "enc", "x": "AA"}]),
    ] {
        let text = json!({ "keys": keys }).to_string();
        assert_eq!(parse(&text), "no key that can verify a signature", "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn nothing_breaks_the_verifier(token in "[A-Za-z0-9_.=-]{0,200}", octets: Vec<u8>) {
        let rule = JwtRule::compile(&settings(), keys(&[Signer::ed().jwk("k")])).unwrap();
        prop_assert!(check(&rule, &token, 700).is_err());
        let _ = KeySet::parse(&octets);
    }
}
