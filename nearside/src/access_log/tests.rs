//! A log that is moved away while it is written.

use std::io::BufWriter;

use super::*;

#[test]
fn every_line_is_whole_and_in_one_of_the_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let log = LogFile::open(&path).unwrap();
    let writer = log.clone();
    let lines = 20_000;
    let thread = std::thread::spawn(move || {
        // As the gateway's writer does: a buffer that is flushed whenever nothing waits.
        let mut writer = BufWriter::with_capacity(1024, writer);
        for line in 0..lines {
            writeln!(writer, "{{\"line\":{line}}}").unwrap();
            if line % 7 == 0 {
                writer.flush().unwrap();
            }
        }
        writer.flush().unwrap();
    });
    let mut moved = Vec::new();
    while !thread.is_finished() && moved.len() < 50 {
        let aside = directory.path().join(format!("access.log.{}", moved.len()));
        std::fs::rename(&path, &aside).unwrap();
        log.reopen().unwrap();
        moved.push(aside);
    }
    thread.join().unwrap();
    moved.push(path);
    let mut found = Vec::new();
    for file in &moved {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "a cut line in {file:?}");
        found.extend(text.lines().map(str::to_owned));
    }
    let expected: Vec<String> = (0..lines).map(|line| format!("{{\"line\":{line}}}")).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_file_that_cannot_be_opened_again_leaves_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path().join("logs");
    std::fs::create_dir(&below).unwrap();
    let mut log = LogFile::open(&below.join("access.log")).unwrap();
    let kept = directory.path().join("kept");
    std::fs::rename(&below, &kept).unwrap();
    assert!(log.reopen().is_err());
    log.write_all(b"still here\n").unwrap();
    assert_eq!(std::fs::read_to_string(kept.join("access.log")).unwrap(), "still here\n");
}
