//! One envelope of each kind, every field set.

use std::collections::BTreeMap;

use ipc_schema::*;

fn at() -> TurnRef {
    TurnRef {
        turn: "t1".into(),
        attempt: 2,
    }
}

fn blob() -> BlobRef {
    BlobRef {
        sha256: "ab".repeat(32),
        name: "a.png".into(),
        mime: "image/png".into(),
        size: 7,
    }
}

fn update(event: TurnEvent) -> Body {
    Body::TurnUpdate(TurnUpdate {
        at: at(),
        n: 3,
        event,
    })
}

fn ended(fault: Fault) -> Body {
    update(TurnEvent::Ended {
        outcome: Outcome::Failed { fault },
    })
}

fn remark(about: Remark) -> Body {
    update(TurnEvent::Remark { about })
}

fn asked(about: QuestionKind) -> Body {
    let question = Question {
        question: "q1".into(),
        about,
        deadline_ms: 600_000,
    };
    update(TurnEvent::Asked(question))
}

fn decide(decision: Decision) -> Body {
    Body::Decide(Decide {
        question: "q1".into(),
        decision,
    })
}

fn failed(failure: Failure) -> Body {
    let why = "HTTP 500".into();
    Body::DeliveryFailed(DeliveryFailed {
        key: "k-0".into(),
        failure,
        why,
    })
}

fn acted(act: Act) -> Body {
    Body::Inbound(Inbound {
        event_id: "e2".into(),
        act,
        ..Inbound::default()
    })
}

fn card() -> Card {
    Card {
        title: "Working".into(),
        text: "🔧 Bash".into(),
        footer: "12 s".into(),
        tone: Tone::Working,
    }
}

