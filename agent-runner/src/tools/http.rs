//! A tool that is an address: asked with the input and the tool's secrets.
//!
//! Promises: a secret goes to the address that the operator wrote and to no other; none is in an error.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Client, Url};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::mcp::Said;
use super::options::{Http, Method, ToolOptions};
use super::said::{Output, Veil, encoded};

/// The one client, made when it is first needed: most runners never do.
fn client() -> Result<&'static Client, String> {
    static CLIENT: OnceLock<Result<Client, String>> = OnceLock::new();
    CLIENT
        .get_or_init(|| {
            crate::tls::provide();
            Client::builder()
                // An answer that leads elsewhere would take the headers there.
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(Duration::from_secs(10))
                .build()
                .map_err(|error| error.to_string())
        })
        .as_ref()
        .map_err(Clone::clone)
}

/// Asks the address of a tool.
pub(super) async fn ask(tool: &ToolOptions, http: &Http, input: &Value, veil: &Veil) -> Said {
    let name = &tool.name;
    let client = match client() {
        Ok(client) => client,
        Err(error) => return Said::failed(format!("{name} cannot ask: {error}")),
    };
    let Ok(mut url) = Url::parse(&filled(&http.url, tool, encoded)) else {
        return Said::failed(format!("the address of {name} is none"));
    };
    if matches!(http.method, Method::Get | Method::Delete) {
        let mut query = url.query_pairs_mut();
        for (key, value) in input.as_object().into_iter().flatten() {
            match value {
                Value::String(text) => query.append_pair(key, text),
                other => query.append_pair(key, &other.to_string()),
            };
        }
    }
    let mut request = match http.method {
        Method::Get => client.get(url),
        Method::Delete => client.delete(url),
        Method::Post => client.post(url).json(input),
        Method::Put => client.put(url).json(input),
        Method::Patch => client.patch(url).json(input),
    };
    for (key, value) in &http.headers {
        let value = filled(value, tool, str::to_owned);
        let Ok(mut value) = HeaderValue::from_str(&value) else {
            return Said::failed(format!(
                "the header {key} of {name} has a value that cannot be sent"
            ));
        };
        value.set_sensitive(true);
        request = request.header(key, value);
    }
    let mut answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => {
            // Its address may hold a secret.
            let error = error.without_url();
            tracing::warn!(tool = name, %error, "the address of a tool cannot be asked");
            return Said::failed(format!("{name} cannot be reached: {error}"));
        }
    };
    let status = answer.status();
    let mut output = Output::new(tool.max_output_bytes, veil);
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => output.add(&chunk),
            Ok(None) => break,
            Err(error) => {
                return Said::failed(format!(
                    "the answer of {name} broke off: {}",
                    error.without_url()
                ));
            }
        }
    }
    let text = output.text();
    match status.is_success() {
        true => Said {
            text,
            failed: false,
        },
        false => Said::failed(format!("HTTP {status}\n{text}").trim_end().to_owned()),
    }
}

/// `{NAME}` of a secret is the secret.
fn filled(text: &str, tool: &ToolOptions, write: impl Fn(&str) -> String) -> String {
    tool.secrets
        .iter()
        .fold(text.to_owned(), |text, (name, secret)| {
            text.replace(&format!("{{{name}}}"), &write(secret.expose_secret()))
        })
}
