//! Runs what the operator wrote: a program or an address. Outside the agent's jail, with the tool's own
//! secrets and nothing of the agent's.
//!
//! Promises: it ends in time, with everything that it started; what it says is bounded, and says how
//! much is missing; its own secrets are not in it. Who drops [`run`] ends it too.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::http;
use super::mcp::Said;
use super::options::ToolOptions;
use super::program::{self, Surroundings};
use super::said::Veil;

/// Runs a tool with an input that fits it.
pub async fn run(tool: &ToolOptions, input: &Value, around: Surroundings) -> Said {
    let limit = Duration::from_secs(tool.timeout_secs);
    let veil = Veil::new(tool);
    let work = async {
        match &tool.http {
            Some(http) => http::ask(tool, http, input, &veil).await,
            None => program::execute(tool, input, around, &veil).await,
        }
    };
    let said = timeout(limit, work).await.unwrap_or_else(|_| Said {
        text: format!(
            "{} gave no answer within {} s",
            tool.name, tool.timeout_secs
        ),
        failed: true,
    });
    Said {
        text: veil.cover(&said.text),
        ..said
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::super::options::{Http, Method};
    use super::*;

    fn around() -> Surroundings {
        Surroundings {
            environment: BTreeMap::new(),
            claim: Default::default(),
            launcher: Default::default(),
            programs: Default::default(),
        }
    }

    /// Serves one request; what was asked, and the answer.
    async fn server(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            let mut chunk = [0; 4096];
            // Head and body are small and come in one or two pieces.
            while !String::from_utf8_lossy(&asked).contains("\r\n\r\n")
                || (asked.starts_with(b"POST") && !asked.ends_with(b"}"))
            {
                let n = stream.read(&mut chunk).await.unwrap();
                asked.extend_from_slice(&chunk[..n]);
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(asked).unwrap()
        });
        (url, task)
    }

    fn address(url: &str, method: Method) -> ToolOptions {
        ToolOptions {
            http: Some(Http {
                url: format!("{url}/x?k=1"),
                method,
                headers: BTreeMap::from([("authorization".into(), "Bearer {KEY}".into())]),
            }),
            name: "t".into(),
            secrets: BTreeMap::from([("KEY".into(), "hunter2-canary".into())]),
            timeout_secs: 20,
            max_output_bytes: 1000,
            ..ToolOptions::default()
        }
    }

    #[tokio::test]
    async fn an_address_is_asked_with_the_secret_in_its_place() {
        let (url, task) = server("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood").await;
        let said = run(&address(&url, Method::Post), &json!({"id": 7}), around()).await;
        assert_eq!((said.text.as_str(), said.failed), ("good", false));
        let asked = task.await.unwrap();
        assert!(
            asked.contains("authorization: Bearer hunter2-canary"),
            "{asked}"
        );
        assert!(asked.ends_with("{\"id\":7}"), "{asked}");
        let (url, task) =
            server("HTTP/1.1 404 Not Found\r\ncontent-length: 14\r\n\r\nhunter2-canary").await;
        let said = run(
            &address(&url, Method::Get),
            &json!({"q": "a b", "n": 1}),
            around(),
        )
        .await;
        assert!(
            said.failed && said.text.contains("404") && said.text.contains("[secret]"),
            "{said:?}"
        );
        assert!(task.await.unwrap().starts_with("GET /x?k=1&q=a+b&n=1 "));
    }

    #[tokio::test]
    async fn an_answer_that_leads_elsewhere_is_not_followed() {
        let (url, _task) = server(
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
        )
        .await;
        let said = run(&address(&url, Method::Post), &json!({}), around()).await;
        assert!(said.failed && said.text.contains("302"), "{said:?}");
    }
}
