use super::*;

fn service(namespace: &str, name: &str, created_s: i64) -> Service {
    let object = ObjectRef::new(namespace, name);
    Service { meta: Meta { object, created_s, ..Meta::default() }, ..Service::default() }
}

#[test]
fn kinds_are_recognized_in_every_version_that_is_read() {
    for kind in ObjectKind::ALL {
        for version in kind.versions() {
            let api_version = match kind.group() {
                "" => (*version).to_owned(),
                group => format!("{group}/{version}"),
            };
            assert_eq!(ObjectKind::recognize(&api_version, kind.name()), Some(kind));
        }
    }
    assert_eq!(ObjectKind::recognize("networking.istio.io/v1", "Gateway"), None);
    assert_eq!(ObjectKind::recognize("gateway.networking.k8s.io/v2", "Gateway"), None);
}

#[test]
fn objects_are_put_and_removed_by_kind_and_name() {
    let mut objects = GatewayObjects::default();
    let name = ObjectRef::new("a", "a");
    let route = StreamRoute {
        meta: Meta { object: name.clone(), ..Meta::default() },
        parents: Vec::new(),
        hostnames: Vec::new(),
        rules: Vec::new(),
    };
    objects.put(GatewayObject::TcpRoute(Arc::new(route.clone())));
    objects.put(GatewayObject::UdpRoute(Arc::new(route)));
    objects.put(GatewayObject::Service(Arc::new(service("a", "a", 1))));
    assert!(objects.remove(ObjectKind::TcpRoute, &name));
    assert!(!objects.remove(ObjectKind::TcpRoute, &name));
    assert!(!objects.remove(ObjectKind::TlsRoute, &name));
    let left = (objects.tcp_routes.len(), objects.udp_routes.len(), objects.services.len());
    assert_eq!(left, (0, 1, 1));
}
