//! The API as a client sees it.
#![allow(clippy::expect_used)] // tests

use std::time::Duration;

use fake_model::script::{Point, Script, Trouble};
use fake_model::{Event, FakeModel, Key, Purpose};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(10);

struct Client {
    http: reqwest::Client,
    url: String,
}

impl Client {
    fn of(model: &FakeModel) -> Self {
        // Another test of this binary may have been first; one provider is as good as the other.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            http: reqwest::Client::builder()
                .timeout(SOON)
                .build()
                .expect("a client"),
            url: model.url(),
        }
    }

    fn ask(&self, body: &Value) -> RequestBuilder {
        let request = self
            .http
            .post(format!("{}/v1/messages?beta=true", self.url));
        let request = request
            .header("anthropic-version", "2023-06-01")
            .header("x-api-key", "dummy");
        request.body(body.to_string())
    }

    async fn say(&self, prompt: &str) -> Response {
        self.ask(&turn(prompt)).send().await.expect("an answer")
    }
}

fn turn(prompt: &str) -> Value {
    json!({ "model": "claude-opus-5-5", "max_tokens": 1000, "stream": true, "tools": [{ "name": "Bash" }],
        "messages": [{ "role": "user", "content": prompt }] })
}

fn events(body: &str) -> Vec<Value> {
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).expect("an event"))
        .collect()
}

fn text(body: &str) -> String {
    let events = events(body);
    events
        .iter()
        .filter_map(|event| event["delta"]["text"].as_str())
        .collect()
}

#[tokio::test]
async fn a_turn_is_streamed_and_written_down() {
    let model = FakeModel::start().await.expect("a fake");
    let response = Client::of(&model).say("hello").await;
    assert_eq!(
        response.headers()["content-type"],
        "text/event-stream; charset=utf-8"
    );
    let body = response.text().await.expect("a body");
    assert_eq!(text(&body), "You said: hello");
    let kinds: Vec<_> = events(&body)
        .iter()
        .map(|e| e["type"].as_str().unwrap_or("?").to_owned())
        .collect();
    let expected = [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(kinds, expected);
    let answered = |event: &Event| matches!(event, Event::Answered { id: 0, status: 200 });
    model
        .ledger()
        .wait_for(answered, SOON)
        .await
        .expect("the end");
    let asked = model
        .ledger()
        .find(|event| matches!(event, Event::Request { .. }))
        .expect("the request");
    let Event::Request { asked, key, .. } = asked.what else {
        panic!("{asked:?}")
    };
    assert_eq!(
        (asked.prompt.as_str(), asked.purpose, key),
        ("hello", Purpose::Turn, Key::Good)
    );
    assert!(
        !format!("{:?}", model.ledger().snapshot()).contains("dummy"),
        "no key in the ledger"
    );
}

#[tokio::test]
async fn an_answer_comes_in_one_piece_when_no_stream_is_wanted() {
    let model = FakeModel::start().await.expect("a fake");
    let mut body = turn("#say one\n#tool Bash ls");
    body["stream"] = json!(false);
    let answer = Client::of(&model)
        .ask(&body)
        .send()
        .await
        .expect("an answer")
        .text()
        .await
        .expect("a body");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(answer["content"][0]["text"], "one");
    assert_eq!(answer["content"][1]["input"]["command"], "ls");
    assert_eq!(answer["stop_reason"], "tool_use");
}

#[tokio::test]
async fn a_tools_outcome_is_answered() {
    let model = FakeModel::start().await.expect("a fake");
    let mut body = turn("#tool Bash ls");
    let call = json!([{ "type": "tool_use", "id": "t", "name": "Bash", "input": {} }]);
    let outcome = json!([{ "type": "tool_result", "tool_use_id": "t", "content": "a.txt" }]);
    let messages = body["messages"].as_array_mut().expect("messages");
    messages.push(json!({ "role": "assistant", "content": call }));
    messages.push(json!({ "role": "user", "content": outcome }));
    let answer = Client::of(&model)
        .ask(&body)
        .send()
        .await
        .expect("an answer")
        .text()
        .await
        .expect("a body");
    assert_eq!(text(&answer), "Tool said: a.txt");
}

#[tokio::test]
async fn troubles_have_the_documented_form() {
    let model = FakeModel::start().await.expect("a fake");
    let client = Client::of(&model);
    for (status, kind) in [
        (401, "authentication_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (529, "overloaded_error"),
    ] {
        let response = client.say(&format!("#error {status}")).await;
        assert_eq!(response.status().as_u16(), status);
        let body: Value =
            serde_json::from_str(&response.text().await.expect("a body")).expect("JSON");
        assert_eq!(
            (body["type"].as_str(), body["error"]["type"].as_str()),
            (Some("error"), Some(kind))
        );
    }
    // A trouble that passes: the third try of the same turn is answered.
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(client.say("#error 529 2").await.status().as_u16());
    }
    assert_eq!(seen, [529, 529, 200]);
}

#[tokio::test]
async fn keys_are_judged() {
    let model = FakeModel::start().await.expect("a fake");
    let client = Client::of(&model);
    let bare = client
        .http
        .post(format!("{}/v1/messages", client.url))
        .header("anthropic-version", "2023-06-01");
    let response = bare
        .body(turn("hi").to_string())
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.status().as_u16(), 401);
    model.expect_key("the real one");
    assert_eq!(client.say("hi").await.status().as_u16(), 401);
    let good = client
        .http
        .post(format!("{}/v1/messages", client.url))
        .header("anthropic-version", "2023-06-01");
    let good = good
        .header("authorization", "Bearer the real one")
        .body(turn("hi").to_string());
    assert_eq!(good.send().await.expect("an answer").status().as_u16(), 200);
    let keys = model.ledger().filter_map(|event| match event {
        Event::Request { key, .. } => Some(*key),
        _ => None,
    });
    assert_eq!(keys, [Key::Missing, Key::Wrong, Key::Good]);
}