pub fn all() -> Vec<(&'static str, Envelope)> {
    let bodies = vec![
        (
            "hello",
            Body::Hello(Hello {
                schema_min: 1,
                schema_max: 1,
                software: "discord-worker 0.1.0".into(),
                peer_kind: "discord".into(),
                instance: "main".into(),
                generation: 4,
                capabilities: Capabilities {
                    text_limit: 2000,
                    dialect: "discord".into(),
                    joins_chunks: true,
                    window: 1,
                    language: "en".into(),
                    typing: true,
                    edit: true,
                    embeds: true,
                    buttons: true,
                    threads: true,
                    files: true,
                    file_limit: 10 << 20,
                    modes: vec!["default".into(), "plan".into()],
                    models: true,
                    dedups_prompts: true,
                },
                link_key: LinkKey(vec![7; 32]),
            }),
        ),
        (
            "welcome",
            Body::Welcome(Welcome {
                schema: 1,
                credit: 64,
                cursors: vec![Cursor {
                    name: "gateway".into(),
                    value: vec![1, 2, 255],
                }],
                commands: vec![CommandSpec {
                    name: "switch".into(),
                    about: "Go to a session".into(),
                    about_zh: "切换会话".into(),
                    options: vec![CommandOption {
                        name: "session".into(),
                        about: "Its number".into(),
                        about_zh: "编号".into(),
                        number: true,
                        required: true,
                        choices: vec!["1".into()],
                    }],
                    private: true,
                }],
            }),
        ),
        (
            "refuse",
            Body::Refuse(Refuse {
                code: RefuseCode::Schema,
                hint: "upgrade".into(),
            }),
        ),
        (
            "nack",
            Body::Nack(Nack {
                id: 9,
                why: "unknown kind".into(),
            }),
        ),
        ("credit", Body::Credit(Credit { frames: 32 })),
        (
            "inbound",
            Body::Inbound(Inbound {
                event_id: "1234567890123456789".into(),
                conversation: "dm:1".into(),
                address: "55".into(),
                direct: true,
                shared: true,
                sender: Sender {
                    id: "1".into(),
                    name: "Ann".into(),
                    owner: true,
                },
                access: Access::Granted,
                text: "héllo 你好".into(),
                quoted: Some("before".into()),
                attachments: vec![blob()],
                left_out: vec!["b.zip (40 MB)".into()],
                left_out_zh: Vec::new(),
                reply_to: "1234567890123456789".into(),
                order: 1234567890123456789,
                sent_at_ms: 1_776_632_033_273,
                act: Act::Message,
                lacks: vec![Lack::Threads],
            }),
        ),
        ("inbound_command", acted(Act::Command)),
        (
            "inbound_pressed",
            acted(Act::Pressed {
                question: "q1".into(),
                values: vec!["allow".into()],
            }),
        ),
        ("inbound_edited", acted(Act::Edited { of: "e1".into() })),
        ("inbound_deleted", acted(Act::Deleted { of: "e1".into() })),
        (
            "accepted",
            Body::Accepted(Accepted {
                event_id: "e".into(),
            }),
        ),
        (
            "deferred",
            Body::Deferred(Deferred {
                event_id: "e".into(),
                retry_after_ms: 5000,
                why: "disk full".into(),
            }),
        ),
        (
            "cursor_put",
            Body::CursorPut(CursorPut {
                name: "gateway".into(),
                number: 2,
                value: vec![0, 255],
            }),
        ),
        (
            "cursor_kept",
            Body::CursorKept(CursorKept {
                name: "gateway".into(),
                number: 2,
            }),
        ),
        (
            "blob_segment",
            Body::BlobSegment(BlobSegment {
                sha256: "ab".repeat(32),
                offset: 4,
                total: 7,
                bytes: vec![1, 2, 3],
            }),
        ),
        (
            "blob_kept",
            Body::BlobKept(BlobKept {
                sha256: "ab".repeat(32),
            }),
        ),
        (
            "blob_get",
            Body::BlobGet(BlobGet {
                sha256: "ab".repeat(32),
                offset: 131_072,
            }),
        ),
        (
            "blob_gone",
            Body::BlobGone(BlobGone {
                sha256: "ab".repeat(32),
            }),
        ),
        (
            "revise",
            Body::Revise(Revise {
                address: "55".into(),
                platform_id: "88".into(),
                text: "🤔 Thinking…".into(),
                card: Some(card()),
            }),
        ),
        (
            "deliver_select",
            Body::Deliver(Deliver {
                key: "k-1".into(),
                controls: vec![Control::Select {
                    options: vec![SelectOption {
                        value: "1".into(),
                        label: "SQLite".into(),
                        about: "a file".into(),
                    }],
                    most: 2,
                    hint: "Choose".into(),
                }],
                ..Deliver::default()
            }),
        ),
        (
            "deliver",
            Body::Deliver(Deliver {
                key: "k-0".into(),
                reply: "k".into(),
                index: 0,
                count: 2,
                address: "55".into(),
                text: "hi".into(),
                reply_to: "77".into(),
                age_ms: 12,
                first_attempt_at_ms: 1_776_632_033_273,
                silent: true,
                edits: "66".into(),
                or_post: true,
                card: Some(card()),
                question: "q1".into(),
                controls: vec![Control::Button {
                    value: "allow".into(),
                    label: "Allow".into(),
                    tone: Tone::Good,
                }],
                files: vec![blob()],
                answers: "e1".into(),
                private: true,
            }),
        ),
        (
            "delivered",
            Body::Delivered(Delivered {
                key: "k-0".into(),
                platform_id: "88".into(),
                lacks: vec![Lack::Cards],
            }),
        ),
        ("delivery_failed_retry", failed(Failure::Retry(1500))),
        ("delivery_failed_permanent", failed(Failure::Permanent)),
        ("delivery_failed_credentials", failed(Failure::Credentials)),
        ("delivery_failed_ambiguous", failed(Failure::Ambiguous)),
        (
            "delivery_kept",
            Body::DeliveryKept(DeliveryKept { key: "k-0".into() }),
        ),
        (
            "activity",
            Body::Activity(Activity {
                address: "55".into(),
                turn: "t1".into(),
                working: true,
            }),
        ),
        (
            "open_turns",
            Body::OpenTurns(OpenTurns { turns: vec![at()] }),
        ),
        (
            "turns_answer",
            Body::TurnsAnswer(TurnsAnswer {
                turns: [Standing::Running, Standing::Ended, Standing::Unknown]
                    .map(|standing| TurnStanding { at: at(), standing })
                    .into(),
            }),
        ),
        (
            "prompt",
            Body::Prompt(Prompt {
                at: at(),
                session: "s1".into(),
                agent_session: "5b2f3c1e-0000-4000-8000-000000000001".into(),
                prompt_id: "5b2f3c1e-0000-5000-8000-000000000002".into(),
                resend: true,
                text: "hi".into(),
                attachments: vec![blob()],
                mode: "plan".into(),
                model: "opus".into(),
                file_limit: None,
            }),
        ),
        (
            "prompt_file_limit",
            Body::Prompt(Prompt {
                at: at(),
                session: "s1".into(),
                text: "hi".into(),
                file_limit: Some(1 << 20),
                ..Prompt::default()
            }),
        ),
        (
            "interrupt",
            Body::Interrupt(Interrupt {
                at: at(),
                session: "s1".into(),
            }),
        ),
        (
            "close_session",
            Body::CloseSession(CloseSession {
                session: "s1".into(),
            }),
        ),
        ("decide_allow", decide(Decision::Allow)),
        ("decide_deny", decide(Decision::Deny { why: "no".into() })),
        ("decide_always", decide(Decision::AllowAlways)),
        (
            "decide_answers",
            decide(Decision::Answers {
                answers: BTreeMap::from([("Which DB?".into(), "sqlite".into())]),
            }),
        ),
        (
            "update_started",
            update(TurnEvent::Started {
                agent_session: "u".into(),
                continued: true,
            }),
        ),
        (
            "update_text",
            update(TurnEvent::Text {
                block: "b1".into(),
                text: "hi".into(),
                more: true,
            }),
        ),
        (
            "update_file",
            update(TurnEvent::File {
                file: blob(),
                caption: "the plot".into(),
            }),
        ),
        (
            "update_usage",
            update(TurnEvent::Usage {
                context_tokens: 20_000,
                context_window: 200_000,
                cost_microusd: 12_345,
                model: "opus".into(),
            }),
        ),
        (
            "update_waiting",
            update(TurnEvent::Waiting {
                ahead: 2,
                memory: true,
            }),
        ),
        (
            "update_thinking",
            update(TurnEvent::Thinking {
                text: String::new(),
            }),
        ),
        (
            "update_partial",
            update(TurnEvent::Partial { text: "h".into() }),
        ),
        (
            "update_tool",
            update(TurnEvent::Tool {
                name: "Bash".into(),
                input: "ls".into(),
            }),
        ),
        (
            "update_note",
            update(TurnEvent::Note {
                text: "retrying".into(),
            }),
        ),
        (
            "update_remark_retry",
            remark(Remark::Retry {
                status: 529,
                attempt: 4,
                of: 11,
                wait_ms: 20_000,
            }),
        ),
        (
            "update_remark_refused",
            remark(Remark::Refused {
                what: Refusal::Write {
                    path: "/etc/shadow".into(),
                },
            }),
        ),
        (
            "update_remark_compacted",
            remark(Remark::Compacted {
                before: 150_000,
                after: 20_000,
            }),
        ),
        (
            "update_remark_forgot",
            remark(Remark::Forgot {
                why: "no such session".into(),
            }),
        ),
        (
            "update_remark_cut",
            remark(Remark::Cut {
                most: 4 << 20,
                missing: 7,
            }),
        ),
        (
            "update_asked_permission",
            asked(QuestionKind::Permission {
                tool: "Bash".into(),
                detail: "rm x".into(),
                always: Some("rm in this session".into()),
            }),
        ),
        (
            "update_asked_choice",
            asked(QuestionKind::Choice {
                text: "Which DB?".into(),
                options: vec![Choice {
                    label: "sqlite".into(),
                    description: "a file".into(),
                }],
                multiple: true,
            }),
        ),
        (
            "update_asked_plan",
            asked(QuestionKind::Plan {
                text: "1. do".into(),
            }),
        ),
        (
            "update_withdrawn",
            update(TurnEvent::Withdrawn {
                question: "q1".into(),
                expired: true,
            }),
        ),
        (
            "update_decided",
            update(TurnEvent::Decided {
                question: "q1".into(),
                applied: true,
            }),
        ),
        (
            "update_ended_done",
            update(TurnEvent::Ended {
                outcome: Outcome::Done,
            }),
        ),
        (
            "update_ended_stopped",
            update(TurnEvent::Ended {
                outcome: Outcome::Stopped,
            }),
        ),
        (
            "update_ended_missing",
            ended(Fault::AgentMissing {
                cmd: "claude".into(),
                why: "not found".into(),
            }),
        ),
        (
            "update_ended_logged_out",
            ended(Fault::LoggedOut {
                words: "run /login".into(),
            }),
        ),
        (
            "update_ended_agent",
            ended(Fault::Agent {
                words: "overloaded".into(),
            }),
        ),
        (
            "update_ended_runner",
            ended(Fault::Runner {
                at: Trouble::Sandbox,
                detail: "the kernel has no namespaces".into(),
            }),
        ),
        (
            "update_ended_timed_out",
            ended(Fault::TimedOut { minutes: 30 }),
        ),
        ("update_ended_cannot_resume", ended(Fault::CannotResume)),
        (
            "update_ended_died",
            ended(Fault::Died {
                words: "killed by SIGKILL".into(),
            }),
        ),
        (
            "updates_kept",
            Body::UpdatesKept(UpdatesKept { at: at(), n: 3 }),
        ),
        (
            "unprompted",
            Body::Unprompted(Unprompted {
                id: "u1".into(),
                session: "s1".into(),
                text: "done".into(),
            }),
        ),
        (
            "unprompted_kept",
            Body::UnpromptedKept(UnpromptedKept { id: "u1".into() }),
        ),
        (
            "worktrees",
            Body::Worktrees(Worktrees {
                worktrees: vec![Worktree {
                    session: "s1".into(),
                    path: "/w/.bulkhead/worktrees/s1".into(),
                    branch: "bulkhead/s1".into(),
                    kept: true,
                    changes: 2,
                    commits: 1,
                }],
            }),
        ),
        (
            "sandbox",
            Body::Sandbox(Sandbox {
                by: "landlock, namespaces".into(),
                network: "ports".into(),
                refused: [
                    Refusal::Read {
                        path: "/srv/a".into(),
                    },
                    Refusal::Write {
                        path: "/srv/b".into(),
                    },
                    Refusal::Port { port: 8443 },
                    Refusal::Network,
                ]
                .into_iter()
                .zip(1..)
                .map(|(what, n)| Refused {
                    session: format!("s{n}"),
                    what,
                })
                .collect(),
            }),
        ),
    ];
    bodies
        .into_iter()
        .map(|(name, body)| {
            (
                name,
                Envelope {
                    id: 5,
                    trace: "tr".into(),
                    body,
                },
            )
        })
        .collect()
}
