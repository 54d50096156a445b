//! What travels with a map: places of sites, cells and areas, and what held when it was made.

use model::geo::{Area, Locale};
use model::policy::{Effect, Match, Rule, RuleLevel, Window};
use model::site::{SiteId, Tier};

use super::{Atlas, first_minute_alike};
use crate::latency::{LatencyMap, Level, Residual};
use crate::world::{World, locale, net, site};

fn area(text: &str) -> Area {
    Area::parse(text).expect("an area")
}

fn in_area(text: &str, name: &str) -> Locale {
    Locale { area: Some(area(name)), ..locale(text) }
}

#[test]
fn an_area_is_what_all_in_it_agree_on() {
    let mut world = World::new(vec![site("gz", Tier::Core, "CN-GD - 23.13 113.26")], &[]);
    let overrides = &mut world.policy.locale_overrides;
    overrides.clients = vec![
        (net("14.0.0.0/24"), in_area("CN-GD cn-ct 22.54 114.06", "campus")),
        (net("14.0.1.0/24"), in_area("CN-GD cn-cu 22.54 114.06", "campus")),
        (net("14.0.2.0/24"), locale("DE - 50.11 8.68")),
    ];
    overrides.cells = vec![
        ("460-00-1".into(), in_area("CN-GD cn-cm 22.54 114.06", "campus")),
        ("460-00-2".into(), in_area("CN-SH cn-cm 31.23 121.47", "harbour")),
    ];
    let atlas = Atlas::new(&world.inputs());
    assert_eq!(atlas.area(area("campus")), Some(&in_area("CN-GD - 22.54 114.06", "campus")));
    assert_eq!(atlas.area(area("harbour")), atlas.cell("460-00-2"));
    assert_eq!((atlas.area(area("nowhere")), atlas.cell("460-00-3")), (None, None));
    assert_eq!(atlas.site_points, [world.policy.sites[0].point]);
}

#[test]
fn a_place_without_coordinates_is_at_its_centre() {
    let mut world = World::new(vec![site("gz", Tier::Core, "CN-GD")], &[]);
    world.locales = geo_data::LocaleTable::embedded();
    world.policy.locale_overrides.cells = vec![("1".into(), locale("CN-GD cn-ct"))];
    let atlas = Atlas::new(&world.inputs());
    let cell = atlas.cell("1").expect("declared");
    assert!(cell.point.is_some());
    assert_eq!(cell.point, atlas.site_points[0]);
}

#[test]
fn measurement_of_prefixes_stays_at_home() {
    let mut world = World::new(vec![site("gz", Tier::Core, "CN-GD")], &[]);
    let row = |level| (level, SiteId(0), Residual::new(1_000, 9));
    let prefix = Level::Prefix(net("14.0.0.0/24"));
    world.latency = LatencyMap { residuals: vec![row(Level::World), row(prefix)] };
    assert_eq!(Atlas::new(&world.inputs()).latency.residuals, [row(Level::World)]);
}

#[test]
fn two_minutes_of_one_state_are_one_minute() {
    let mut world = World::new(vec![site("gz", Tier::Core, "CN-GD")], &[]);
    let rule = |days, start_min, length_min| Rule {
        origin: "ns/policy/rule".into(),
        level: RuleLevel::default(),
        matches: Match { window: Some(Window { days, start_min, length_min }), ..Match::default() },
        effect: Effect::Pin(vec![SiteId(0)]),
    };
    // Mondays and Sundays from 22:00 to 02:00, Wednesdays from 12:00 to 12:30.
    world.service().rules = vec![rule(0b100_0001, 22 * 60, 4 * 60), rule(0b100, 12 * 60, 30)];
    let rules = world.policy.services[0].rules.clone();
    let state = |minute: u16| -> Vec<bool> {
        let windows = rules.iter().filter_map(|rule| rule.matches.window.as_ref());
        windows.map(|window| window.holds(minute)).collect()
    };
    let mut firsts = Vec::new();
    for minute in 0..7 * 24 * 60 {
        let first = first_minute_alike(&world.policy, minute);
        assert_eq!(state(first), state(minute), "{minute}");
        firsts.push(first);
    }
    firsts.sort_unstable();
    firsts.dedup();
    // 02:00 Monday, 22:00 Monday, 02:00 Tuesday, 12:00 and 12:30 Wednesday, 22:00 Sunday.
    let day = 24 * 60;
    assert_eq!(firsts, [120, 22 * 60, day + 120, 2 * day + 720, 2 * day + 750, 6 * day + 22 * 60]);
    assert_eq!(first_minute_alike(&World::new(Vec::new(), &[]).policy, 77), 0);
}
