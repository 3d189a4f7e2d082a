use super::super::presets::Preset;
use super::*;

/// A file tree of which only what matters is told.
#[derive(Default)]
pub(in crate::jail) struct Told {
    links: BTreeMap<PathBuf, PathBuf>,
    files: BTreeMap<PathBuf, &'static str>,
}

impl Told {
    pub(in crate::jail) fn link(mut self, at: &str, to: &str) -> Told {
        self.links.insert(at.into(), to.into());
        self
    }

    pub(in crate::jail) fn file(mut self, at: &str, head: &'static str) -> Told {
        self.files.insert(at.into(), head);
        self
    }

    pub(in crate::jail) fn repository(self, at: &str) -> Told {
        let part = |name: &str| format!("{at}/{name}");
        self.file(&part("HEAD"), "")
            .file(&part("objects/pack"), "")
            .file(&part("refs/heads"), "")
    }
}

impl Disk for Told {
    fn link(&self, path: &Path) -> Option<PathBuf> {
        self.links.get(path).cloned()
    }

    fn head(&self, path: &Path) -> Vec<u8> {
        self.files
            .get(path)
            .map_or(Vec::new(), |head| head.as_bytes().to_vec())
    }

    fn exists(&self, path: &Path) -> bool {
        let real = walk(path, self).real;
        self.files.keys().any(|file| file.starts_with(&real))
    }
}

fn kernel(landlock: u8, namespaces: bool) -> Kernel {
    Kernel {
        bubblewrap: Ok(()),
        landlock,
        namespaces: namespaces.then_some(()).ok_or("no".into()),
        seccomp: true,
    }
}

fn environment_of(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    let mut all: BTreeMap<String, String> = pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    all.entry("HOME".into()).or_insert("/home/me".into());
    all
}

struct Case {
    program: &'static str,
    environment: BTreeMap<String, String>,
    sandbox: Sandbox,
    kernel: Kernel,
    claude: bool,
    tools_port: Option<u16>,
}

impl Default for Case {
    fn default() -> Case {
        Case {
            program: "/usr/bin/claude",
            environment: environment_of(&[]),
            sandbox: Sandbox::default(),
            kernel: kernel(6, true),
            claude: true,
            tools_port: None,
        }
    }
}

impl Case {
    fn decide(&self, disk: &Told) -> Result<Decided, Lack> {
        let inmate = Inmate {
            program: Path::new(self.program),
            work_dir: Path::new("/work/tree"),
            environment: &self.environment,
            claude: self.claude,
            model_port: None,
            tools_port: self.tools_port,
            read: &[],
            write: &[],
            owned: &[],
            state_dir: Path::new("/home/me/.local/state/b"),
            scratch: Path::new("/home/me/.local/state/b/tmp/s"),
            socket: Path::new("/home/me/.local/state/b/tmp/m"),
        };
        decide(&self.sandbox, &inmate, &self.kernel, disk)
    }

    /// What is open beside the system.
    fn open(&self, disk: &Told) -> BTreeMap<String, Access> {
        let jail = self.decide(disk).unwrap().jail;
        let system = |path: &Path| {
            [
                "/usr", "/bin", "/sbin", "/lib", "/etc", "/sys", "/dev", "/nix", "/proc", "/run",
            ]
            .iter()
            .any(|dir| path.to_str().unwrap().starts_with(dir))
        };
        jail.grants
            .into_iter()
            .filter(|grant| !system(&grant.path))
            .map(|grant| (grant.path.display().to_string(), grant.access))
            .collect()
    }
}

fn opened(pairs: &[(&str, Access)]) -> BTreeMap<String, Access> {
    let pairs = pairs.iter();
    pairs
        .map(|(path, access)| ((*path).to_owned(), *access))
        .collect()
}

#[test]
fn an_agent_sees_its_work_dir_and_its_own_home_and_no_more() {
    let case = Case::default();
    let expected = opened(&[
        ("/home/me/.claude", Access::Write),
        ("/home/me/.claude.json", Access::Write),
        ("/work/tree", Access::Write),
    ]);
    assert_eq!(case.open(&Told::default()), expected);
    let command = Case {
        claude: false,
        ..Case::default()
    };
    let only = opened(&[("/work/tree", Access::Write)]);
    assert_eq!(command.open(&Told::default()), only);
}

