//! Lines and their time.

use std::sync::{Arc, Mutex};

use super::*;

#[test]
fn wall_time_is_written_as_a_date() {
    let cases = [
        (0, 0, "1970-01-01T00:00:00.000Z"),
        (951_782_400, 0, "2000-02-29T00:00:00.000Z"),
        (1_709_251_199, 999, "2024-02-29T23:59:59.999Z"),
        (1_735_689_600, 5, "2025-01-01T00:00:00.005Z"),
        (4_107_542_400, 0, "2100-03-01T00:00:00.000Z"),
    ];
    for (seconds, millis, text) in cases {
        let time = Duration::from_secs(seconds) + Duration::from_millis(millis);
        assert_eq!(Stamp::of(time).as_str(), text);
    }
}

fn record(path: &str) -> Record<'_> {
    Record {
        time: Stamp::of(Duration::ZERO),
        site: "s",
        client: "192.0.2.1".parse().unwrap(),
        method: "GET",
        host: "a.example",
        path,
        scheme: "https",
        protocol: "HTTP/2",
        status: 200,
        body_octets: 3,
        duration_us: 7,
        backend_us: Some(5),
        route: Some("r"),
        backend: Some("default/hello:80".to_owned()),
        endpoint: Some("127.0.0.1:80".parse().unwrap()),
        retries: 1,
        reason: "forwarded",
        trace: TraceId::parse(b"00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"),
    }
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl io::Write for Memory {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_line_is_one_object_and_nothing_breaks_out_of_it() {
    let memory = Memory::default();
    let (sink, thread) = LogSink::start(AccessLog::To(Box::new(memory.clone()))).unwrap();
    assert!(sink.is_on());
    sink.write(&record("/a\"\n{"));
    drop(sink);
    thread.unwrap().join().unwrap();
    let text = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
    assert_eq!(
        text,
        concat!(
            r#"{"time":"1970-01-01T00:00:00.000Z","site":"s","client":"192.0.2.1","method":"GET","#,
            r#""host":"a.example","path":"/a\"\n{","scheme":"https","protocol":"HTTP/2","#,
            r#""status":200,"body_octets":3,"duration_us":7,"backend_us":5,"route":"r","#,
            r#""backend":"default/hello:80","endpoint":"127.0.0.1:80","retries":1,"#,
            r#""reason":"forwarded","trace":"0af7651916cd43dd8448eb211c80319c"}"#,
            "\n",
        ),
    );
}

/// Blocks its writer until told.
struct Stuck(std::sync::mpsc::Receiver<()>);

impl io::Write for Stuck {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        Ok(octets.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stuck_writer_costs_lines_and_not_requests() {
    let (go, stuck) = std::sync::mpsc::channel();
    let (sink, thread) = LogSink::start(AccessLog::To(Box::new(Stuck(stuck)))).unwrap();
    // Twice the room: what the writer took before it was stuck is once at most.
    let line = serde_json::to_vec(&record("/")).unwrap().len() + 1;
    for _ in 0..=2 * WAITING_OCTETS_MAX / line {
        sink.write(&record("/"));
    }
    assert!(sink.dropped() > 0);
    drop((go, sink));
    thread.unwrap().join().unwrap();
}

#[test]
fn off_is_off() {
    let (sink, thread) = LogSink::start(AccessLog::Off).unwrap();
    assert!(thread.is_none() && !sink.is_on());
    sink.write(&record("/"));
    assert_eq!(sink.dropped(), 0);
}

#[test]
fn a_line_comes_out_while_others_may_come() {
    let memory = Memory::default();
    let (sink, _thread) = LogSink::start(AccessLog::To(Box::new(memory.clone()))).unwrap();
    for _ in 0..3 {
        let before = memory.0.lock().unwrap().len();
        sink.write(&record("/"));
        // Each wakes the writer anew; a writer that sleeps on is found by the test's own time.
        while memory.0.lock().unwrap().len() == before {
            std::thread::yield_now();
        }
    }
}
