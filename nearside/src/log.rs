//! Log set-up and the one place that prints an error's chain.

use std::io::{IsTerminal as _, Write as _};

use tracing_subscriber::EnvFilter;

/// Installs the subscriber: stderr, `NEARSIDE_LOG` as the filter, `info` by default. Pingora's own
/// per-connection messages are kept down, because a scanner could flood the log with them.
pub(crate) fn install() {
    let filter = EnvFilter::try_from_env("NEARSIDE_LOG").unwrap_or_else(|_| {
        EnvFilter::new("info,pingora_core=off,pingora_proxy=off,pingora_pool=off")
    });
    let is_terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(is_terminal)
        .with_target(false)
        .with_writer(std::io::stderr)
        .init();
}

/// Prints `error: outermost: cause: ...` once.
pub(crate) fn print_chain(error: &anyhow::Error) {
    let mut text = format!("error: {error}");
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = inner.source();
    }
    to_stderr(&text.replace("; help: ", "\n  help: "));
}

/// A line for people. A closed stderr is not worth dying for.
pub(crate) fn to_stderr(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A line of data. A closed pipe ends the output quietly, as in `| head`.
pub(crate) fn to_stdout(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
