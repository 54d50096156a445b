use super::*;
use crate::socket::Wire;

fn arrival(place: Place, named: Option<u16>, socket: u16) -> Arrival {
    let is_plain = matches!(place, Place::SharedHttp | Place::Own(_, Wire::Http));
    Arrival { place, scheme: if is_plain { Scheme::Http } else { Scheme::Https }, named, socket }
}

#[test]
fn an_own_socket_has_its_listeners_port_whatever_the_client_names() {
    let view = GatewayView::default();
    let address = "192.0.2.1:8080".parse().unwrap();
    for named in [None, Some(80), Some(9999)] {
        let came = arrival(Place::Own(address, Wire::Http), named, 8080);
        assert_eq!(came.listener_port(&view, "a.test"), Some(8080), "{named:?}");
    }
}

#[test]
fn a_shared_socket_that_the_client_names_is_stayed_at() {
    let view = GatewayView::default();
    for (place, named, socket, port) in [
        (Place::SharedHttp, Some(8080), 8080, Some(8080)),
        (Place::SharedHttp, None, 80, Some(80)),
        (Place::SharedHttps, None, 443, Some(443)),
        // No listener is known, so that what the client names is all there is.
        (Place::SharedHttp, Some(8888), 8080, Some(8888)),
        (Place::SharedHttp, None, 8080, None),
    ] {
        let came = arrival(place, named, socket);
        assert_eq!(came.listener_port(&view, "a.test"), port, "{came:?}");
    }
}

#[test]
fn https_is_beside_the_socket_or_at_its_known_port_behind_a_map() {
    let at = |ports: &[u16]| -> Vec<SocketAddr> {
        ports.iter().map(|port| SocketAddr::from(([192, 0, 2, 1], *port))).collect()
    };
    for (named, socket, https, port) in [
        (Some(8080), 8080, at(&[8443]), 8443),
        (None, 80, at(&[8443]), 8443),
        (None, 80, at(&[8443, 443]), 443),
        (Some(8080), 8080, at(&[]), 443),
        // A load balancer's 80 leads to our 8080: its 443 leads to our 8443.
        (None, 8080, at(&[8443]), 443),
        (Some(80), 8080, at(&[8443]), 443),
    ] {
        let came = arrival(Place::SharedHttp, named, socket);
        assert_eq!(came.https_port(&https), port, "{came:?} {https:?}");
    }
}
