use rustix::process::getpriority_process;

use super::{BACKGROUND_NICE, Spread, Workers, allowed, bind_to, yield_to_answers};

fn check(asked: Option<usize>, spread: Spread, cpus: &[usize], wanted: (usize, bool)) {
    let plan = Workers::plan(asked, spread, (cpus, 3));
    assert_eq!((plan.count, plan.cpus.is_some()), wanted);
    assert!(plan.cpus.is_none_or(|bound| bound == cpus));
}

#[test]
fn each_worker_has_its_cpu_or_none_has() {
    check(None, Spread::Hash, &[0, 1, 2, 3], (3, false));
    check(Some(2), Spread::Hash, &[0, 1], (2, false));
    check(None, Spread::Cpu, &[0, 1, 2, 3], (4, true));
    check(Some(2), Spread::Cpu, &[4, 5], (2, true));
    check(Some(3), Spread::Cpu, &[0, 1], (3, false));
    check(Some(1), Spread::Cpu, &[0, 1], (1, false));
    check(None, Spread::Cpu, &[0, 2], (2, false));
    check(None, Spread::Cpu, &[], (1, false));
    check(Some(0), Spread::Hash, &[0], (1, false));
    check(Some(9999), Spread::Hash, &[0], (1024, false));
}

#[test]
fn a_thread_is_bound_and_yields_alone() {
    let all = allowed();
    let last = *all.last().expect("a CPU");
    let bound = std::thread::spawn(move || {
        bind_to(last).expect("a CPU of ours");
        yield_to_answers();
        (allowed(), getpriority_process(None).expect("a thread's"))
    });
    assert_eq!(bound.join().expect("no panic"), (vec![last], BACKGROUND_NICE));
    assert_eq!(allowed(), all, "the others are where they were");
    assert!(getpriority_process(None).expect("ours") < BACKGROUND_NICE);
}
