//! What no agent in a sandbox may be let into: the config itself, the files that it reads secrets
//! from, and Bulkhead's own directories.
//!
//! What a sandbox opens it opens with everything below. So a path that holds one of these, or lies in
//! one, is refused: that is the same whatever the sandbox is built of, and nothing is left open that
//! somebody takes to be closed.

use std::path::{Path, PathBuf};

use crate::context::{Context, Own};

/// Why an agent in a sandbox must not work in a directory, given where the config is; none = it may.
pub fn closed_to_agents(dir: &Path, config: &Path, cx: &Context) -> Option<String> {
    let mut closed = Closed::new(config, &[], cx);
    closed.add_own(cx, None, None);
    closed.opened_by(dir, cx)
}

/// What stays closed.
pub(crate) struct Closed {
    /// With links followed.
    all: Vec<Own>,
}

impl Closed {
    pub(crate) fn new(file: &Path, secret_files: &[PathBuf], cx: &Context) -> Self {
        let secrets = secret_files
            .iter()
            .map(|file| (file.as_path(), "a secret of this config"));
        let all = std::iter::once((file, "this config"))
            .chain(secrets)
            .map(|(path, what)| Own {
                path: (cx.real)(path),
                what,
            })
            .collect();
        Self { all }
    }

    /// Adds Bulkhead's own directories, wherever the config puts them.
    pub(crate) fn add_own(
        &mut self,
        cx: &Context,
        data_dir: Option<&Path>,
        spool_dir: Option<&Path>,
    ) {
        let spool = spool_dir.map(|dir| Own {
            path: dir.to_owned(),
            what: "the spool",
        });
        let all = (cx.own)(data_dir).into_iter().chain(spool);
        self.all.extend(all.map(|own| Own {
            path: (cx.real)(&own.path),
            ..own
        }));
    }

    /// Why a path must not be opened; none = it may be.
    pub(crate) fn opened_by(&self, path: &Path, cx: &Context) -> Option<String> {
        // What is no whole path has been told of already.
        if !path.is_absolute() {
            return None;
        }
        let real = (cx.real)(path);
        let shown = path.display();
        self.all.iter().find_map(|Own { path: own, what }| {
            let at = own.display();
            if own.starts_with(&real) {
                return Some(format!(
                    "{shown} holds {what}, {at}, and the agent could read it: name a directory without it, or keep it elsewhere"
                ));
            }
            real.starts_with(own).then(|| {
                format!(
                    "{shown} lies in {at}, and the agent could read {what} there: name a directory outside of it"
                )
            })
        })
    }
}
