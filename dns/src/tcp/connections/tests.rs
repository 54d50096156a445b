use tokio::time::timeout;

use super::*;

fn limits(connections_max: usize, connections_per_client_max: usize) -> TcpLimits {
    TcpLimits { connections_max, connections_per_client_max, ..TcpLimits::default() }
}

fn client(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

/// Which of the places are told to go.
async fn told(places: &[&Place]) -> Vec<usize> {
    let mut told = Vec::new();
    for (nth, place) in places.iter().enumerate() {
        if timeout(std::time::Duration::ZERO, place.given_away()).await.is_ok() {
            told.push(nth);
        }
    }
    told
}

#[tokio::test]
async fn the_one_of_least_use_makes_room() {
    let open = Arc::new(Connections::default());
    let enter = |last| open.enter(client(last), &limits(3, 2)).expect("a place");
    let (mut a, b, mut c) = (enter(1), enter(2), enter(3));
    a.renew();
    let d = enter(4);
    assert_eq!((told(&[&a, &b, &c, &d]).await, open.count()), (vec![1], 3));
    // It is told once, and leaves without being counted again.
    drop(b);
    assert_eq!(open.count(), 3);
    c.renew();
    let e = enter(5);
    assert_eq!((told(&[&a, &c, &d, &e]).await, open.count()), (vec![0], 3));
    // Who was told to go is not of use any more.
    a.renew();
    assert_eq!(open.count(), 3);
    drop((a, c, d, e));
    assert_eq!(open.count(), 0);
    assert!(open.lock().by_client.is_empty());
}

#[tokio::test]
async fn a_client_with_its_share_makes_room_for_itself() {
    let open = Arc::new(Connections::default());
    let enter = |last| open.enter(client(last), &limits(10, 2)).expect("a place");
    let (other, a, b) = (enter(1), enter(2), enter(2));
    let c = enter(2);
    assert_eq!((told(&[&other, &a, &b, &c]).await, open.count()), (vec![1], 3));
    open.make_room();
    assert_eq!((told(&[&other, &b, &c]).await, open.count()), (vec![0], 2));
}

#[test]
fn nobody_enters_where_there_is_no_place() {
    let open = Arc::new(Connections::default());
    assert!(open.enter(client(1), &limits(0, 2)).is_none());
    assert!(open.enter(client(1), &limits(2, 0)).is_none());
    open.make_room();
    assert_eq!(open.count(), 0);
}

#[test]
fn an_ipv6_client_has_a_64_and_a_mapped_one_its_ipv4() {
    let key = |ip: &str| client_key(ip.parse().expect("an address")).to_string();
    assert_eq!(key("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    assert_eq!(key("::ffff:192.0.2.7"), "192.0.2.7");
    assert_eq!(key("192.0.2.7"), "192.0.2.7");
}
