//! Discord's error bodies.
//!
//! Codes and statuses are those of the documentation's "Opcodes and Status Codes"; words are near to the real ones but no promise.

use serde_json::{Map, Value, json};

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: u64,
    pub(crate) message: &'static str,
    /// `errors` of 50035.
    pub(crate) errors: Option<Value>,
    /// Seconds, for the few errors that are a limit of their own.
    pub(crate) retry_after: Option<f64>,
}

impl ApiError {
    const fn new(status: u16, code: u64, message: &'static str) -> Self {
        Self {
            status,
            code,
            message,
            errors: None,
            retry_after: None,
        }
    }

    pub(crate) const UNAUTHORIZED: Self = Self::new(401, 0, "401: Unauthorized");
    pub(crate) const NO_ROUTE: Self = Self::new(404, 0, "404: Not Found");
    pub(crate) const WRONG_METHOD: Self = Self::new(405, 0, "405: Method Not Allowed");
    pub(crate) const UNKNOWN_APPLICATION: Self = Self::new(404, 10002, "Unknown Application");
    pub(crate) const UNKNOWN_CHANNEL: Self = Self::new(404, 10003, "Unknown Channel");
    pub(crate) const UNKNOWN_GUILD: Self = Self::new(404, 10004, "Unknown Guild");
    pub(crate) const UNKNOWN_MEMBER: Self = Self::new(404, 10007, "Unknown Member");
    pub(crate) const UNKNOWN_MESSAGE: Self = Self::new(404, 10008, "Unknown Message");
    pub(crate) const UNKNOWN_USER: Self = Self::new(404, 10013, "Unknown User");
    pub(crate) const UNKNOWN_EMOJI: Self = Self::new(400, 10014, "Unknown Emoji");
    pub(crate) const UNKNOWN_WEBHOOK: Self = Self::new(404, 10015, "Unknown Webhook");
    pub(crate) const UNKNOWN_INTERACTION: Self = Self::new(404, 10062, "Unknown interaction");
    pub(crate) const NOT_YOUR_APPLICATION: Self = Self::new(
        403,
        20012,
        "You are not authorized to perform this action on this application",
    );
    pub(crate) const TOO_MANY_COMMANDS: Self = Self::new(
        400,
        30034,
        "Max number of daily application command creates has been reached (200)",
    );
    pub(crate) const OLD_EDITS: Self = Self::new(
        429,
        30046,
        "Maximum number of edits to messages older than 1 hour reached. Try again later",
    );
    pub(crate) const TOO_LARGE: Self = Self::new(413, 40005, "Request entity too large");
    pub(crate) const ALREADY_ACKNOWLEDGED: Self =
        Self::new(400, 40060, "Interaction has already been acknowledged.");
    pub(crate) const BAD_USER_AGENT: Self = Self::new(403, 40333, "internal network error");
    pub(crate) const MISSING_ACCESS: Self = Self::new(403, 50001, "Missing Access");
    pub(crate) const NOT_IN_A_DM: Self =
        Self::new(403, 50003, "Cannot execute action on a DM channel");
    pub(crate) const NOT_YOUR_MESSAGE: Self =
        Self::new(403, 50005, "Cannot edit a message authored by another user");
    pub(crate) const EMPTY_MESSAGE: Self = Self::new(400, 50006, "Cannot send an empty message");
    pub(crate) const CANNOT_DM: Self = Self::new(403, 50007, "Cannot send messages to this user");
    pub(crate) const MISSING_PERMISSIONS: Self = Self::new(403, 50013, "Missing Permissions");
    pub(crate) const WRONG_CHANNEL_TYPE: Self =
        Self::new(400, 50024, "Cannot execute action on this channel type");
    pub(crate) const BAD_WEBHOOK_TOKEN: Self = Self::new(401, 50027, "Invalid Webhook Token");
    pub(crate) const BAD_RECIPIENT: Self = Self::new(400, 50033, "Invalid Recipient(s)");
    pub(crate) const ARCHIVED: Self = Self::new(400, 50083, "Thread is archived");
    pub(crate) const BAD_JSON: Self =
        Self::new(400, 50109, "The request body contains invalid JSON.");
    pub(crate) const REPLY_WITHOUT_HISTORY: Self = Self::new(
        403,
        160_002,
        "Cannot reply without permission to read message history",
    );
    pub(crate) const THREAD_EXISTS: Self = Self::new(
        400,
        160_004,
        "A thread has already been created for this message",
    );
    pub(crate) const TOO_MANY_FILES: Self = Self::new(
        400,
        30015,
        "Maximum number of attachments in a message reached (10)",
    );
    pub(crate) const FILE_NOT_FOUND: Self = Self::new(400, 50146, "Uploaded file not found.");
    pub(crate) const BAD_VERSION: Self = Self::new(400, 50041, "Invalid API version provided");
    pub(crate) const INVALID_STICKER: Self = Self::new(400, 50081, "Invalid sticker sent");
    pub(crate) const THREAD_LOCKED: Self = Self::new(403, 160_005, "Thread is locked");

    pub(crate) fn body(&self) -> Value {
        let mut body = json!({ "message": self.message, "code": self.code });
        if let Some(errors) = &self.errors {
            body["errors"] = errors.clone();
        }
        if let Some(retry_after) = self.retry_after {
            body["retry_after"] = json!(retry_after);
            body["global"] = json!(false);
        }
        body
    }
}

/// Collects the faults of one form into a 50035.
#[derive(Debug, Default)]
pub(crate) struct Form {
    errors: Map<String, Value>,
}

impl Form {
    /// An error with a single fault.
    pub(crate) fn one(path: &[&str], code: &str, message: &str) -> ApiError {
        let mut form = Self::default();
        form.fault(path, code, message);
        form.error()
    }

    /// Notes a fault at `path`.
    pub(crate) fn fault(&mut self, path: &[&str], code: &str, message: &str) {
        let mut at = &mut self.errors;
        for key in path {
            let below = at.entry(*key).or_insert_with(|| Value::Object(Map::new()));
            match below {
                Value::Object(below) => at = below,
                // Only `_errors` is not an object, and no path names it.
                _ => return,
            }
        }
        let list = at.entry("_errors").or_insert_with(|| json!([]));
        if let Value::Array(list) = list {
            list.push(json!({ "code": code, "message": message }));
        }
    }

    /// The usual fault of a text that is too long.
    pub(crate) fn too_long(&mut self, path: &[&str], most: usize) {
        self.fault(
            path,
            "BASE_TYPE_MAX_LENGTH",
            &format!("Must be {most} or fewer in length."),
        );
    }

    /// The usual fault of a text outside its lengths.
    pub(crate) fn bad_length(&mut self, path: &[&str], least: usize, most: usize) {
        let message = format!("Must be between {least} and {most} in length.");
        self.fault(path, "BASE_TYPE_BAD_LENGTH", &message);
    }

    /// The usual fault of a field that must be there.
    pub(crate) fn required(&mut self, path: &[&str]) {
        self.fault(path, "BASE_TYPE_REQUIRED", "This field is required");
    }

    /// The 50035 of what was noted.
    pub(crate) fn error(self) -> ApiError {
        ApiError {
            errors: Some(Value::Object(self.errors)),
            ..ApiError::new(400, 50035, "Invalid Form Body")
        }
    }

    /// Whether nothing is wrong, else the 50035.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(self.error())
        }
    }
}
