//! Server-side apply: fields belong to managers, and taking another's field is a conflict.

use serde_json::{Map, Value, json};

use crate::managed::{Manager, Operation, Path, item_keys, leaves};
use crate::refusal::Refusal;

/// Who applies, and whether other managers' fields may be taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Applier<'a> {
    pub(crate) manager: &'a str,
    /// `status`, or empty.
    pub(crate) subresource: &'a str,
    pub(crate) conflicts: Conflicts,
}

/// What to do about fields of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conflicts {
    /// Answer 409.
    Refuse,
    /// Take them (`force=true`).
    Take,
}

/// Merges `applied` into `live` and moves the ownership of its fields; `schema` is the CRD's root,
/// or null. `live` and `managers` are unchanged after a refusal.
pub(crate) fn apply(
    schema: &Value,
    live: &mut Value,
    managers: &mut Vec<Manager>,
    (applied, applier): (&Value, Applier<'_>),
) -> Result<(), Refusal> {
    let wanted = leaves(schema, applied);
    let is_mine = |manager: &Manager| {
        manager.name == applier.manager
            && manager.operation == Operation::Apply
            && manager.subresource == applier.subresource
    };
    // An empty map claims to be one, and nothing below it.
    let claims = |leaf: &Path, path: &Path| {
        leaf.overlaps(path) && leaf.read(applied).is_none_or(|value| *value != json!({}))
    };
    let taken = |manager: &Manager| -> Vec<Path> {
        let differs = |path: &&Path| {
            wanted.iter().any(|leaf| claims(leaf, path) && leaf.read(applied) != leaf.read(live))
        };
        manager.paths.iter().filter(differs).cloned().collect()
    };
    let conflicts: Vec<(String, _)> = managers
        .iter()
        .filter(|manager| !is_mine(manager))
        .flat_map(|manager| taken(manager).into_iter().map(|path| (manager.name.clone(), path)))
        .collect();
    if !conflicts.is_empty() && applier.conflicts == Conflicts::Refuse {
        return Err(conflict(&conflicts));
    }
    for manager in managers.iter_mut().filter(|manager| !is_mine(manager)) {
        manager.paths.retain(|path| {
            !conflicts.iter().any(|(owner, lost)| *owner == manager.name && lost == path)
        });
    }
    let mine = managers.iter().position(is_mine);
    let before = mine.map(|at| managers.remove(at).paths).unwrap_or_default();
    managers.retain(|manager| !manager.paths.is_empty());
    // What an item is found by goes after what is in it.
    let mut gone: Vec<&Path> = before.difference(&wanted).collect();
    gone.sort_by_key(|path| path.is_key());
    for path in gone {
        let shared = managers.iter().any(|manager| manager.paths.iter().any(|p| p.overlaps(path)));
        let above_mine = wanted.iter().any(|leaf| claims(leaf, path));
        if !shared && !above_mine {
            path.remove(live);
        }
    }
    merge((schema, ""), live, applied);
    if !wanted.is_empty() {
        managers.push(Manager {
            name: applier.manager.to_owned(),
            operation: Operation::Apply,
            subresource: applier.subresource.to_owned(),
            paths: wanted,
        });
    }
    Ok(())
}

/// What a write other than apply changed is the writer's from now on.
pub(crate) fn take_over(
    schema: &Value,
    (before, after): (&Value, &Value),
    managers: &mut Vec<Manager>,
    (name, subresource): (&str, &str),
) {
    let changed: std::collections::BTreeSet<_> = leaves(schema, after)
        .into_iter()
        .filter(|path| path.read(before) != path.read(after))
        .collect();
    for manager in managers.iter_mut() {
        manager.paths.retain(|path| !changed.contains(path) && path.read(after).is_some());
    }
    managers.retain(|manager| !manager.paths.is_empty());
    if changed.is_empty() {
        return;
    }
    let own = managers.iter_mut().find(|manager| {
        manager.name == name
            && manager.operation == Operation::Update
            && manager.subresource == subresource
    });
    match own {
        Some(manager) => manager.paths.extend(changed),
        None => managers.push(Manager {
            name: name.to_owned(),
            operation: Operation::Update,
            subresource: subresource.to_owned(),
            paths: changed,
        }),
    }
}

fn merge((schema, name): (&Value, &str), live: &mut Value, applied: &Value) {
    match (live, applied) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (name, change) in changes {
                let below = &schema["properties"][name];
                merge((below, name), fields.entry(name.clone()).or_insert(Value::Null), change);
            }
        }
        (Value::Array(items), Value::Array(changes))
            if changes.first().is_some_and(|item| item_keys(schema, name, item).is_some()) =>
        {
            for change in changes {
                let keys = item_keys(schema, name, change);
                let same = items.iter_mut().find(|item| item_keys(schema, name, item) == keys);
                match same {
                    Some(item) => merge((&schema["items"], ""), item, change),
                    None => items.push(change.clone()),
                }
            }
        }
        (live @ Value::Null, Value::Object(_)) => {
            *live = Value::Object(Map::new());
            merge((schema, name), live, applied);
        }
        (live, applied) => *live = applied.clone(),
    }
}

fn conflict(conflicts: &[(String, Path)]) -> Refusal {
    let causes: Vec<Value> = conflicts
        .iter()
        .map(|(manager, path)| {
            json!({
                "reason": "FieldManagerConflict",
                "message": format!("conflict with \"{manager}\""),
                "field": path.to_string(),
            })
        })
        .collect();
    let plural = if causes.len() == 1 { "conflict" } else { "conflicts" };
    let message = format!("Apply failed with {} {plural}", causes.len());
    let mut refusal = Refusal::new(409, "Conflict", message);
    refusal.details = Some(json!({"causes": causes}));
    refusal
}

#[cfg(test)]
mod tests;
