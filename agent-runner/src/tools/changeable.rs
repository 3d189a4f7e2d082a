//! Which tools an agent could change: their programs run outside of its jail, with secrets that it is
//! not to have.
//!
//! Promises: no program, no file that its arguments name, and no link on the way to one lies where the
//! agent may write; nor does a directory of `PATH` in which a program is looked for. It does not read
//! what the files say, but for who interprets them: what a program loads on its own is the operator's
//! to know.

use std::path::{Path, PathBuf};

use worker_kit::options::OptionProblem;

use crate::claude::argv;
use crate::jail::disk::{Disk, walk};
use crate::jail::policy::{self, Inmate};
use crate::options::{AgentKind, Options};

/// Where an agent may write, in whichever session.
#[derive(Debug)]
pub struct Changeable<D> {
    /// As they are written, and what they lead to.
    places: Vec<PathBuf>,
    disk: D,
}

impl<D: Disk> Changeable<D> {
    /// What these options let the agent write. `own` is the runner's environment.
    pub fn new(options: &Options, own: impl Fn(&str) -> Option<String>, disk: D) -> Self {
        let environment = argv::base_environment(options, own);
        // With a volume the configuration of Claude Code is in it, and that of the home out of reach;
        // a tool has no business in either.
        let mut write: Vec<PathBuf> = options.volume.clone().into_iter().collect();
        if let Some(home) = environment.get("HOME").map(PathBuf::from) {
            write.extend(options.home_dirs.iter().map(|dir| home.join(dir)));
        }
        let inmate = Inmate {
            program: Path::new(""),
            work_dir: &options.work_dir,
            environment: &environment,
            claude: options.kind == AgentKind::ClaudeCode,
            model_port: None,
            tools_port: None,
            read: &[],
            write: &write,
            owned: &[],
            state_dir: &options.state_dir,
            scratch: Path::new(""),
            socket: Path::new(""),
        };
        let mut places = policy::writable(&options.sandbox, &inmate, &disk);
        places.retain(|place| place.is_absolute());
        let real: Vec<PathBuf> = places.iter().map(|place| walk(place, &disk).real).collect();
        places.extend(real);
        places.sort();
        places.dedup();
        Changeable { places, disk }
    }

    /// The place in which the agent can change what a path leads to.
    fn place(&self, path: &Path) -> Option<&Path> {
        let walk = walk(path, &self.disk);
        let links = walk.links.iter().map(|(link, _)| link.as_path());
        let mut way = [path, &walk.real].into_iter().chain(links);
        way.find_map(|step| self.places.iter().find(|place| step.starts_with(place)))
            .map(PathBuf::as_path)
    }

    /// A `PATH` without the directories in which the agent could put a program.
    pub fn kept(&self, path: &str) -> String {
        let dirs = std::env::split_paths(path).filter(|dir| dir.is_absolute());
        let kept = dirs.filter(|dir| self.place(dir).is_none());
        // Parts of a PATH, so none has a colon.
        let kept = std::env::join_paths(kept).unwrap_or_default();
        kept.to_string_lossy().into_owned()
    }

    /// What is wrong with the programs of tools. `path` is where a bare name is looked for.
    pub fn check(&self, options: &Options, path: &str) -> Vec<OptionProblem> {
        let tools = options.tools.iter().enumerate();
        let wrong = tools.filter_map(|(index, tool)| {
            let why = self.command(&tool.command, path)?;
            let key = format!("tools[{index}].command");
            Some(OptionProblem::new(key, why))
        });
        wrong.collect()
    }

    fn command(&self, command: &[String], path: &str) -> Option<String> {
        let (program, arguments) = command.split_first()?;
        let mut named: Vec<PathBuf> = arguments.iter().flat_map(|text| self.paths(text)).collect();
        if program.contains('/') {
            named.push(program.into());
        } else {
            let found = |path: &str| {
                let dirs = std::env::split_paths(path).filter(|dir| dir.is_absolute());
                dirs.map(|dir| dir.join(program))
                    .find(|file| self.disk.exists(file))
            };
            // In a PATH without the agent's directories; if it is in none of the others, it is told.
            named.extend(found(&self.kept(path)).or_else(|| found(path)));
        }
        let interpreters: Vec<PathBuf> = named
            .iter()
            .flat_map(|file| self.interpreter(file))
            .collect();
        named.extend(interpreters);
        named.iter().find_map(|file| {
            let place = self.place(file)?;
            Some(format!(
                "uses {}, which the agent can change: it may write {}. The tool would run what the agent puts \
                 there, with the tool's secrets; keep it elsewhere, in a directory that only you may write",
                file.display(),
                place.display()
            ))
        })
    }

