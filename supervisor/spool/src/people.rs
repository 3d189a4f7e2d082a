//! What is remembered of people.

use rusqlite::params;

use crate::words::{signed, unsigned};
use crate::{Person, Result, Spool};

impl Spool {
    /// The person, if anything is remembered of them.
    pub fn person(&self, instance: &str, user: &str) -> Result<Option<Person>> {
        self.one(
            "SELECT language, refused_at, heard_at FROM people WHERE instance = ?1 AND user = ?2",
            params![instance, user],
            |row| {
                Ok(Person {
                    language: row.get(0)?,
                    refused_at: unsigned(row.get(1)?),
                    heard_at: unsigned(row.get(2)?),
                })
            },
        )
    }

    /// Remembers the person, in place of what was remembered.
    pub fn put_person(&self, instance: &str, user: &str, person: &Person) -> Result<()> {
        self.run(
            "INSERT INTO people (instance, user, language, refused_at, heard_at)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (instance, user) DO UPDATE
             SET language = excluded.language, refused_at = excluded.refused_at,
                 heard_at = excluded.heard_at",
            params![
                instance,
                user,
                person.language,
                signed(person.refused_at),
                signed(person.heard_at)
            ],
        )?;
        Ok(())
    }

    /// How many people were last refused at `since` or later.
    pub fn refusals_since(&self, instance: &str, since: u64) -> Result<u64> {
        let count = self.number(
            "SELECT count(*) FROM people
             WHERE instance = ?1 AND refused_at >= ?2 AND refused_at > 0",
            params![instance, signed(since)],
        )?;
        Ok(unsigned(count))
    }
}