#[tokio::test]
async fn a_turn_is_held_once_and_released() {
    let model = FakeModel::start().await.expect("a fake");
    let client = Client::of(&model);
    let mut response = client.say("#hold first-delta\nhello").await;
    model.held(Point::FirstDelta, SOON).await.expect("held");
    let mut begun = String::new();
    while !begun.contains("content_block_delta") {
        begun.push_str(&String::from_utf8_lossy(
            &response
                .chunk()
                .await
                .expect("a chunk")
                .expect("not the end"),
        ));
    }
    assert!(!begun.contains("message_stop"));
    drop(response); // the client dies; it is written down when the answer next moves
    assert_eq!(model.release(Point::FirstDelta), 1);
    // The same turn again is not held.
    let again = client
        .say("#hold first-delta\nhello")
        .await
        .text()
        .await
        .expect("a body");
    assert_eq!(text(&again), "You said: hello");
}

#[tokio::test]
async fn before_the_first_delta_nothing_comes() {
    let model = FakeModel::start().await.expect("a fake");
    let client = Client::of(&model);
    let asked = tokio::spawn(client.ask(&turn("#hold before-first-delta\nhello")).send());
    model
        .held(Point::BeforeFirstDelta, SOON)
        .await
        .expect("held");
    assert!(!asked.is_finished());
    assert_eq!(model.release_all(), 1);
    let body = asked
        .await
        .expect("no panic")
        .expect("an answer")
        .text()
        .await
        .expect("a body");
    assert_eq!(text(&body), "You said: hello");
}

#[tokio::test]
async fn a_drop_cuts_the_answer() {
    let model = FakeModel::start().await.expect("a fake");
    let response = Client::of(&model).say("#drop\n#chars 500").await;
    response.text().await.expect_err("a cut body");
    model
        .ledger()
        .wait_for(|event| matches!(event, Event::Cut { id: 0 }), SOON)
        .await
        .expect("the cut");
}

#[tokio::test]
async fn a_told_script_goes_to_the_next_turn_and_not_to_side_requests() {
    let model = FakeModel::start().await.expect("a fake");
    let client = Client::of(&model);
    model.next_turn(Script {
        trouble: Some((Trouble::Status(429), Some(1))),
        ..Script::parse("#say told")
    });
    let side = json!({ "model": "claude-haiku-4-5", "max_tokens": 100, "messages": [{ "role": "user", "content": "a title" }] });
    assert_eq!(
        client
            .ask(&side)
            .send()
            .await
            .expect("an answer")
            .status()
            .as_u16(),
        200
    );
    assert_eq!(client.say("hello").await.status().as_u16(), 429);
    assert_eq!(
        text(&client.say("hello").await.text().await.expect("a body")),
        "told"
    );
    assert_eq!(
        text(&client.say("another").await.text().await.expect("a body")),
        "You said: another"
    );
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_written_down() {
    let model = FakeModel::start().await.expect("a fake");
    let client = Client::of(&model);
    assert_eq!(
        client
            .ask(&json!({ "model": "m" }))
            .send()
            .await
            .expect("an answer")
            .status()
            .as_u16(),
        400
    );
    let unversioned = client
        .http
        .post(format!("{}/v1/messages", client.url))
        .header("x-api-key", "k");
    assert_eq!(
        unversioned
            .body(turn("hi").to_string())
            .send()
            .await
            .expect("an answer")
            .status()
            .as_u16(),
        400
    );
    let elsewhere = client
        .http
        .get(format!("{}/v1/elsewhere", client.url))
        .send()
        .await
        .expect("an answer");
    assert_eq!(elsewhere.status().as_u16(), 404);
    assert_eq!(
        model
            .ledger()
            .count(|event| matches!(event, Event::Refused { .. })),
        3
    );
    let counted = client
        .http
        .post(format!("{}/v1/messages/count_tokens", client.url))
        .header("x-api-key", "k");
    let counted = counted
        .body(turn("hi").to_string())
        .send()
        .await
        .expect("an answer")
        .text()
        .await
        .expect("a body");
    assert!(counted.starts_with("{\"input_tokens\":"), "{counted}");
}

#[tokio::test]
async fn the_control_surface_tells_and_releases() {
    let model = FakeModel::start().await.expect("a fake");
    let client = Client::of(&model);
    let post = |path: &str, body: Value| {
        client
            .http
            .post(format!("{}{path}", client.url))
            .body(body.to_string())
            .send()
    };
    let told = post(
        "/control/next",
        json!({ "script": "#hold before-result\n#say by control" }),
    )
    .await
    .expect("an answer");
    assert_eq!(told.status().as_u16(), 200);
    let turn = tokio::spawn(client.ask(&turn("hello")).send());
    let held = format!("{}/control/ledger?since=1&wait_ms=10000", client.url);
    let held = client
        .http
        .get(held)
        .send()
        .await
        .expect("an answer")
        .text()
        .await
        .expect("a body");
    assert!(held.contains("before-result"), "{held}");
    let wrong = post("/control/release", json!({ "point": "nowhere" }))
        .await
        .expect("an answer");
    assert_eq!(wrong.status().as_u16(), 400);
    let released = post("/control/release", json!({}))
        .await
        .expect("an answer")
        .text()
        .await
        .expect("a body");
    assert_eq!(released, "{\"released\":1}");
    let body = turn
        .await
        .expect("no panic")
        .expect("an answer")
        .text()
        .await
        .expect("a body");
    assert_eq!(text(&body), "by control");
}
