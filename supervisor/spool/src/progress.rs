//! What the chat has seen of a turn before its end.

use rusqlite::params;

use crate::{Result, Spool};

/// A piece of what the agent wrote in the current attempt of a turn.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Piece {
    /// Names it in the turn.
    pub block: String,
    /// The text, or the caption of the file.
    pub text: String,
    /// Its end has come.
    pub whole: bool,
    /// SHA-256 of the file that it is; empty = a text.
    pub file: String,
}

impl Spool {
    /// Appends a file to the content of the turn's current attempt.
    ///
    /// # Errors
    /// [`crate::SpoolError::Bug`] if there is no such turn.
    pub fn add_file(&self, turn: &str, block: &str, sha256: &str, caption: &str) -> Result<()> {
        let number = self.turn_number(turn)?;
        self.run(
            "INSERT INTO content (turn, number, block, text, more, file)
             VALUES (?1, 1 + coalesce((SELECT max(number) FROM content WHERE turn = ?1), 0),
                     ?2, ?3, 0, ?4)",
            params![number, block, caption, sha256],
        )?;
        Ok(())
    }

    /// Texts and files of the turn's current attempt, in the order in which they began.
    pub fn content(&self, turn: &str) -> Result<Vec<Piece>> {
        let rows = self.all(
            "SELECT block, text, more, file FROM content
             WHERE turn = (SELECT number FROM turns WHERE id = ?1) ORDER BY number",
            [turn],
            |row| {
                Ok(Piece {
                    block: row.get(0)?,
                    text: row.get(1)?,
                    whole: !row.get::<_, bool>(2)?,
                    file: row.get(3)?,
                })
            },
        )?;
        let mut pieces: Vec<Piece> = Vec::new();
        for row in rows {
            // Rows of a block come together, so the search ends at once.
            match pieces
                .iter_mut()
                .rev()
                .find(|piece| piece.block == row.block)
            {
                Some(piece) if row.file.is_empty() => {
                    piece.text.push_str(&row.text);
                    piece.whole = row.whole;
                }
                _ => pieces.push(row),
            }
        }
        Ok(pieces)
    }

    /// Notes that a piece of the turn's content has been posted; false if it had been already.
    ///
    /// # Errors
    /// [`crate::SpoolError::Bug`] if there is no such turn.
    pub fn show(&self, turn: &str, block: &str) -> Result<bool> {
        let number = self.turn_number(turn)?;
        let new = self.run(
            "INSERT INTO shown (turn, block) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            params![number, block],
        )?;
        Ok(new > 0)
    }

    /// Whether a piece of the turn's content has been posted.
    pub fn is_shown(&self, turn: &str, block: &str) -> Result<bool> {
        let found = self.one(
            "SELECT 1 FROM shown
             WHERE turn = (SELECT number FROM turns WHERE id = ?1) AND block = ?2",
            [turn, block],
            |_| Ok(()),
        )?;
        Ok(found.is_some())
    }

    /// Stores what is shown of the turn, JSON, opaque to the spool.
    ///
    /// # Errors
    /// [`crate::SpoolError::Bug`] if there is no such turn.
    pub fn put_progress(&self, turn: &str, state: &str) -> Result<()> {
        let number = self.turn_number(turn)?;
        self.run(
            "INSERT INTO progress (turn, state) VALUES (?1, ?2)
             ON CONFLICT (turn) DO UPDATE SET state = excluded.state",
            params![number, state],
        )?;
        Ok(())
    }

    /// What is shown of the turn, if anything is.
    pub fn progress(&self, turn: &str) -> Result<Option<String>> {
        self.one(
            "SELECT state FROM progress WHERE turn = (SELECT number FROM turns WHERE id = ?1)",
            [turn],
            |row| row.get(0),
        )
    }

    /// The turn is over: nothing more is shown of it.
    pub fn end_progress(&self, turn: &str) -> Result<()> {
        let number = self.turn_number(turn)?;
        self.run("DELETE FROM progress WHERE turn = ?1", [number])?;
        self.run("DELETE FROM shown WHERE turn = ?1", [number])?;
        Ok(())
    }
}
