use proptest::prelude::*;

use super::*;

fn generation(epoch: u32, counter: u64) -> Generation {
    Generation { epoch, counter }
}

/// Takes the next generation, persisting the ceiling when asked for, as the shell does.
fn take(generations: &mut Generations, disk: &mut Persisted, channel: Channel) -> Generation {
    if let Some(ceiling) = generations.wanted_ceiling(channel) {
        assert_eq!(generations.next(channel), None, "nothing before the ceiling is on disk");
        disk.epoch = generations.epoch();
        disk.ceilings[channel.index()] = ceiling;
        generations.reserved(channel, ceiling);
    }
    generations.next(channel).unwrap()
}

#[test]
fn policies_count_without_gaps_and_the_rest_reserve_blocks() {
    let mut disk = Persisted::default();
    let mut first = Generations::resume(disk, Have::default(), 0);
    assert_eq!(take(&mut first, &mut disk, Channel::Policy), generation(1, 1));
    assert_eq!(take(&mut first, &mut disk, Channel::Health), generation(1, 1));
    assert_eq!(take(&mut first, &mut disk, Channel::Health), generation(1, 2));
    assert_eq!(disk, Persisted { epoch: 1, ceilings: [1, 0, 1024] });
    let mut second = Generations::resume(disk, Have::default(), 0);
    assert_eq!(take(&mut second, &mut disk, Channel::Policy), generation(1, 2), "no gap");
    assert_eq!(take(&mut second, &mut disk, Channel::Health), generation(1, 1025), "a gap");
}

#[test]
fn a_lost_store_beside_a_snapshot_raises_the_epoch() {
    let seen = Have { policy: generation(3, 7), map: generation(3, 9), health: generation(3, 40) };
    let mut disk = Persisted::default();
    let mut generations = Generations::resume(disk, seen, 0);
    assert_eq!(take(&mut generations, &mut disk, Channel::Policy), generation(4, 8));
    // The store is there: nothing was lost.
    let kept = Persisted { epoch: 3, ceilings: [7, 16, 1024] };
    assert_eq!(Generations::resume(kept, seen, 0).epoch(), 3);
    assert_eq!(Generations::resume(kept, seen, 9).epoch(), 9, "the operator's recovery");
}

proptest! {
    #[test]
    fn generations_rise_strictly_however_often_it_restarts(
        steps in prop::collection::vec((0_u8..3, any::<bool>()), 1..300),
    ) {
        let mut disk = Persisted::default();
        let mut last = [Generation::default(); 3];
        let mut generations = Generations::resume(disk, Have::default(), 0);
        for (channel, restart) in steps {
            if restart {
                generations = Generations::resume(disk, Have::default(), 0);
            }
            let channel = Channel::ALL[usize::from(channel)];
            let next = take(&mut generations, &mut disk, channel);
            prop_assert!(next > last[channel.index()]);
            last[channel.index()] = next;
        }
    }
}
