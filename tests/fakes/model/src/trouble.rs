//! How the model API fails: its documented statuses, types and words ("Errors").

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How the model API fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trouble {
    /// No key at all. Only an agent can be in this state; to a model it is a 401.
    LoggedOut,
    /// An HTTP status of the API: 400, 401, 403, 404, 413, 429, 500, 529.
    Status(u16),
}

impl Trouble {
    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::LoggedOut => 401,
            Self::Status(status) => status,
        }
    }

    /// The `type` of the API's error body (its documentation, "Errors").
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self.status() {
            400 => "invalid_request_error",
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            529 => "overloaded_error",
            _ => "api_error",
        }
    }

    /// What the API says with it.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self.status() {
            400 => "messages: this one is refused on request",
            401 => "invalid x-api-key",
            403 => "Your API key does not have permission to use the specified resource.",
            404 => "model: not found",
            413 => "Request exceeds the maximum size",
            429 => "This request would exceed your account's rate limit. Please try again later.",
            529 => "Overloaded",
            _ => "Internal server error",
        }
    }
}

impl FromStr for Trouble {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "logged-out" => Ok(Self::LoggedOut),
            "400" | "401" | "403" | "404" | "413" | "429" | "500" | "529" => {
                Ok(Self::Status(name.parse().unwrap_or(500)))
            }
            _ => Err(format!(
                "there is no trouble `{name}`; there are logged-out, 400, 401, 403, 404, 413, 429, 500, 529"
            )),
        }
    }
}
