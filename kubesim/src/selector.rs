//! Label and field selectors.

use serde_json::Value;

use crate::refusal::Refusal;

/// What a list or a watch is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    labels: Vec<Rule>,
    fields: Vec<Rule>,
}

#[derive(Debug, Clone)]
enum Rule {
    Is(String, Vec<String>),
    IsNot(String, Vec<String>),
    Has(String),
    Lacks(String),
}

/// The fields that may be selected by; a real server knows `type` for Secrets alone.
const FIELDS: [&str; 3] = ["metadata.name", "metadata.namespace", "type"];

impl Selector {
    /// Reads the query parameters' texts.
    pub(crate) fn parse(labels: &str, fields: &str) -> Result<Self, Refusal> {
        let labels = split(labels).into_iter().map(label_rule).collect::<Result<_, _>>()?;
        let fields = split(fields).into_iter().map(field_rule).collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    /// Whether an object is selected.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        let label = |name: &str| object["metadata"]["labels"][name].as_str();
        let field = |path: &str| {
            let pointer = format!("/{}", path.replace('.', "/"));
            Some(object.pointer(&pointer).and_then(Value::as_str).unwrap_or_default())
        };
        self.labels.iter().all(|rule| holds(rule, &label))
            && self.fields.iter().all(|rule| holds(rule, &field))
    }
}

fn holds<'a>(rule: &Rule, value: &dyn Fn(&str) -> Option<&'a str>) -> bool {
    match rule {
        Rule::Is(name, allowed) => {
            value(name).is_some_and(|is| allowed.iter().any(|one| one == is))
        }
        Rule::IsNot(name, refused) => {
            value(name).is_none_or(|is| refused.iter().all(|one| one != is))
        }
        Rule::Has(name) => value(name).is_some(),
        Rule::Lacks(name) => value(name).is_none(),
    }
}

/// Splits at commas outside parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_u32, 0);
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

fn label_rule(text: &str) -> Result<Rule, Refusal> {
    let words = |list: &str| {
        let list = list.trim().trim_start_matches('(').trim_end_matches(')');
        list.split(',').map(|word| word.trim().to_owned()).collect::<Vec<_>>()
    };
    if let Some((name, list)) = text.split_once(" notin ") {
        return Ok(Rule::IsNot(name.trim().to_owned(), words(list)));
    }
    if let Some((name, list)) = text.split_once(" in ") {
        return Ok(Rule::Is(name.trim().to_owned(), words(list)));
    }
    if let Some(rule) = equality(text) {
        return Ok(rule);
    }
    let lacks = text.strip_prefix('!');
    let name = lacks.unwrap_or(text).trim();
    if name.is_empty() || name.contains([' ', '=', '(']) {
        return Err(Refusal::bad_request(format!("unable to parse requirement: {text}")));
    }
    let name = name.to_owned();
    Ok(if lacks.is_some() { Rule::Lacks(name) } else { Rule::Has(name) })
}

fn field_rule(text: &str) -> Result<Rule, Refusal> {
    let rule = equality(text);
    let known = |rule: &Rule| match rule {
        Rule::Is(name, _) | Rule::IsNot(name, _) => FIELDS.contains(&name.as_str()),
        Rule::Has(_) | Rule::Lacks(_) => false,
    };
    rule.filter(known)
        .ok_or_else(|| Refusal::bad_request(format!("field label not supported: {text}")))
}

fn equality(text: &str) -> Option<Rule> {
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some((name, value)) = text.split_once("!=") {
        return Some(Rule::IsNot(name.trim().to_owned(), one(value)));
    }
    let (name, value) = text.split_once("==").or_else(|| text.split_once('='))?;
    Some(Rule::Is(name.trim().to_owned(), one(value)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Selector;

    #[test]
    fn selectors_select_what_a_real_server_does() {
        let object = json!({
            "metadata": {"name": "a", "namespace": "n", "labels": {"app": "web", "tier": "x"}},
            "type": "kubernetes.io/tls",
        });
        for (labels, fields, selected) in [
            ("", "", true),
            ("app=web", "", true),
            ("app==web,tier!=y", "", true),
            ("app in (web, db),!gone", "", true),
            ("app notin (web)", "", false),
            ("gone notin (web)", "", true),
            ("gone", "", false),
            ("", "metadata.name=a,metadata.namespace=n", true),
            ("", "metadata.name!=a", false),
            ("", "type=kubernetes.io/tls", true),
            ("", "type=Opaque", false),
        ] {
            let selector = Selector::parse(labels, fields).expect("it parses");
            assert_eq!(selector.matches(&object), selected, "`{labels}` `{fields}`");
        }
        assert!(Selector::parse("", "spec.x=1").is_err(), "an unknown field is refused");
        assert!(Selector::parse("a b", "").is_err(), "a malformed label selector is refused");
    }
}