#[test]
fn nothing_of_the_system_that_may_hold_a_secret_is_open() {
    let jail = Case::default().decide(&Told::default()).unwrap().jail;
    let secrets = [
        "/etc/shadow",
        "/etc/ssl/private/key",
        "/etc/bulkhead/config.toml",
        "/etc/environment",
        "/root/.ssh/id",
        "/home/me/.ssh/id",
        "/home/me/.config/x",
        "/proc/1/environ",
        "/var/lib/x",
        "/run/docker.sock",
        "/home/me/.local/state/b/runner.lock",
        "/dev/sda",
        "/dev/pts/0",
    ];
    for path in secrets {
        let open = jail
            .grants
            .iter()
            .find(|grant| Path::new(path).starts_with(&grant.path));
        assert_eq!(open, None, "{path}");
    }
}

#[test]
fn a_program_is_open_with_what_it_is_a_part_of() {
    let of = |program: &'static str, disk: &Told| {
        let environment = environment_of(&[("PATH", "/home/me/node/bin:/usr/bin")]);
        let case = Case {
            program,
            environment,
            claude: false,
            ..Case::default()
        };
        let mut open = case.open(disk);
        open.remove("/work/tree");
        open.into_keys().collect::<Vec<_>>()
    };
    // A package, whole; the link that leads to it, and who interprets it with all of theirs.
    let disk = Told::default()
        .link("/x/node_modules/.bin/claude", "../@a/claude/cli.js")
        .file("/x/node_modules/@a/claude/cli.js", "#!/usr/bin/env node\n")
        .file("/home/me/node/bin/node", "ELF")
        .file("/home/me/node/lib/a", "");
    assert_eq!(
        of("/x/node_modules/.bin/claude", &disk),
        [
            "/home/me/node",
            "/home/me/node/bin/node",
            "/x/node_modules",
            "/x/node_modules/.bin/claude"
        ]
    );
    // A native one with its versions beside it; ~/.local is no prefix of anybody's.
    let disk = Told::default()
        .link(
            "/home/me/.local/bin/claude",
            "/home/me/.local/share/claude/versions/2",
        )
        .file("/home/me/.local/share/claude/versions/2", "ELF")
        .file("/home/me/.local/lib/python", "");
    assert_eq!(
        of("/home/me/.local/bin/claude", &disk),
        [
            "/home/me/.local/bin",
            "/home/me/.local/bin/claude",
            "/home/me/.local/share/claude/versions"
        ]
    );
    // A script that lies in the home opens itself alone.
    let disk = Told::default().file("/home/me/agent.sh", "#!/bin/sh\n");
    assert_eq!(of("/home/me/agent.sh", &disk), ["/home/me/agent.sh"]);
    let disk = Told::default().file("/tmp/agent", "ELF");
    assert_eq!(of("/tmp/agent", &disk), ["/tmp/agent"]);
}

#[test]
fn presets_open_their_places_where_the_environment_has_them() {
    let case = Case {
        environment: environment_of(&[("CARGO_HOME", "/cargo")]),
        sandbox: Sandbox {
            presets: Preset::ALL.to_vec(),
            ..Sandbox::default()
        },
        ..Case::default()
    };
    let disk = Told::default()
        .repository("/work/repo/.git")
        .file("/work/repo/.git/worktrees/tree/gitdir", "/work/tree/.git\n")
        .file(
            "/work/tree/.git",
            "gitdir: /work/repo/.git/worktrees/tree\n",
        );
    let open = case.open(&disk);
    for (path, access) in [
        ("/cargo/registry", Access::Write),
        ("/cargo/bin", Access::Read),
        ("/home/me/.rustup", Access::Read),
        ("/home/me/.gitconfig", Access::Read),
        ("/home/me/.npm", Access::Write),
        ("/home/me/.cache/pip", Access::Write),
        ("/work/repo/.git", Access::Write),
    ] {
        assert_eq!(open.get(path), Some(&access), "{path}");
    }
    let made = case.decide(&disk).unwrap().make;
    assert!(made.contains(&"/home/me/.npm".into()) && !made.contains(&"/home/me/.rustup".into()));
    // A password of npm's, cargo's or Git's is in none of them.
    for secret in [
        "/home/me/.npmrc",
        "/cargo/credentials.toml",
        "/home/me/.git-credentials",
        "/home/me/.pypirc",
        "/home/me/.config/git/credentials",
        "/home/me/.netrc",
        "/home/me/.ssh/id",
    ] {
        let open = open.keys().any(|path| Path::new(secret).starts_with(path));
        assert!(!open, "{secret}");
    }
}

