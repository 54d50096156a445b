//! What a server says when it does not do what it was asked: a `Status` object and its code.

use serde_json::{Value, json};

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// HTTP status.
    pub(crate) code: u16,
    /// Machine-readable reason.
    pub(crate) reason: &'static str,
    /// For people.
    pub(crate) message: String,
    /// `details`, when there are any.
    pub(crate) details: Option<Value>,
}

impl Refusal {
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn not_found(plural: &str, name: &str) -> Self {
        let mut refusal = Self::new(404, "NotFound", format!("{plural} \"{name}\" not found"));
        refusal.details = Some(json!({"name": name, "kind": plural}));
        refusal
    }

    /// A path no resource answers to; the text is the real server's.
    pub(crate) fn no_resource() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    pub(crate) fn exists(plural: &str, name: &str) -> Self {
        let mut refusal =
            Self::new(409, "AlreadyExists", format!("{plural} \"{name}\" already exists"));
        refusal.details = Some(json!({"name": name, "kind": plural}));
        refusal
    }

    pub(crate) fn stale(plural: &str, name: &str) -> Self {
        let text = "the object has been modified; please apply your changes to the latest version and try again";
        let message = format!("Operation cannot be fulfilled on {plural} \"{name}\": {text}");
        Self::new(409, "Conflict", message)
    }

    /// A value that the schema refuses.
    pub(crate) fn invalid(kind: &str, name: &str, field: &str, message: &str) -> Self {
        let text = format!("{kind} \"{name}\" is invalid: {field}: {message}");
        let mut refusal = Self::new(422, "Invalid", text);
        let cause = json!({"reason": "FieldValueInvalid", "message": message, "field": field});
        refusal.details = Some(json!({"name": name, "kind": kind, "causes": [cause]}));
        refusal
    }

    /// A resource version whose events are no longer kept.
    pub(crate) fn expired(asked: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {asked} ({oldest})"))
    }

    /// A list at a resource version that is still to come.
    pub(crate) fn too_large(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let mut refusal = Self::new(504, "Timeout", message);
        let cause =
            json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
        refusal.details = Some(json!({"causes": [cause], "retryAfterSeconds": 1}));
        refusal
    }

    /// The `Status` object.
    pub(crate) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        status
    }
}
