//! The estimator on small worlds.

use ipnet::IpNet;
use model::geo::{Country, Subdivision};
use model::site::{SiteId, Tier};

use super::{Cell, EVERY_OTHER_SITE, Fit, LatencyMap, Level, Residual, fit};
use crate::world::{World, ecs, isp, locale, net, site};

const NEAR: SiteId = SiteId(0);
const FAR: SiteId = SiteId(1);

/// Two sites 1,213 km apart; Telecom's clients sit beside `a-near`.
fn world() -> World {
    let sites = vec![
        site("a-near", Tier::Core, "CN-GD cn-ct 23.13 113.26"),
        site("b-far", Tier::Core, "CN-SH cn-ct 31.23 121.47"),
    ];
    World::new(sites, &[("14.0.0.0/16", locale("CN-GD cn-ct 23.13 113.26"))])
}

fn cell(prefix: &str, site: SiteId, count: u64, mean_us: u32) -> Cell {
    Cell { prefix: net(prefix), site, count, mean_us, min_us: mean_us }
}

fn fitted(world: &World, cells: &[Cell]) -> Fit {
    fit(&world.policy, &world.locales, cells)
}

fn row(map: &LatencyMap, level: Level, site: SiteId) -> Option<Residual> {
    let found = map.residuals.iter().find(|&&(of, id, _)| (of, id) == (level, site));
    found.map(|&(_, _, residual)| residual)
}

#[test]
fn each_level_goes_half_way_with_one_prefix() {
    let world = world();
    // 48.2 ms where 8.2 were expected: 40 beyond. The common part takes half of it, the site's
    // own part half of the rest, and so on from level to level.
    let fit = fitted(&world, &[cell("14.0.1.0/24", NEAR, 10, 48_200)]);
    assert_eq!((fit.used, fit.impossible, fit.placeless), (1, 0, 0));
    let of = |level| row(&fit.map, level, NEAR).expect("a row").residual_us;
    let country = Country::parse("CN").expect("a country");
    assert_eq!(of(Level::World), 30_000);
    assert_eq!(of(Level::Continent(country.continent().expect("one"))), 37_500);
    assert_eq!(of(Level::Country(country)), 39_375);
    assert_eq!(row(&fit.map, Level::World, EVERY_OTHER_SITE), Some(Residual::new(20_000, 10)));
}

#[test]
fn a_site_never_measured_is_no_better_for_it() {
    let mut world = world();
    // Slow access: 20 prefixes are at 48.2 ms from the near site; the far one is 31 by its distance.
    let cells: Vec<Cell> =
        (0..20).map(|n| cell(&format!("14.0.{n}.0/24"), NEAR, 10, 48_200)).collect();
    world.latency = fitted(&world, &cells).map;
    assert_eq!(world.decide(ecs("14.0.1.0/24")).chosen(), [NEAR]);
}

#[test]
fn measurement_changes_the_order_when_it_says_so() {
    let mut world = world();
    let near = (0..20).map(|n| cell(&format!("14.0.{n}.0/24"), NEAR, 10, 90_000));
    let far = (0..20).map(|n| cell(&format!("14.0.{n}.0/24"), FAR, 10, 30_000));
    let cells: Vec<Cell> = near.chain(far).collect();
    assert_eq!(world.decide(ecs("14.0.1.0/24")).chosen(), [NEAR]);
    world.latency = fitted(&world, &cells).map;
    assert_eq!(world.decide(ecs("14.0.1.0/24")).chosen(), [FAR]);
}

#[test]
fn faster_than_light_is_kept_out_and_counted() {
    let world = world();
    let impossible = cell("14.0.1.0/24", FAR, 10, 12_000);
    let possible = cell("14.0.1.0/24", FAR, 10, 12_200);
    let placeless = cell("203.0.113.0/24", FAR, 10, 12_200);
    let unknown_site = cell("14.0.1.0/24", SiteId(7), 10, 12_200);
    let empty = cell("14.0.1.0/24", FAR, 0, 12_200);
    let fit = fitted(&world, &[impossible, possible, placeless, unknown_site, empty]);
    assert_eq!((fit.used, fit.impossible, fit.placeless), (1, 1, 2));
}

#[test]
fn a_prefix_speaks_for_itself_when_it_differs_over_enough_samples() {
    let world = world();
    let mut cells: Vec<Cell> =
        (0..20).map(|n| cell(&format!("14.0.{n}.0/24"), NEAR, 1_000, 10_000)).collect();
    let has_row = |cells: &[Cell], prefix: &str| {
        let prefix: IpNet = net(prefix);
        row(&fitted(&world, cells).map, Level::Prefix(prefix), NEAR).is_some()
    };
    assert!(!has_row(&cells, "14.0.7.0/24"));
    cells[7].mean_us = 14_000;
    assert!(!has_row(&cells, "14.0.7.0/24"), "4 ms are not enough");
    cells[7].mean_us = 40_000;
    assert!(has_row(&cells, "14.0.7.0/24"));
    assert!(!has_row(&cells, "14.0.8.0/24"));
    cells[7].count = 49;
    assert!(!has_row(&cells, "14.0.7.0/24"), "49 samples are not enough");
}

#[test]
fn measurement_wears_a_penalty_off() {
    let world = world();
    let cells: Vec<Cell> =
        (0..4).map(|n| cell(&format!("14.0.{n}.0/24"), NEAR, 10, 10_000)).collect();
    let map = fitted(&world, &cells).map;
    let country = Country::parse("CN").expect("a country");
    let left = |level| {
        let residual = row(&map, level, NEAR).expect("a row");
        (residual.carrier_permille, residual.border_permille)
    };
    assert_eq!(left(Level::World), (1000, 1000));
    assert_eq!(left(Level::Country(country)), (1000, 200));
    assert_eq!(left(Level::IspCountry(isp("cn-ct"), country)), (200, 40));
    let subdivision = Subdivision::parse("CN-GD").expect("one");
    assert_eq!(left(Level::IspSubdivision(isp("cn-ct"), subdivision)), (40, 8));
}