#[test]
fn a_tree_that_names_somebody_elses_directory_does_not_open_it() {
    let case = Case {
        sandbox: Sandbox {
            presets: vec![Preset::Git],
            ..Sandbox::default()
        },
        ..Case::default()
    };
    for said in [
        "gitdir: /etc/bulkhead/worktrees/b",
        "gitdir: /work/repo/.git/worktrees/other",
        "gitdir: /home/me/.local/state/b/worktrees/b",
        "gitdir: /home/worktrees/b",
    ] {
        let disk = Told::default()
            .repository("/work/repo/.git")
            .file("/work/repo/.git/worktrees/other/gitdir", "/other/.git")
            .repository("/home/me/.local/state/b")
            .file(
                "/home/me/.local/state/b/worktrees/b/gitdir",
                "/work/tree/.git",
            )
            .repository("/home")
            .file("/home/worktrees/b/gitdir", "/work/tree/.git")
            .file("/work/tree/.git", said);
        let jail = case.decide(&disk).unwrap().jail;
        let written = jail
            .grants
            .iter()
            .filter(|grant| grant.access == Access::Write);
        let written: Vec<_> = written.map(|grant| grant.path.to_str().unwrap()).collect();
        let usual = ["/home/me/.claude", "/home/me/.claude.json", "/work/tree"];
        assert_eq!(written, usual, "{said}");
    }
}

#[test]
fn a_kernel_that_lacks_something_gives_no_jail_but_words() {
    let of = |network, landlock, namespaces| {
        let case = Case {
            sandbox: Sandbox {
                network,
                ..Sandbox::default()
            },
            environment: environment_of(&[("ANTHROPIC_BASE_URL", "http://127.0.0.1:7")]),
            kernel: kernel(landlock, namespaces),
            ..Case::default()
        };
        case.decide(&Told::default()).map(|decided| decided.jail)
    };
    let lacks = |result: Result<Jail, Lack>, words: &str| {
        let told = result.unwrap_err().to_string();
        assert!(told.contains(words), "{told}");
    };
    lacks(of(Network::Full, 0, true), "has no Landlock");
    lacks(of(Network::Full, 2, true), "Linux 6.2");
    lacks(of(Network::Ports, 3, true), "Linux 6.7");
    lacks(of(Network::Full, 5, false), "Linux 6.12");
    lacks(of(Network::None, 6, false), "user namespaces");
    // Without an agent it is known as well, if that is served anything.
    let sandbox = Sandbox {
        network: Network::None,
        ..Sandbox::default()
    };
    let refused = shape_for(true, &sandbox, &kernel(6, false));
    assert!(matches!(refused, Err(Lack::Namespaces(_))), "{refused:?}");
    let alone = shape_for(false, &sandbox, &kernel(6, false));
    assert_eq!(alone, Ok(Shape::Shared));
    assert_eq!(shape_for(true, &sandbox, &kernel(6, true)), Ok(Shape::Own));
    let case = Case {
        kernel: Kernel {
            seccomp: false,
            ..kernel(6, true)
        },
        ..Case::default()
    };
    let unfiltered = case.decide(&Told::default());
    assert_eq!(unfiltered.map(|decided| decided.jail), Err(Lack::Seccomp));
    assert_eq!(of(Network::Full, 3, true).unwrap().shape, Shape::Own);
    assert_eq!(of(Network::Full, 6, false).unwrap().shape, Shape::Shared);
    // Unix sockets by abstract names are kept apart by the newest Landlock, or a network of its own.
    assert!(!of(Network::Full, 5, true).unwrap().unix_sockets);
    assert!(of(Network::None, 5, true).unwrap().unix_sockets);
    assert!(of(Network::Full, 6, true).unwrap().unix_sockets);
    assert!(!of(Network::Full, 6, false).unwrap().unix_sockets);
}

#[test]
fn bubblewrap_does_what_it_can_and_says_what_it_cannot() {
    let of = |network, claude, bubblewrap: Result<(), String>| {
        let case = Case {
            sandbox: Sandbox {
                mode: Mode::Bubblewrap,
                network,
                ..Sandbox::default()
            },
            // Without any Landlock.
            kernel: Kernel {
                bubblewrap,
                ..kernel(0, false)
            },
            claude,
            ..Case::default()
        };
        case.decide(&Told::default()).map(|decided| decided.jail)
    };
    let full = of(Network::Full, true, Ok(())).unwrap();
    assert_eq!((full.shape, full.unix_sockets), (Shape::Bubblewrap, false));
    assert!(of(Network::None, false, Ok(())).unwrap().unix_sockets);
    assert_eq!(
        of(Network::Ports, true, Ok(())),
        Err(Lack::Bubblewrap("ports"))
    );
    assert_eq!(
        of(Network::None, true, Ok(())),
        Err(Lack::Bubblewrap("none"))
    );
    let missing = of(Network::Full, true, Err("it is not there".into())).unwrap_err();
    assert!(
        missing.to_string().contains("it is not there. Install it"),
        "{missing}"
    );
}

