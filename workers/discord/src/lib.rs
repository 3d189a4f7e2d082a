//! One Discord bot.
