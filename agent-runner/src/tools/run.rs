//! Runs what the operator wrote: a program or an address. Outside the agent's jail, with the tool's own
//! secrets and nothing of the agent's.
//!
//! Promises: it ends in time, with everything that it started; what it says is bounded, and says how
//! much is missing; its own secrets are not in it. Who drops [`run`] ends it too.

use std::collections::{BTreeMap, HashSet};
use std::process::Stdio;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Client, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::mcp::Said;
use super::options::{Http, Method, ToolOptions};
use crate::process::reader;
use crate::process::sweep::Claim;
use crate::text;

/// How long what a tool started is killed again and again.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long its pipes may stay open after its end: it may have left somebody behind who holds them.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// A shorter secret is too likely to be a part of something else.
const SECRET_BYTES: usize = 6;

/// What a call has beside its tool.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The program's environment, but for its secrets.
    pub environment: BTreeMap<String, String>,
    /// What everything bears that it starts.
    pub claim: Claim,
    /// Processes that are waited for here, so that nobody else reaps them.
    pub programs: Arc<Mutex<HashSet<i32>>>,
}

/// Runs a tool with an input that fits it.
pub async fn run(tool: &ToolOptions, input: &Value, around: Surroundings) -> Said {
    let limit = Duration::from_secs(tool.timeout_secs);
    let veil = Veil::new(tool);
    let work = async {
        match &tool.http {
            Some(http) => ask(tool, http, input, &veil).await,
            None => execute(tool, input, around, &veil).await,
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

/// Ends what a tool started, however the wait for it ends.
struct Ending(Claim, Arc<Mutex<HashSet<i32>>>);

impl Ending {
    fn new(around: Surroundings, program: Option<u32>) -> Ending {
        let agent = program.map(u32::cast_signed);
        if let (Some(pid), Ok(mut programs)) = (agent, around.programs.lock()) {
            programs.insert(pid);
        }
        let claim = Claim {
            agent,
            ..around.claim
        };
        Ending(claim, around.programs)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let claim = std::mem::take(&mut self.0);
        if let (Some(pid), Ok(mut programs)) = (claim.agent, self.1.lock()) {
            programs.remove(&pid);
        }
        let end = move || {
            let left = claim.end(false, PATIENCE);
            if !left.is_empty() {
                tracing::warn!(?left, "processes of a tool do not end");
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(end)),
            Err(_) => end(),
        }
    }
}

async fn execute(tool: &ToolOptions, input: &Value, around: Surroundings, veil: &Veil) -> Said {
    let Some((program, arguments)) = tool.command.split_first() else {
        return Said::failed(format!("{} has no program", tool.name));
    };
    let mut command = tokio::process::Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(&around.environment)
        // Not the work directory: what the agent writes there is not to be found by the program.
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    for (name, secret) in &tool.secrets {
        command.env(name, secret.expose_secret());
    }
    // Last: it is how what the program starts is found and ended.
    command.env(crate::process::sweep::MARK, &around.claim.mark);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            tracing::warn!(tool = tool.name, %error, "a tool cannot be started");
            return Said::failed(format!("{} cannot be started: {error}", tool.name));
        }
    };
    let _ending = Ending::new(around, child.id());
    let (mut stdin, stdout, stderr) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let line = format!("{input}\n");
    let give = async move {
        if let Some(stdin) = &mut stdin {
            // A program that reads nothing has no use for it.
            let _ = stdin.write_all(line.as_bytes()).await;
        }
        drop(stdin);
    };
    let mut output = Output::new(tool.max_output_bytes, veil);
    let mut complaint = Vec::new();
    let status = {
        let hear = output.read(stdout);
        let mind = tail(stderr, &mut complaint);
        let talk = async { tokio::join!(give, hear, mind) };
        tokio::pin!(talk);
        tokio::select! {
            _ = &mut talk => child.wait().await,
            status = child.wait() => {
                let _ = timeout(LAST_WORDS, talk).await;
                status
            }
        }
    };
    let code = match status {
        Ok(status) if status.success() => {
            return Said {
                text: output.text(),
                failed: false,
            };
        }
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    let complaint = veil.cover_tail(&complaint);
    let parts = [
        output.text(),
        complaint.trim().to_owned(),
        format!("({code})"),
    ];
    Said::failed(
        parts
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("\n"),
    )
}

async fn tail(from: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) {
    let Some(mut from) = from else { return };
    let mut chunk = [0; 4096];
    while let Ok(n) = from.read(&mut chunk).await
        && n > 0
    {
        reader::keep_tail(into, chunk.get(..n).unwrap_or_default());
    }
}

/// What a tool says, up to a bound.
struct Output<'a> {
    /// A little more than what is shown, so that no secret is cut in two before it is covered.
    bytes: Vec<u8>,
    most: usize,
    missing: u64,
    veil: &'a Veil,
}

impl Output<'_> {
    fn new(most: usize, veil: &Veil) -> Output<'_> {
        Output {
            bytes: Vec::new(),
            most,
            missing: 0,
            veil,
        }
    }

    fn add(&mut self, chunk: &[u8]) {
        let most = self.most + self.veil.longest();
        let room = most.saturating_sub(self.bytes.len()).min(chunk.len());
        self.bytes.extend(chunk.get(..room).unwrap_or_default());
        self.missing += (chunk.len() - room) as u64;
    }

    async fn read(&mut self, from: Option<impl AsyncRead + Unpin>) {
        let Some(mut from) = from else { return };
        let mut chunk = vec![0; 16 << 10];
        while let Ok(n) = from.read(&mut chunk).await
            && n > 0
        {
            self.add(chunk.get(..n).unwrap_or_default());
        }
    }

    fn text(&self) -> String {
        let text = self.veil.cover(&String::from_utf8_lossy(&self.bytes));
        let shown = text::head(&text, self.most).trim_end();
        match self.missing + (text.trim_end().len() - shown.len()) as u64 {
            0 => shown.to_owned(),
            missing => format!("{shown}\n[{missing} more bytes are not shown]"),
        }
    }
}

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