#[test]
fn the_model_is_reached_whatever_the_network() {
    let of = |network, base: &str| {
        let case = Case {
            sandbox: Sandbox {
                network,
                ports: vec![8080],
                ..Sandbox::default()
            },
            environment: environment_of(&[("ANTHROPIC_BASE_URL", base)]),
            ..Case::default()
        };
        case.decide(&Told::default())
            .map(|decided| decided.jail.net)
    };
    assert_eq!(of(Network::Full, "http://x"), Ok(Net::Full));
    let ports = |ports: &[u16]| Ok(Net::Ports(ports.to_vec()));
    assert_eq!(of(Network::Ports, "https://x/v1"), ports(&[53, 443, 8080]));
    assert_eq!(
        of(Network::Ports, "http://u:p@x:99/v1"),
        ports(&[53, 99, 8080])
    );
    assert_eq!(of(Network::None, "https://x"), Err(Lack::Model));
    let Ok(Net::Closed(Some(let_in))) = of(Network::None, "http://127.0.0.1:77") else {
        panic!("no way to the model")
    };
    assert_eq!(let_in.ports, [77]);
    let tools = |network, base: &str| {
        let case = Case {
            sandbox: Sandbox {
                network,
                ..Sandbox::default()
            },
            environment: environment_of(&[("ANTHROPIC_BASE_URL", base)]),
            tools_port: Some(88),
            ..Case::default()
        };
        case.decide(&Told::default())
            .map(|decided| decided.jail.net)
    };
    assert_eq!(tools(Network::Ports, "https://x"), ports(&[53, 88, 443]));
    assert_eq!(tools(Network::None, "https://x"), Err(Lack::Model));
    let Ok(Net::Closed(Some(let_in))) = tools(Network::None, "http://127.0.0.1:77") else {
        panic!("no way to the tools")
    };
    assert_eq!(let_in.ports, [77, 88]);
    let usual = Case {
        sandbox: Sandbox {
            network: Network::Ports,
            ..Sandbox::default()
        },
        ..Case::default()
    };
    let jail = usual.decide(&Told::default()).unwrap().jail;
    assert_eq!(jail.net, Net::Ports(vec![53, 443]));
    assert!(environment(&jail).contains(&("RES_OPTIONS", "use-vc".into())));
}

#[test]
fn a_file_tree_of_its_own_holds_links_and_what_they_lead_to() {
    let disk = Told::default()
        .link("/bin", "usr/bin")
        .link("/home", "/data/home")
        .link("/data/home/me/work", "../../w")
        .file("/usr/bin/sh", "")
        .file("/data/w/file", "")
        .file("/data/w/sub/file", "");
    let grant = |path: &str, access| Grant::new(path, access);
    let plan = crate::jail::view::plan(
        &[
            grant("/bin", Access::Read),
            grant("/usr", Access::Read),
            grant("/home/me/work", Access::Read),
            grant("/data/w/sub", Access::Write),
            grant("/usr/bin/sh", Access::Read),
            grant("/not/there", Access::Write),
        ],
        &[],
        &disk,
    )
    .unwrap();
    let links: Vec<_> = plan
        .links
        .iter()
        .map(|(at, to)| (at.to_str(), to.to_str()))
        .collect();
    assert_eq!(
        links,
        [
            (Some("/bin"), Some("usr/bin")),
            (Some("/data/home/me/work"), Some("../../w")),
            (Some("/home"), Some("/data/home")),
        ]
    );
    assert_eq!(
        plan.mounts,
        [
            grant("/data/w", Access::Read),
            grant("/data/w/sub", Access::Write),
            grant("/usr", Access::Read),
        ]
    );
}

