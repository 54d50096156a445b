use super::*;

fn service(namespace: &str, name: &str, created_s: i64) -> Service {
    let object = ObjectRef::new(namespace, name);
    Service { meta: Meta { object, created_s, ..Meta::default() }, ..Service::default() }
}

fn names(set: &ObjectSet<Service>) -> Vec<String> {
    set.iter().map(|one| format!("{}@{}", one.meta.object, one.meta.created_s)).collect()
}

#[test]
fn a_set_is_in_order_and_has_each_name_once() {
    let mut set: ObjectSet<Service> =
        vec![service("b", "x", 1), service("a", "y", 2), service("b", "x", 3)].into();
    assert_eq!(names(&set), ["a/y@2", "b/x@3"]);
    assert_eq!(set.insert(service("a", "a", 4)), None);
    assert_eq!(set.insert(service("b", "x", 5)).unwrap().meta.created_s, 3);
    assert_eq!(set.insert(service("c", "z", 6)), None);
    assert_eq!(names(&set), ["a/a@4", "a/y@2", "b/x@5", "c/z@6"]);
    assert_eq!(set.remove(&ObjectRef::new("a", "z")), None);
    assert!(set.remove(&ObjectRef::new("a", "y")).is_some());
    assert_eq!(names(&set), ["a/a@4", "b/x@5", "c/z@6"]);
}

#[test]
fn a_copy_shares_what_nobody_changed() {
    let mut set: ObjectSet<Service> = vec![service("a", "a", 1), service("a", "b", 1)].into();
    let copy = set.clone();
    set[0].meta.created_s = 2;
    let same: Vec<bool> = set.iter().zip(&copy).map(|(a, b)| Arc::ptr_eq(a, b)).collect();
    assert_eq!(same, [false, true]);
    assert_eq!((names(&copy)[0].as_str(), names(&set)[0].as_str()), ("a/a@1", "a/a@2"));
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
