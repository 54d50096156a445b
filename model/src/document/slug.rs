//! Names near bad ones: what a help offers in place of a name that cannot be.

/// The longest label (RFC 1123, section 2.1).
const LABEL_CHARS_MAX: usize = 63;

/// A help for a bad name of one label: of a site, of a namespace.
pub(super) fn help_for_label(bad: &str) -> String {
    let near = Some(label_near(bad)).filter(|near| !near.is_empty());
    let near = near.unwrap_or_else(|| "edge-1".into());
    format!("use lower-case letters, digits and `-`, for example `{near}`")
}

/// A help for a bad name of labels with dots between, as most objects may have.
pub(super) fn help_for_labels(bad: &str) -> String {
    let near = labels_near(bad).unwrap_or_else(|| "edge-1".into());
    format!("use lower-case letters, digits, `-` and `.`, for example `{near}`")
}

/// A help for a bad hostname.
pub(super) fn help_for_hostname(bad: &str) -> String {
    let near = labels_near(bad).unwrap_or_else(|| "www.edge.example".into());
    format!("write labels of letters, digits and `-` with dots between, for example `{near}`")
}

fn labels_near(bad: &str) -> Option<String> {
    let labels: Vec<String> =
        bad.split('.').map(label_near).filter(|label| !label.is_empty()).take(8).collect();
    Some(labels.join(".")).filter(|near| !near.is_empty() && near.len() <= 253)
}

/// Every run of what a label may not have becomes one `-`, none at the ends.
fn label_near(bad: &str) -> String {
    let mut near = String::new();
    for c in bad.chars().take(LABEL_CHARS_MAX) {
        if c.is_ascii_alphanumeric() {
            near.push(c.to_ascii_lowercase());
        } else if !near.is_empty() && !near.ends_with('-') {
            near.push('-');
        }
    }
    near.truncate(near.trim_end_matches('-').len());
    near
}

#[cfg(test)]
mod tests;
