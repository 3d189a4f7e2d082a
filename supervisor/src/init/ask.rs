//! The talk with whoever sets it up, at a terminal or through a pipe.
//!
//! Promises: a secret that is typed at a terminal is not shown, and the terminal is as before
//! afterwards, also after Ctrl-C. Input that ends is an end, never an answer.

use std::io::{self, BufRead, IsTerminal as _, Read as _, StdinLock};
use std::os::fd::AsFd;

use anyhow::{Result, bail};
use nix::sys::termios::{
    LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr,
};
use secrecy::SecretString;

use crate::status::print;

/// The longest answer, in bytes.
const LONGEST: usize = 4096;
const ENDED: &str = "the input ended before everything was answered; nothing was written";
/// What keys send.
const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const BACKSPACE: u8 = 8;
const CTRL_U: u8 = 21;
const DELETE: u8 = 127;

/// The talk.
pub(crate) struct Ask {
    input: StdinLock<'static>,
    terminal: bool,
}

impl Ask {
    pub(crate) fn new() -> Ask {
        Ask {
            input: io::stdin().lock(),
            terminal: io::stdin().is_terminal(),
        }
    }

    /// Says something.
    pub(crate) fn say(&self, words: &str) {
        print(&format!("{words}\n"));
    }

    /// Asks for a line; an empty one is the default.
    ///
    /// # Errors
    /// There is no more input.
    pub(crate) fn line(&mut self, question: &str, default: &str) -> Result<String> {
        if default.is_empty() {
            print(&format!("{question}: "));
        } else {
            print(&format!("{question} [{default}]: "));
        }
        let answer = self.read()?;
        let answer = answer.trim();
        Ok(if answer.is_empty() { default } else { answer }.to_owned())
    }

    /// Asks for yes or no.
    ///
    /// # Errors
    /// There is no more input.
    pub(crate) fn yes(&mut self, question: &str, default: bool) -> Result<bool> {
        loop {
            let choices = if default { "Y/n" } else { "y/N" };
            let answer = self.line(&format!("{question} [{choices}]"), "")?;
            match answer.to_ascii_lowercase().as_str() {
                "" => return Ok(default),
                "y" | "yes" => return Ok(true),
                "n" | "no" => return Ok(false),
                _ => self.say("Please answer y or n."),
            }
        }
    }

    /// Asks for something that nobody else is to see.
    ///
    /// # Errors
    /// There is no more input, or it was given up with Ctrl-C.
    pub(crate) fn secret(&mut self, question: &str) -> Result<SecretString> {
        let question = format!("{question} (it is not shown): ");
        if !self.terminal {
            print(&question);
            return Ok(self.read()?.trim().into());
        }
        let typed = {
            // Before the question: who types fast is not shown either.
            let _quiet = Quiet::new(io::stdin())?;
            print(&question);
            typed(&mut self.input)
        };
        print("\n");
        match typed? {
            Some(secret) => Ok(secret.trim().into()),
            None => bail!("given up; nothing was written"),
        }
    }

    fn read(&mut self) -> Result<String> {
        let mut line = Vec::new();
        let most = LONGEST as u64;
        let read = (&mut self.input).take(most).read_until(b'\n', &mut line)?;
        if read == 0 {
            print("\n");
            bail!(ENDED);
        }
        if !self.terminal {
            // At a terminal the person's own Enter ends the line.
            print("\n");
        }
        if read == LONGEST {
            bail!("a line of over {LONGEST} bytes is no answer; nothing was written");
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}

/// A terminal that shows nothing and passes keys on one by one, until this is dropped.
struct Quiet<T: AsFd> {
    terminal: T,
    before: Termios,
}

impl<T: AsFd> Quiet<T> {
    fn new(terminal: T) -> Result<Quiet<T>> {
        let before = tcgetattr(&terminal)?;
        let mut quiet = before.clone();
        // Keys that would end or stop the process come as bytes: it has to set the terminal right
        // first.
        quiet
            .local_flags
            .remove(LocalFlags::ECHO | LocalFlags::ECHONL | LocalFlags::ICANON | LocalFlags::ISIG);
        quiet.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        quiet.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        tcsetattr(&terminal, SetArg::TCSADRAIN, &quiet)?;
        Ok(Quiet { terminal, before })
    }
}

impl<T: AsFd> Drop for Quiet<T> {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(&self.terminal, SetArg::TCSADRAIN, &self.before);
    }
}

/// What is typed up to Enter, with the keys for mending it; `None` after Ctrl-C.
fn typed(input: &mut impl BufRead) -> Result<Option<String>> {
    let mut typed: Vec<u8> = Vec::with_capacity(LONGEST);
    loop {
        let mut key = [0];
        if input.read(&mut key)? == 0 {
            bail!(ENDED);
        }
        match key[0] {
            b'\n' | b'\r' => return Ok(Some(String::from_utf8_lossy(&typed).into_owned())),
            CTRL_C => return Ok(None),
            CTRL_D if typed.is_empty() => bail!(ENDED),
            CTRL_U => typed.clear(),
            BACKSPACE | DELETE => {
                // A character may be more than one byte.
                while typed.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            key if typed.len() < LONGEST && key >= b' ' => typed.push(key),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(keys: &[u8]) -> Option<String> {
        typed(&mut io::Cursor::new(keys)).unwrap()
    }

    #[test]
    fn keys_mend_what_is_typed() {
        assert_eq!(of(b"abc\n").as_deref(), Some("abc"));
        assert_eq!(of(b"abx\x7fc\r").as_deref(), Some("abc"));
        assert_eq!(of("aé\x08b\n".as_bytes()).as_deref(), Some("ab"));
        assert_eq!(of(b"\x7f\x7fwrong\x15right\n").as_deref(), Some("right"));
        assert_eq!(of(b"a\x1b\x04b\n").as_deref(), Some("ab"));
        assert_eq!(of(b"abc\x03"), None);
    }

    #[test]
    fn input_that_ends_is_no_answer() {
        assert!(typed(&mut io::Cursor::new(b"half")).is_err());
        assert!(typed(&mut io::Cursor::new(b"\x04")).is_err());
    }
}
