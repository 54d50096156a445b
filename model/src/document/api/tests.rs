use serde_json::json;

use super::*;
use crate::gateway::{GatewayObjects, ListenerProtocol, Transport};

#[track_caller]
fn check(json: &Json) -> GatewayObject {
    gateway_object(json).unwrap_or_else(|refused| panic!("{refused}")).object
}

fn route(rule: &Json) -> Json {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {
            "name": "r", "namespace": "shop", "generation": 7, "uid": "1",
            "creationTimestamp": "2026-01-31T08:00:00Z", "managedFields": [{"manager": "x"}],
            "annotations": {"a": "b"},
        },
        "spec": {"parentRefs": [{"name": "edge"}], "rules": [rule], "newField": {"x": 1}},
        "status": {"parents": []},
    })
}

#[test]
fn an_object_of_the_api_may_have_fields_of_a_newer_schema() {
    let read = check(&route(&json!({"backendRefs": [{"name": "a", "port": 80}], "other": 1})));
    let GatewayObject::HttpRoute(route) = read else { panic!() };
    assert_eq!(route.meta.object, ObjectRef::new("shop", "r"));
    assert_eq!((route.meta.generation, route.meta.created_s), (7, 1_769_846_400));
    assert_eq!(&*route.meta.origin, "HTTPRoute shop/r");
    assert_eq!(route.rules[0].backends[0].target.object, ObjectRef::new("shop", "a"));
}

#[test]
fn a_fault_has_the_path_of_its_value() {
    let refused = gateway_object(&route(&json!({
        "matches": [{"path": {"value": "/"}}, {"method": "get"}],
        "filters": [{"type": "URLRewrite"}],
    })));
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind, Some(ObjectKind::HttpRoute));
    assert_eq!((refused.object.to_string(), refused.generation), ("shop/r".into(), 7));
    assert_eq!(
        refused.faults,
        [
            "`spec.rules[0].matches[1].method`: unknown value `get` (did you mean `GET`?)",
            "`spec.rules[0].filters[0]`: a filter has no `urlRewrite` (add `urlRewrite: ...`)",
        ]
    );
}

#[test]
fn a_kind_that_is_not_read_is_refused() {
    let refused = gateway_object(&json!({"apiVersion": "v1", "kind": "Pod"})).unwrap_err();
    assert_eq!(refused.to_string(), "`Pod` of `v1` is not read");
    assert_eq!(refused.kind, None);
    for odd in [json!(null), json!([]), json!({"kind": 1}), json!("x")] {
        assert!(gateway_object(&odd).is_err());
    }
}

#[test]
fn nesting_has_a_limit() {
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let refused = gateway_object(&route(&deep)).unwrap_err();
    assert_eq!(refused.faults, ["this is nested deeper than 64 levels"]);
}

#[test]
fn a_secret_of_the_api_is_taken_as_it_is_and_never_shown() {
    let secret = |data: Json| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": "s", "namespace": "n"}, "data": data,
        })
    };
    let GatewayObject::Secret(read) = check(&secret(json!({"tls.crt": "aGVsbG8="}))) else {
        panic!()
    };
    assert_eq!(read.data.get("tls.crt").map(|octets| &**octets), Some(&b"hello"[..]));
    assert_eq!(read.certificate_and_key(), None);
    let value = "c2VjcmV0-but-not-base64-at-all-and-long";
    let refused = gateway_object(&secret(json!({"tls.key": value}))).unwrap_err();
    assert!(!refused.to_string().contains("c2VjcmV0"), "{refused}");
}

#[test]
fn kinds_without_a_namespace_have_none() {
    let class = check(&json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
        "metadata": {"name": "edge"},
        "spec": {"controllerName": "nearside.dev/gateway-controller", "description": "x"},
    }));
    assert_eq!(class.meta().object, ObjectRef::new("", "edge"));
    let namespace = check(&json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": {"a": "b"}},
        "spec": {"finalizers": ["kubernetes"]},
    }));
    let GatewayObject::Namespace(namespace) = namespace else { panic!() };
    let labels: Vec<String> = namespace.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(labels, ["a=b", "kubernetes.io/metadata.name=n"]);
}

#[test]
fn what_the_schema_allows_is_kept_for_the_status_to_judge() {
    let gateway = check(&json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": "g", "namespace": "n"},
        "spec": {"gatewayClassName": "edge", "addresses": [{"type": "Odd", "value": "x"}, {}],
            "listeners": [
                {"name": "a", "port": 1, "protocol": "SCTP"},
                {"name": "b", "port": 2, "protocol": "HTTPS",
                 "tls": {"certificateRefs": [{"group": "odd.example", "kind": "Cert", "name": "c"}]},
                 "allowedRoutes": {"kinds": [{"kind": "OddRoute"}]}},
            ]},
    }));
    let GatewayObject::Gateway(gateway) = gateway else { panic!() };
    assert_eq!(gateway.listeners[0].protocol, ListenerProtocol::Other("SCTP".into()));
    let tls = gateway.listeners[1].tls.as_ref().unwrap();
    assert!(tls.certificates[0].is("odd.example", "Cert"));
    assert_eq!(
        gateway.listeners[1].kinds,
        [("gateway.networking.k8s.io".into(), "OddRoute".into())]
    );
    assert_eq!(gateway.addresses, [("Odd".into(), Some("x".into())), ("IPAddress".into(), None)]);
}

#[test]
fn a_port_of_both_transports_is_two_ports() {
    let service = check(&json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "dns", "namespace": "n", "annotations": {
            "topologyKeys": "[\"kubernetes.io/hostname\", \"*\"]"}},
        "spec": {"trafficDistribution": "PreferClose", "internalTrafficPolicy": "Local", "ports": [
            {"name": "udp", "port": 53, "protocol": "UDP", "targetPort": 5353, "nodePort": 30053},
            {"name": "tcp", "port": 53}, {"name": "sctp", "port": 54, "protocol": "SCTP"}]},
    }));
    let GatewayObject::Service(service) = service else { panic!() };
    let ports: Vec<_> = service.ports.iter().map(|one| (one.port, one.transport)).collect();
    assert_eq!(ports, [(53, Transport::Udp), (53, Transport::Tcp)]);
    assert_eq!(service.topology_keys, ["kubernetes.io/hostname".into(), "*".into()]);
    assert!(service.is_local);
    assert_eq!(service.distribution.as_deref(), Some("PreferClose"));
}

#[test]
fn a_live_set_is_kept_by_put_and_remove() {
    let mut objects = GatewayObjects::default();
    let one = route(&json!({"name": "first"}));
    objects.put(check(&one));
    objects.put(check(&route(&json!({"name": "second"}))));
    assert_eq!(objects.http_routes.len(), 1);
    assert_eq!(objects.http_routes[0].rules[0].name.as_deref(), Some("second"));
    assert!(objects.remove(ObjectKind::HttpRoute, &ObjectRef::new("shop", "r")));
    assert_eq!(objects, GatewayObjects::default());
}
