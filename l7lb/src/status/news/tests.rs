use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::status::Detail;

fn status(name: u8, generation: i64) -> Arc<ObjectStatus> {
    Arc::new(ObjectStatus {
        kind: ObjectKind::Ingress,
        object: ObjectRef::new("n", &format!("i{name:03}")),
        generation,
        origin: "t.yaml:1".into(),
        detail: Detail::Ingress([].into()),
    })
}

fn names(all: &[Arc<ObjectStatus>]) -> Vec<&str> {
    all.iter().map(|one| &*one.object.name).collect()
}

#[test]
fn equal_statuses_are_shared_around_one_that_came_or_went() {
    let first = Statuses::sharing((0..5).map(|at| status(at, 1)).collect(), &Statuses::default());
    let without: Vec<_> = [0, 1, 3, 4].map(|at| status(at, 1)).into();
    let second = Statuses::sharing(without, &first);
    let shared = |a: &Statuses, b: &Statuses| {
        a.iter().filter(|one| b.iter().any(|other| Arc::ptr_eq(one, other))).count()
    };
    assert_eq!(shared(&second, &first), 4);
    let news = second.news(&first);
    assert_eq!((names(&news.told), news.gone.len()), (vec![], 1));
    let third = Statuses::sharing((0..5).map(|at| status(at, 1)).collect(), &second);
    assert_eq!(shared(&third, &second), 4);
    let news = third.news(&second);
    assert_eq!((names(&news.told), news.gone.len()), (vec!["i002"], 0));
}

proptest! {
    /// Whoever takes all news has what is said now.
    #[test]
    fn news_lead_from_one_to_the_next(
        worlds in proptest::collection::vec(proptest::collection::btree_map(0..12_u8, 0..3_i64, 0..12), 1..6),
    ) {
        let (mut before, mut held) = (Statuses::default(), BTreeMap::new());
        for world in worlds {
            let list: Vec<_> = world.iter().map(|(name, at)| status(*name, *at)).collect();
            let now = Statuses::sharing(list, &before);
            let News { told, gone } = now.news(&before);
            for (_, object) in gone {
                prop_assert!(held.remove(&object).is_some(), "it was there");
            }
            for one in told {
                let old = held.insert(one.object.clone(), one.generation);
                prop_assert_ne!(old, Some(one.generation), "it says something else");
            }
            let expected: BTreeMap<_, _> =
                world.iter().map(|(name, at)| (status(*name, 0).object.clone(), *at)).collect();
            prop_assert_eq!(&held, &expected);
            before = now;
        }
    }
}
