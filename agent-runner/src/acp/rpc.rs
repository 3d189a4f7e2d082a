//! Lines of JSON-RPC 2.0: read, and written. What stands in `params` and `result` is not looked at
//! here, nor copied: an agent may send 16 MiB of it. Pure.

use agent_client_protocol_schema::v1::Error;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// JSON-RPC: the method is none of ours.
pub(super) const NO_SUCH_METHOD: i32 = -32601;
/// JSON-RPC: the parameters are not what the method wants.
pub(super) const BAD_PARAMS: i32 = -32602;

/// A line of the agent's.
#[derive(Debug)]
pub(super) enum Line<'a> {
    /// It wants an answer.
    Request {
        /// As it stands in the line: to be given back.
        id: &'a str,
        method: String,
        params: &'a str,
    },
    /// It tells something.
    Notice { method: String, params: &'a str },
    /// It answers us.
    Reply {
        id: u64,
        result: Result<&'a str, Error>,
    },
    /// JSON, and nothing of that.
    Other,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    method: Option<String>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// Reads a line.
pub(super) fn read(line: &str) -> Result<Line<'_>, serde_json::Error> {
    let Envelope {
        id,
        method,
        params,
        result,
        error,
    } = serde_json::from_str(line)?;
    let params = params.map_or("null", RawValue::get);
    Ok(match (id.map(RawValue::get), method) {
        (Some(id), Some(method)) => Line::Request { id, method, params },
        (None, Some(method)) => Line::Notice { method, params },
        (Some(id), None) => match (id.parse(), error.map(fault)) {
            (Ok(id), Some(error)) => Line::Reply {
                id,
                result: Err(error),
            },
            (Ok(id), None) => Line::Reply {
                id,
                result: Ok(result.map_or("null", RawValue::get)),
            },
            (Err(_), _) => Line::Other,
        },
        (None, None) => Line::Other,
    })
}

/// An error, whatever its shape: a turn that failed is over, in words or without.
fn fault(error: &RawValue) -> Error {
    serde_json::from_str(error.get()).unwrap_or_else(|_| {
        let words: String = error.get().chars().take(500).collect();
        Error::new(-32603, words)
    })
}

/// A request of ours.
pub(super) fn request(id: u64, method: &str, params: &impl Serialize) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
}

/// Something that we tell.
pub(super) fn notice(method: &str, params: &impl Serialize) -> String {
    json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string()
}

/// The answer to a request of the agent's.
pub(super) fn answer(id: &str, result: &impl Serialize) -> String {
    json!({"jsonrpc": "2.0", "id": given_back(id), "result": result}).to_string()
}

/// A request of the agent's is turned down.
pub(super) fn refusal(id: &str, code: i32, message: &str) -> String {
    let error = json!({"code": code, "message": message});
    json!({"jsonrpc": "2.0", "id": given_back(id), "error": error}).to_string()
}

fn given_back(id: &str) -> Value {
    serde_json::from_str(id).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_kinds_of_line_are_told_apart() {
        let request = read(r#"{"jsonrpc":"2.0","id":"a","method":"m","params":{"x":[1]}}"#);
        let Ok(Line::Request { id, method, params }) = request else {
            panic!("{request:?}")
        };
        assert_eq!(
            (id, method.as_str(), params),
            (r#""a""#, "m", r#"{"x":[1]}"#)
        );
        assert_eq!(
            refusal(id, -1, "no"),
            json!({"jsonrpc": "2.0", "id": "a", "error": {"code": -1, "message": "no"}})
                .to_string()
        );
        let notice = read(r#"{"method":"m"}"#).unwrap();
        assert!(matches!(notice, Line::Notice { params: "null", .. }));
        let reply = read(r#"{"id":7,"result":null}"#).unwrap();
        assert!(matches!(
            reply,
            Line::Reply {
                id: 7,
                result: Ok("null")
            }
        ));
        let error = read(r#"{"id":7,"error":{"code":-32000,"message":"no","data":{}}}"#).unwrap();
        assert!(matches!(error, Line::Reply { result: Err(_), .. }));
        for odd in [r#""no""#, r#"{"code":-32603}"#, r#"{"message":"no"}"#] {
            let line = format!(r#"{{"id":7,"error":{odd}}}"#);
            let Ok(Line::Reply {
                result: Err(error), ..
            }) = read(&line)
            else {
                panic!("{line}")
            };
            assert!(!error.message.is_empty(), "{error:?}");
        }
        for other in ["{}", "[]", r#"{"id":"x","result":{}}"#, r#"{"id":null}"#] {
            assert!(matches!(read(other), Ok(Line::Other)), "{other}");
        }
        for junk in ["", " ", "junk", "7", "{", r#"{"method":7}"#] {
            assert!(read(junk).is_err(), "{junk}");
        }
    }
}