async fn ask(tool: &ToolOptions, http: &Http, input: &Value, veil: &Veil) -> Said {
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

/// As it stands in an address.
fn encoded(secret: &str) -> String {
    let none = Url::parse("http://x").map(|mut url| {
        url.query_pairs_mut().append_key_only(secret);
        // A space is a plus in a query alone.
        url.query().unwrap_or_default().replace('+', "%20")
    });
    none.unwrap_or_default()
}

/// Covers a tool's secrets, should it say them: as they are, and as they stand in JSON and in
/// addresses. A tool that wants to give its secret away finds a way; one that prints it by mistake
/// does not.
struct Veil {
    /// Longest first: one may be a part of another.
    covers: Vec<SecretString>,
}

impl Veil {
    fn new(tool: &ToolOptions) -> Veil {
        let mut covers: Vec<String> = Vec::new();
        let secrets = tool.secrets.values().map(ExposeSecret::expose_secret);
        for secret in secrets.filter(|secret| secret.len() >= SECRET_BYTES) {
            let json = Value::from(secret).to_string();
            let json = json.trim_matches('"').to_owned();
            covers.extend([secret.to_owned(), json, encoded(secret)]);
        }
        covers.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        covers.dedup();
        Veil {
            covers: covers.into_iter().map(SecretString::from).collect(),
        }
    }

    fn longest(&self) -> usize {
        let longest = self.covers.first();
        longest.map_or(0, |cover| cover.expose_secret().len())
    }

    fn cover(&self, text: &str) -> String {
        self.covers
            .iter()
            .map(ExposeSecret::expose_secret)
            .fold(text.to_owned(), |text, secret| {
                match text.contains(secret) {
                    true => text.replace(secret, "[secret]"),
                    false => text,
                }
            })
    }

    /// The end of something longer, in whose front half a secret may stand.
    fn cover_tail(&self, tail: &[u8]) -> String {
        let cut = match tail.len() >= reader::TAIL_BYTES {
            true => self.longest().min(tail.len()),
            false => 0,
        };
        // Covered first: a secret in whole at the front is not to be cut in two now.
        let whole = self.cover(&String::from_utf8_lossy(tail));
        let kept = whole.len().saturating_sub(cut);
        text::tail(&whole, kept).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn around() -> Surroundings {
        let mark = format!("test-{:x}", fastrand());
        Surroundings {
            environment: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
            claim: Claim {
                mark,
                ..Claim::default()
            },
            programs: Arc::default(),
        }
    }

    fn fastrand() -> u128 {
        uuid::Uuid::new_v4().as_u128()
    }

    fn shell(script: &str) -> ToolOptions {
        ToolOptions {
            name: "t".into(),
            command: ["sh", "-c", script].map(str::to_owned).into(),
            secrets: BTreeMap::from([("KEY".into(), "hunter2-canary".into())]),
            timeout_secs: 20,
            max_output_bytes: 1000,
            ..ToolOptions::default()
        }
    }

    #[tokio::test]
    async fn a_program_reads_its_input_and_has_its_secret_and_nothing_else() {
        let tool = shell(
            "cat; test \"$KEY\" = hunter2-canary && echo good; env | cut -d= -f1 | sort; pwd",
        );
        let said = run(&tool, &json!({"id": 7}), around()).await;
        assert!(!said.failed, "{said:?}");
        let lines: Vec<&str> = said.text.lines().collect();
        assert_eq!(lines[..2], ["{\"id\":7}", "good"]);
        assert_eq!(lines[2..], ["BULKHEAD_AGENT", "KEY", "PATH", "PWD", "/"]);
    }

    #[tokio::test]
    async fn a_secret_that_is_said_is_covered() {
        let said = run(&shell("echo key is $KEY; exit 3"), &json!({}), around()).await;
        assert!(said.failed);
        assert_eq!(said.text, "key is [secret]\n(exit status: 3)");
    }

    #[tokio::test]
    async fn what_it_says_is_bounded_and_it_says_so() {
        let said = run(
            &shell("head -c 100000 /dev/zero | tr '\\0' x; echo no >&2"),
            &json!({}),
            around(),
        )
        .await;
        assert!(
            !said.failed && said.text.len() < 1100,
            "{}",
            said.text.len()
        );
        assert!(said.text.ends_with("[99000 more bytes are not shown]"));
    }

    #[tokio::test]
    async fn what_takes_too_long_is_ended_with_what_it_started() {
        let nap = format!("sleep 7401.{}", std::process::id());
        let tool = ToolOptions {
            timeout_secs: 1,
            ..shell(&format!("setsid {nap} & {nap}"))
        };
        let around = around();
        let claim = around.claim.clone();
        let said = run(&tool, &json!({}), around).await;
        assert!(said.failed && said.text.contains("within 1 s"), "{said:?}");
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while !claim.all().is_empty() {
            assert!(std::time::Instant::now() < until, "{:?}", claim.all());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn a_program_that_leaves_somebody_behind_is_not_waited_for() {
        let said = run(&shell("sleep 7402 & echo done"), &json!({}), around()).await;
        assert_eq!((said.text.as_str(), said.failed), ("done", false));
    }

    #[tokio::test]
    async fn a_missing_program_is_told() {
        let tool = ToolOptions {
            command: vec!["/no/such".into()],
            ..shell("")
        };
        let said = run(&tool, &json!({}), around()).await;
        assert!(
            said.failed && said.text.contains("cannot be started"),
            "{said:?}"
        );
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
            ..shell("")
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
