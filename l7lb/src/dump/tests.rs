//! A dump of a small world, whole, and that keys never appear in it.

use model::gateway::{
    GatewayObjects, HostPattern, Ingress, IngressBackend, IngressPath, IngressTls, Meta, PathMatch,
    PortRef, Secret, Service, ServicePort,
};
use model::name::ObjectRef;
use serde_json::json;

use super::*;

fn meta(name: &str) -> Meta {
    let object = ObjectRef::new("ns", name);
    Meta { object, site: None, created_s: 0, generation: 3, origin: "t.yaml:1".into() }
}

fn world(certificate: &str, key: &str) -> GatewayObjects {
    let mut objects = GatewayObjects::default();
    let ports = vec![ServicePort { port: 80, ..ServicePort::default() }];
    objects.services.insert(Service { meta: meta("app"), ports, ..Service::default() });
    let secret = Secret::tls(meta("cert"), certificate.as_bytes(), key.as_bytes());
    objects.secrets.insert(secret);
    let host = HostPattern::Exact("a.example".into());
    let path = |name: &str, path: &str| IngressPath {
        host: Some(host.clone()),
        path: PathMatch::Prefix(path.into()),
        backend: IngressBackend { service: ObjectRef::new("ns", name), port: PortRef::Number(80) },
    };
    objects.ingresses.insert(Ingress {
        meta: meta("i"),
        tls: vec![IngressTls { hosts: vec![host.clone()], secret: ObjectRef::new("ns", "cert") }],
        paths: vec![path("app", "/"), path("nobody", "/none")],
        ..Ingress::default()
    });
    objects
}

#[tokio::test]
async fn a_dump_names_everything_and_no_key() {
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let site = model::name::SiteName::new("here").unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    let config = crate::Config { http: vec![any], https: vec![any], ..crate::Config::new(site) };
    let gateway = crate::Gateway::start(config, &world(&certificate, &key)).unwrap();
    let insight = gateway.insight();
    let dump = serde_json::to_value(insight.dump()).unwrap();

    let (http, https) = (gateway.http_addresses()[0], gateway.https_addresses()[0]);
    assert_eq!(
        dump["sockets"],
        json!([
            {"place": "shared http", "address": http.to_string(), "error": null},
            {"place": "shared https", "address": https.to_string(), "error": null},
        ])
    );
    let table = json!([
        {"host": "a.example", "path": "/", "rule": "ingress/ns/i#0"},
        {"host": "a.example", "path": "/none", "rule": "ingress/ns/i#1"},
    ]);
    assert_eq!(
        dump["places"],
        json!([
            {"place": "shared http", "server_names": [], "table": table, "stream": null},
            {
                "place": "shared https",
                "server_names": [
                    {"name": "a.example", "action": "http", "listener": dump["places"][1]["server_names"][0]["listener"]},
                ],
                "table": table,
                "stream": null,
            },
        ])
    );
    assert_eq!(
        dump["rules_by_id"],
        json!([
            {"id": "ingress/ns/i#0", "action": "forward", "backends": ["ns/app:80*1"]},
            {"id": "ingress/ns/i#1", "action": "forward", "backends": ["(none)*1"]},
        ])
    );
    assert_eq!(dump["clusters"][0]["state"], json!("no endpoints"));
    let end_s = dump["certificates_by_secret"][0]["not_after_s"].as_i64().unwrap();
    assert_eq!(
        dump["certificates_by_secret"],
        json!([{"secret": "ns/cert", "names": "a.example", "not_after_s": end_s}])
    );
    let left_out = "no Service `ns/nobody` with port `80` (requests for it fail)";
    assert_eq!(dump["left_out"], json!([{"origin": "t.yaml:1", "text": left_out}]));
    assert_eq!((&dump["rules"], &dump["backends"]), (&json!(2), &json!(1)));
    let told = serde_json::from_value::<GatewayDump>(dump.clone()).unwrap();
    assert_eq!(serde_json::to_value(told).unwrap(), dump, "it can be read back");
    let text = dump.to_string();
    let secret = key.lines().nth(1).unwrap();
    assert!(!text.contains(secret) && !text.contains("PRIVATE"), "{text}");

    let metrics = crate::metrics_text(std::slice::from_ref(&insight));
    for line in [
        format!("nearside_certificate_not_after_seconds{{site=\"here\",name=\"ns/cert\"}} {end_s}"),
        "nearside_gateway_left_out{site=\"here\"} 1".to_owned(),
        "nearside_gateway_sockets{site=\"here\",state=\"open\"} 2".to_owned(),
        "nearside_gateway_endpoints{site=\"here\",state=\"healthy\"} 0".to_owned(),
    ] {
        assert!(metrics.lines().any(|one| one == line), "`{line}` is not in {metrics}");
    }

    gateway.shutdown(std::time::Duration::from_secs(1)).await;
    assert!(insight.summary().sockets_failed.is_empty(), "it may be asked after the end");
}
