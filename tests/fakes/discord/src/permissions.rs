//! Permission bits, coarse: what a person or bot may do in a channel is everything usual less what was denied there.
//!
//! The numbers are Discord's own.

/// See the channel and its events.
pub const VIEW_CHANNEL: u64 = 1 << 10;
/// Write in it; means nothing in threads.
pub const SEND_MESSAGES: u64 = 1 << 11;
/// Delete and change others' messages.
pub const MANAGE_MESSAGES: u64 = 1 << 13;
/// Send embeds.
pub const EMBED_LINKS: u64 = 1 << 14;
/// Send files.
pub const ATTACH_FILES: u64 = 1 << 15;
/// Read what was written before, and reply to it.
pub const READ_MESSAGE_HISTORY: u64 = 1 << 16;
/// Ping @everyone, @here and every role.
pub const MENTION_EVERYONE: u64 = 1 << 17;
/// Add new reactions.
pub const ADD_REACTIONS: u64 = 1 << 6;
/// Archive, lock and delete others' threads.
pub const MANAGE_THREADS: u64 = 1 << 34;
/// Make public threads.
pub const CREATE_PUBLIC_THREADS: u64 = 1 << 35;
/// Make private threads.
pub const CREATE_PRIVATE_THREADS: u64 = 1 << 36;
/// Write in threads.
pub const SEND_MESSAGES_IN_THREADS: u64 = 1 << 38;

/// What everyone has where nothing was denied. MENTION_EVERYONE is in it on purpose: a bot that forgets `allowed_mentions` pings.
pub const USUAL: u64 = VIEW_CHANNEL
    | SEND_MESSAGES
    | EMBED_LINKS
    | ATTACH_FILES
    | READ_MESSAGE_HISTORY
    | MENTION_EVERYONE
    | ADD_REACTIONS
    | CREATE_PUBLIC_THREADS
    | CREATE_PRIVATE_THREADS
    | SEND_MESSAGES_IN_THREADS;

/// Everything, as a guild's owner has it.
pub const ALL: u64 = USUAL | MANAGE_MESSAGES | MANAGE_THREADS;