    /// What the first line of a script names.
    fn interpreter(&self, file: &Path) -> Vec<PathBuf> {
        let head = self.disk.head(&walk(file, &self.disk).real);
        let line = head.split(|byte| *byte == b'\n').next();
        let words = line.and_then(|line| line.strip_prefix(b"#!"));
        words.map_or_else(Vec::new, |words| {
            self.paths(&String::from_utf8_lossy(words))
        })
    }

    /// The paths in an argument, which may be an option or the script of a shell. A tool's program runs
    /// in `/`: one without a slash in front is from there.
    fn paths(&self, argument: &str) -> Vec<PathBuf> {
        let apart = |c: char| c.is_whitespace() || "'\"`=:;,|&<>(){}".contains(c);
        let words = argument.split(apart).chain([argument]);
        let paths = words
            .filter(|word| !word.is_empty())
            .map(|word| (word, Path::new("/").join(word)));
        paths
            .filter(|(word, path)| word.contains('/') || self.disk.exists(path))
            .map(|(_, path)| path)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use serde_json::{Value, json};

    use super::*;
    use crate::jail::kernel::System;

    #[test]
    fn what_an_agent_could_change_is_no_tool() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let at = |name: &str| root.join(name).to_str().unwrap().to_owned();
        for name in ["work/bin", "volumes/v", "shared", "home/.npm/bin", "opt"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        for name in [
            "work/x",
            "volumes/v/x",
            "shared/x",
            "home/.npm/bin/npx",
            "opt/x",
        ] {
            fs::write(at(name), "").unwrap();
        }
        fs::write(at("opt/script"), format!("#!{}\n", at("work/x"))).unwrap();
        symlink(at("work"), at("opt/into")).unwrap();
        symlink(at("opt/x"), at("work/out")).unwrap();
        symlink(at("volumes/v/x"), at("opt/npx")).unwrap();
        let options: Options = serde_json::from_value(json!({
            "work_dir": at("work"), "state_dir": at("state"), "volume": at("volumes/v"),
            "sandbox": {"write": [at("shared")], "presets": ["node"]},
            "home_dirs": [".own"], "env": {"HOME": at("home")},
        }))
        .unwrap();
        let changeable = Changeable::new(&options, |_| None, System);
        let why = |command: &[&str], path: &str| {
            let command: Vec<String> = command.iter().map(|part| (*part).to_owned()).collect();
            changeable.command(&command, path)
        };
        for bad in [
            "work/x",
            "work/none",
            "volumes/v/x",
            "shared/x",
            "opt/into/x",
            "work/out",
            "opt/script",
            "opt/npx",
            "home/.claude/x",
            "home/.own/x",
            "volumes/v/.claude/x",
            "opt/../work/x",
        ] {
            let bad = at(bad);
            assert!(why(&[&bad], "/bin").is_some(), "{bad}");
            assert!(why(&["python3", &bad], "/bin").is_some(), "{bad}");
            let option = format!("--script={bad}");
            assert!(why(&["/bin/sh", &option], "/bin").is_some(), "{bad}");
            let shell = format!("cd / && python3 '{bad}'");
            assert!(why(&["sh", "-c", &shell], "/bin").is_some(), "{bad}");
            let relative = &bad[1..];
            assert!(why(&["sh", relative], "/bin").is_some(), "{bad}");
        }
        for good in ["opt/x", "workshop/x", "home/x"] {
            let good = at(good);
            assert_eq!(why(&[&good], "/bin"), None);
            assert_eq!(why(&["sh", &good, "-x", "plain words"], "/bin"), None);
        }
        // A name is found past the directories that are the agent's, or not at all.
        let path = format!(
            "{}:{}:{}:/bin",
            at("home/.npm/bin"),
            at("opt/into/bin"),
            at("opt")
        );
        assert_eq!(changeable.kept(&path), format!("{}:/bin", at("opt")));
        assert_eq!(why(&["x"], &path), None);
        assert!(why(&["npx"], &path).unwrap().contains(&at("opt/npx")));
        let path = at("home/.npm/bin");
        assert!(why(&["npx"], &path).unwrap().contains(".npm"));
        let told = why(&[&at("work/x")], "").unwrap();
        assert!(
            told.contains("it may write") && told.contains("secrets"),
            "{told}"
        );
    }

    #[test]
    fn it_is_told_before_anything_runs() {
        let told = |command: Value| {
            let options = json!({"work_dir": "/w", "state_dir": "/s", "tools": [
                {"name": "a", "description": "d", "command": ["true"]},
                {"name": "b", "description": "d", "command": command},
            ]});
            let problems = crate::options::check(&options).into_iter();
            problems.map(|wrong| wrong.key).collect::<Vec<String>>()
        };
        assert_eq!(
            told(json!(["python3", "/w/report.py"])),
            ["tools[1].command"]
        );
        assert_eq!(told(json!(["./x"])), ["tools[1].command"]);
        assert_eq!(told(json!(["python3", "/opt/report.py"])), [""; 0]);
    }
}
