//! A look at the gateway: a connection up to Hello. No IDENTIFY, so no session and nothing spent.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::FAREWELL;
use super::dial;
use super::frame::{self, Frame};
use crate::rest::Rest;

/// Connects to `told`, waits for Hello, at most for `patience`, and leaves.
///
/// # Errors
/// In words, without an address.
pub(crate) async fn hello(rest: &Rest, told: &str, patience: Duration) -> Result<(), String> {
    let url = dial::address(told, rest.is_encrypted())?;
    let mut socket = dial::dial(url, rest.proxy()).await?;
    let greeted = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => match frame::read(&text) {
                    Ok(Frame::Hello { .. }) => return Ok(()),
                    Ok(Frame::Reconnect) => return Err("it asks to come back later".to_owned()),
                    _ => {}
                },
                Some(Ok(Message::Close(Some(CloseFrame { code, .. })))) => {
                    return Err(format!("it closes the connection with code {code}"));
                }
                Some(Ok(Message::Close(None))) | None => {
                    return Err("it closes the connection".to_owned());
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.to_string()),
            }
        }
    };
    let greeted = match tokio::time::timeout(patience, greeted).await {
        Ok(greeted) => greeted,
        Err(_) => Err("it takes the connection and says nothing".to_owned()),
    };
    // Whether it says goodbye does not matter to what was seen.
    let _ = tokio::time::timeout(FAREWELL, socket.close(None)).await;
    greeted
}
