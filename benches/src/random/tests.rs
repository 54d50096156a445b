use super::{Choice, Random};

fn counts(choice: &Choice, len: usize, draws: usize) -> Vec<usize> {
    let mut random = Random::new(7);
    let mut counts = vec![0; len];
    for _ in 0..draws {
        counts[choice.pick(&mut random)] += 1;
    }
    counts
}

#[test]
fn an_even_choice_is_even() {
    let counts = counts(&Choice::new(10, 0.0), 10, 100_000);
    assert!(counts.iter().all(|&n| (9_500..10_500).contains(&n)), "{counts:?}");
}

#[test]
fn zipf_gives_the_second_half_of_the_first() {
    let counts = counts(&Choice::new(1000, 1.0), 1000, 1_000_000);
    let ratio = counts[0] * 100 / counts[1];
    assert!((190..210).contains(&ratio), "{ratio}");
    assert!(counts[999] > 0);
}

#[test]
fn the_same_seed_gives_the_same_sequence() {
    let draw = |seed| {
        let mut random = Random::new(seed);
        [random.bits(), random.bits(), random.bits()]
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}
