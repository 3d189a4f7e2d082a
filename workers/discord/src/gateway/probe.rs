//! A look at the gateway: a connection up to Hello. No IDENTIFY, so no session and nothing spent.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::FAREWELL;
use super::dial::{self, Proxy};
use super::frame::{self, Frame};
use crate::options::Options;

/// Connects to `told`, waits for Hello and leaves. `encrypted`: whether REST is.
///
/// # Errors
/// In words, without an address.
pub(crate) async fn hello(told: &str, encrypted: bool, options: &Options) -> Result<(), String> {
    let url = dial::address(told, encrypted)?;
    let proxy = Proxy::of(options).map(Arc::new);
    let mut socket = dial::dial(url, proxy).await?;
    let patience = Duration::from_millis(options.timing.hello_ms);
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
