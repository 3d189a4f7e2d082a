//! The codec under truncation, junk and the passing of time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

#[allow(dead_code, missing_docs, unreachable_pub)]
mod samples;

use ipc_schema::{Body, Decoder, Envelope, FrameError, MAX_FRAME, encode};
use proptest::prelude::*;

fn decode_all(bytes: &[u8]) -> Result<Vec<Envelope>, FrameError> {
    let mut decoder = Decoder::default();
    decoder.feed(bytes);
    let mut envelopes = Vec::new();
    while let Some(envelope) = decoder.next()? {
        envelopes.push(envelope);
    }
    Ok(envelopes)
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(payload);
    frame
}

#[test]
fn a_stream_cut_anywhere_gives_the_same_envelopes() {
    let sent: Vec<Envelope> = samples::all()
        .into_iter()
        .map(|(_, envelope)| envelope)
        .collect();
    let stream: Vec<u8> = sent
        .iter()
        .flat_map(|envelope| encode(envelope).unwrap())
        .collect();
    for step in [1, 2, 3, 7, 64, 1000, stream.len()] {
        let mut decoder = Decoder::default();
        let mut got = Vec::new();
        for piece in stream.chunks(step) {
            decoder.feed(piece);
            while let Some(envelope) = decoder.next().unwrap() {
                got.push(envelope);
            }
        }
        assert_eq!(got, sent, "in steps of {step}");
        assert!(!decoder.in_mid_frame());
    }
}

#[test]
fn half_a_frame_is_noticed() {
    let (_, envelope) = samples::all().remove(0);
    let frame = encode(&envelope).unwrap();
    for length in 1..frame.len() {
        let mut decoder = Decoder::default();
        decoder.feed(&frame[..length]);
        assert!(decoder.next().unwrap().is_none());
        assert!(decoder.in_mid_frame(), "{length} of {}", frame.len());
    }
}

#[test]
fn a_truncated_payload_is_an_error() {
    for (name, envelope) in samples::all() {
        let frame = encode(&envelope).unwrap();
        let payload = &frame[4..];
        for length in 1..payload.len() {
            let cut = framed(&payload[..length]);
            assert!(decode_all(&cut).is_err(), "{name} cut to {length}");
        }
    }
}

#[test]
fn lengths_are_judged_before_anything_is_allocated() {
    for length in [u32::MAX, MAX_FRAME as u32 + 1] {
        let mut decoder = Decoder::default();
        decoder.feed(&length.to_be_bytes());
        assert!(matches!(decoder.next(), Err(FrameError::TooLong(n)) if n == length as usize));
    }
    assert!(matches!(decode_all(&[0; 4]), Err(FrameError::Empty)));
}

#[test]
fn bytes_behind_the_envelope_are_an_error() {
    let (_, envelope) = samples::all().remove(0);
    let mut payload = encode(&envelope).unwrap()[4..].to_vec();
    payload.push(0xc0);
    assert!(matches!(
        decode_all(&framed(&payload)),
        Err(FrameError::Trailing(1))
    ));
}

#[test]
fn an_error_quotes_nothing_of_what_was_sent() {
    let bad = serde_json::json!({
        "id": 1, "body": {"kind": "inbound", "event_id": "e", "sender": "canary words"},
    });
    let error = decode_all(&framed(&rmp_serde::to_vec_named(&bad).unwrap())).unwrap_err();
    assert!(matches!(error, FrameError::Malformed(_)));
    assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
}

#[test]
fn what_is_too_long_is_not_written() {
    let (_, mut envelope) = samples::all().remove(0);
    envelope.trace = "x".repeat(MAX_FRAME);
    assert!(matches!(encode(&envelope), Err(FrameError::TooLong(_))));
}

/// A newer peer: a kind that nobody here knows, and a field that nobody here knows.
#[test]
fn unknown_kinds_and_fields_survive() {
    let newer = serde_json::json!({
        "id": 3, "trace": "t", "novel": [1, {"a": null}],
        "body": {"kind": "teleport", "to": {"deep": ["x", 1.5, true]}},
    });
    let got = decode_all(&framed(&rmp_serde::to_vec_named(&newer).unwrap())).unwrap();
    assert_eq!(got[0].body, Body::Unknown);
    assert_eq!(got[0].id, 3);

    for (name, envelope) in samples::all() {
        let mut value = serde_json::to_value(&envelope).unwrap();
        value["body"]["novel"] = serde_json::json!({"x": [1, 2]});
        let got = decode_all(&framed(&rmp_serde::to_vec_named(&value).unwrap()))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(got[0], envelope, "{name}");
    }
}

/// An older peer: it knows nothing of the fields that have a default.
#[test]
fn absent_fields_have_defaults() {
    let older = serde_json::json!({
        "id": 1,
        "body": {"kind": "deliver", "key": "k", "reply": "r", "index": 0, "count": 1,
                 "address": "a", "text": "hi"},
    });
    let got = decode_all(&framed(&rmp_serde::to_vec_named(&older).unwrap())).unwrap();
    let Body::Deliver(deliver) = &got[0].body else {
        panic!("{got:?}")
    };
    assert_eq!(
        (deliver.age_ms, deliver.silent, deliver.reply_to.as_str()),
        (0, false, "")
    );
}

fn any_sample() -> impl Strategy<Value = Envelope> {
    let samples: Vec<Envelope> = samples::all()
        .into_iter()
        .map(|(_, envelope)| envelope)
        .collect();
    (prop::sample::select(samples), any::<u64>(), ".{0,40}").prop_map(|(envelope, id, trace)| {
        Envelope {
            id,
            trace,
            ..envelope
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(envelope in any_sample()) {
        prop_assert_eq!(decode_all(&encode(&envelope).unwrap()).unwrap(), vec![envelope]);
    }

    /// A frame carries no checksum (a local stream does not damage bytes): a flipped bit gives an
    /// error or another well-formed envelope, never a panic, a hang or an oversized allocation.
    #[test]
    fn a_flipped_bit_is_survived(envelope in any_sample(), at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut frame = encode(&envelope).unwrap();
        let at = at.index(frame.len());
        frame[at] ^= 1 << bit;
        if let Ok(envelopes) = decode_all(&frame) {
            for envelope in envelopes {
                // An envelope that was read can be written again, whatever it says; `Unknown`
                // stands for kinds that this version has no words for.
                if envelope.body != Body::Unknown {
                    prop_assert!(encode(&envelope).is_ok());
                }
            }
        }
    }

    #[test]
    fn junk_is_survived(junk in prop::collection::vec(any::<u8>(), 0..2000)) {
        let _ = decode_all(&junk);
        let _ = decode_all(&framed(&junk));
    }
}
