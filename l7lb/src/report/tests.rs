//! RTT cells.

use super::*;

#[test]
fn samples_fall_into_prefixes() {
    let table = RttTable::default();
    for (client, rtt) in [
        ("192.0.2.1", 1_000),
        ("192.0.2.200", 3_000),
        ("::ffff:192.0.2.7", 2_000),
        ("198.51.100.1", 0),
        ("2001:db8:1:2::3", 500),
        ("2001:db8:1:ffff::3", 700),
    ] {
        table.add(client.parse().unwrap(), rtt);
    }
    let cell = |prefix: &str, count, sum_us, min_us| RttCell {
        prefix: prefix.parse().unwrap(),
        count,
        sum_us,
        min_us,
    };
    let expected = [cell("192.0.2.0/24", 3, 6_000, 1_000), cell("2001:db8:1::/48", 2, 1_200, 500)];
    assert_eq!(table.cells(), expected);
}

#[test]
fn the_table_is_bounded_and_keeps_the_busy() {
    let table = RttTable::default();
    let address = |n: u32| IpAddr::from((n << 8).to_be_bytes());
    let many = u32::try_from(CELLS_KEPT_MAX).unwrap() * 2;
    for n in 1..many {
        table.add(address(n), 10);
        // The first hundred prefixes keep coming.
        table.add(address(n % 100 + 1), 10);
    }
    assert!(table.cells.lock().unwrap().len() <= CELLS_KEPT_MAX);
    let cells = table.cells();
    assert_eq!(cells.len(), RTT_CELLS_MAX);
    for n in 1..=100 {
        let prefix = prefix_of(address(n)).unwrap();
        let cell = cells.iter().find(|cell| cell.prefix == prefix).unwrap();
        assert!(cell.count > 100, "{cell:?}");
    }
}
