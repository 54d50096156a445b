use serde_json::{Value, json};

use super::{Action, Candidate};

fn lease(holder: &str, renewed: &str) -> Value {
    json!({
        "metadata": {"name": "l", "resourceVersion": "7", "managedFields": []},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed,
            "acquireTime": "before", "leaseTransitions": 4},
    })
}

fn replaced(action: &Action) -> Option<(&Value, &Value, &Value)> {
    let Action::Replace(next) = action else { return None };
    let spec = &next["spec"];
    Some((&spec["holderIdentity"], &spec["leaseTransitions"], &spec["acquireTime"]))
}

#[test]
fn a_lease_that_is_not_there_is_made() {
    let mut me = Candidate::new("me".to_owned());
    let Action::Create(lease) = me.act(None, "now", 0) else { panic!("no lease is made") };
    assert_eq!(lease["spec"]["holderIdentity"], "me");
    assert!(!me.holds(0), "only when it was written");
    me.succeeded(5);
    assert!(me.holds(6));
}

#[test]
fn anothers_lease_is_taken_when_it_has_not_changed_for_its_duration() {
    let mut me = Candidate::new("me".to_owned());
    assert_eq!(
        me.act(Some(&lease("you", "long ago")), "now", 1_000),
        Action::Wait,
        "its own time says nothing"
    );
    assert_eq!(me.act(Some(&lease("you", "long ago")), "now", 16_000), Action::Wait);
    assert_eq!(me.act(Some(&lease("you", "later")), "now", 16_500), Action::Wait, "it was renewed");
    assert_eq!(me.act(Some(&lease("you", "later")), "now", 31_500), Action::Wait);
    let action = me.act(Some(&lease("you", "later")), "now", 31_501);
    assert_eq!(replaced(&action), Some((&json!("me"), &json!(5), &json!("now"))));
    let Action::Replace(next) = action else { panic!("checked above") };
    assert_eq!(
        next["metadata"],
        json!({"name": "l", "resourceVersion": "7"}),
        "exactly this version"
    );
}

#[test]
fn a_lease_that_was_let_go_is_taken_at_once() {
    let mut me = Candidate::new("me".to_owned());
    let action = me.act(Some(&lease("", "x")), "now", 0);
    assert_eq!(replaced(&action), Some((&json!("me"), &json!(5), &json!("now"))));
}

#[test]
fn only_my_own_lease_is_let_go() {
    let mut me = Candidate::new("me".to_owned());
    me.succeeded(0);
    let mut mine = lease("me", "x");
    assert!(me.release(&mut mine));
    assert_eq!((&mine["spec"]["holderIdentity"], me.holds(1)), (&Value::Null, false));
    let mut yours = lease("you", "x");
    assert!(!me.release(&mut yours));
    assert_eq!(yours, lease("you", "x"));
}

#[test]
fn my_own_lease_is_renewed_and_stays_the_same_term() {
    let mut me = Candidate::new("me".to_owned());
    let action = me.act(Some(&lease("me", "x")), "now", 0);
    assert_eq!(replaced(&action), Some((&json!("me"), &json!(4), &json!("before"))));
}

#[test]
fn who_cannot_renew_stops_before_another_may_begin() {
    let (mut me, mut you) = (Candidate::new("me".to_owned()), Candidate::new("you".to_owned()));
    me.succeeded(0);
    let mine = lease("me", "t0");
    assert_eq!(you.act(Some(&mine), "now", 0), Action::Wait);
    let stops = (0..60_000).find(|&now| !me.holds(now)).expect("it stops");
    let begins = (0..60_000)
        .find(|&now| you.act(Some(&mine), "now", now) != Action::Wait)
        .expect("it begins");
    assert!(stops + 4_000 < begins, "{stops} {begins}");
    me.lost();
    assert!(!me.holds(1), "who lost it knows at once");
}
