//! Log set-up and the one place that prints an error's chain.

use std::io::{IsTerminal as _, Write as _};

use tracing_subscriber::EnvFilter;

/// Installs the subscriber: stderr, `NEARSIDE_LOG` as the filter, `info` by default. Pingora's own
/// per-connection messages are kept down, because a scanner could flood the log with them, and so are
/// kube's per-request ones, which an API server that is away would.
pub(crate) fn install() {
    let filter = EnvFilter::try_from_env("NEARSIDE_LOG").unwrap_or_else(|_| {
        EnvFilter::new("info,pingora_core=off,pingora_proxy=off,pingora_pool=off,kube_client=off")
    });
    let is_terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(is_terminal)
        .with_target(false)
        .with_writer(std::io::stderr)
        .init();
}

/// Prints `error: outermost: cause: ...` once, and every `help:` of the chain after it.
pub(crate) fn print_chain(error: &anyhow::Error) {
    to_stderr(&chain(error));
}

fn chain(error: &anyhow::Error) -> String {
    let mut said = String::from("error");
    let mut helps = String::new();
    for cause in error.chain() {
        let text = cause.to_string().replace("; help: ", "\n  help: ");
        let (what, help) = text.split_at(text.find("\n  help: ").unwrap_or(text.len()));
        if !said.ends_with(what) {
            said.push_str(": ");
            said.push_str(what);
        }
        if !helps.ends_with(help) {
            helps.push_str(help);
        }
    }
    said + &helps
}

/// A line for people. A closed stderr is not worth dying for.
pub(crate) fn to_stderr(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A line of data. A closed pipe ends the output quietly, as in `| head`.
pub(crate) fn to_stdout(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn help_comes_after_every_cause() {
        let inner = std::io::Error::other("refused");
        let error = Err::<(), _>(inner).context("cannot reach `a`\n  help: start it");
        assert_eq!(
            chain(&error.unwrap_err()),
            "error: cannot reach `a`: refused\n  help: start it"
        );
        let error = anyhow::anyhow!("`a` is in use; help: take b").context("cannot start DNS");
        assert_eq!(chain(&error), "error: cannot start DNS: `a` is in use\n  help: take b");
    }
}