#[test]
fn a_link_where_an_agent_may_write_leads_no_grant() {
    let of = |sandbox: Sandbox, disk: &Told| {
        let case = Case {
            sandbox,
            ..Case::default()
        };
        let planted = case.decide(disk).map(|decided| decided.jail);
        planted.map_err(|lack| match lack {
            Lack::Planted(planted) => planted.link.display().to_string(),
            other => panic!("{other}"),
        })
    };
    let none = Sandbox::default;
    let reads = |path: &str| Sandbox {
        read: vec![path.into()],
        ..none()
    };
    let writes = |path: &str| Sandbox {
        write: vec![path.into()],
        ..none()
    };
    let link = |at: &str| Told::default().link(at, "/etc/bulkhead");
    let refused = |at: &str| Err(at.to_owned());
    // In its work dir, at the end of the way and in its midst.
    let at = "/work/tree/data";
    assert_eq!(of(reads(at), &link(at)), refused(at));
    assert_eq!(of(reads("/work/tree/data/more"), &link(at)), refused(at));
    // In what is granted to be written, and in a work dir that is a link itself.
    let disk = link("/srv/cache/sub").link("/var/cache", "/srv/cache");
    let mut both = writes("/var/cache");
    both.read = vec!["/srv/cache/sub".into()];
    assert_eq!(of(both, &disk), refused("/srv/cache/sub"));
    let disk = link("/data/t/x").link("/work/tree", "/data/t");
    assert_eq!(of(reads("/work/tree/x"), &disk), refused("/data/t/x"));
    // On the operator's own way there it is the operator's.
    let disk = Told::default()
        .link("/work", "/data")
        .link("/opt/x", "/srv/x");
    let jail = of(reads("/opt/x"), &disk).unwrap();
    assert!(jail.owned.contains(&"/work/tree".into()));
    // The process that closes the jail looks again.
    let later = link("/work/tree/data");
    let more = [Grant::new("/work/tree/data", Access::Read)];
    let planted = crate::jail::view::plan(&more, &jail.owned, &later).unwrap_err();
    assert!(planted.to_string().contains("/work/tree/data on"));
}

#[test]
fn what_an_agent_can_write_says_nothing_about_what_it_may_read() {
    let of = |program: &'static str, disk: &Told| {
        let environment = environment_of(&[("PATH", "/home/me/node/bin:/usr/bin")]);
        let case = Case {
            program,
            environment,
            claude: false,
            ..Case::default()
        };
        let jail = case.decide(disk).unwrap().jail;
        assert!(
            !jail
                .grants
                .iter()
                .any(|grant| grant.path.starts_with("/etc/bulkhead"))
        );
        let mut open = case.open(disk);
        open.remove("/work/tree");
        let own = case.decide(disk).unwrap().own_program;
        (open.into_keys().collect::<Vec<_>>(), own)
    };
    let node = |disk: Told| {
        disk.file("/home/me/node/bin/node", "ELF")
            .file("/home/me/node/lib/a", "")
            .file("/etc/bulkhead/config.toml", "")
    };
    for says in [
        "#!/etc/bulkhead/config.toml\n",
        "#!/usr/bin/env -S -u /etc/bulkhead/config.toml /bin/sh\n",
        "#!/usr/bin/env node\n",
    ] {
        let disk = node(Told::default().file("/work/tree/agent", says));
        let open = of("/work/tree/agent", &disk);
        assert_eq!(open, (vec!["/work/tree/agent".to_owned()], true), "{says}");
    }
    // A link in there, as the program and on its way.
    let disk = node(Told::default().link("/work/tree/agent", "/etc/bulkhead/config.toml"));
    assert_eq!(of("/work/tree/agent", &disk), (vec![], true));
    let disk = node(Told::default().link("/work/tree/bin", "/etc/bulkhead"));
    assert_eq!(of("/work/tree/bin/config.toml", &disk), (vec![], true));
    // One outside that leads in there is opened, and what it leads to is not asked.
    let disk = node(Told::default().file("/work/tree/agent", "#!/etc/bulkhead/config.toml\n"));
    let disk = disk.link("/opt/agent", "/work/tree/agent");
    assert_eq!(
        of("/opt/agent", &disk),
        (vec!["/opt/agent".to_owned()], true)
    );
    // What nobody can write is asked, but for a name only.
    let says = "#!/usr/bin/env -S -u /etc/bulkhead/config.toml /bin/sh\n";
    let disk = node(Told::default().file("/opt/a/agent", says));
    let whole = vec!["/opt/a".to_owned(), "/opt/a/agent".to_owned()];
    assert_eq!(of("/opt/a/agent", &disk), (whole, false));
}
