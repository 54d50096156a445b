//! What is slow and what is not.

use super::*;

const LIMITS: PaceLimits = PaceLimits { grace: Duration::from_secs(5), octets_per_s_min: 240 };

#[tokio::test]
async fn waiting_is_paid_for_with_octets() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut pace = Pace::default();
    assert_eq!(pace.starve(at(0), &LIMITS), Duration::from_secs(5));
    assert_eq!(pace.starve(at(2), &LIMITS), Duration::from_secs(3));
    pace.feed(at(2), 480);
    // While nobody waits, time costs nothing.
    assert_eq!(pace.starve(at(100), &LIMITS), Duration::from_secs(5));
    assert_eq!(pace.starve(at(105), &LIMITS), Duration::ZERO);
    pace.feed(at(105), 1);
    assert_eq!(pace.starve(at(106), &LIMITS), Duration::from_millis(4));
    assert_eq!(pace.starve(at(107), &LIMITS), Duration::ZERO);
}
